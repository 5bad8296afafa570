//go:build !race && linux

package convergence

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"statustail/cmd/statustail/programtest"
)

// What a connect costs the server, to a page with 60 components and 100 issues
// and to an empty one: 50,000 each, at most 5,000 at a time.
func TestConnects(t *testing.T) {
	if !*figures {
		t.Skip("a measurement: run it with -args -figures")
	}
	b := startBench(t)
	ctx := context.Background()
	if _, err := b.db.Collection("pages").InsertOne(ctx, bson.M{"_id": "empty", "name": "E"}); err != nil {
		t.Fatal(err)
	}
	var components, issues []any
	for i := range 60 {
		components = append(components, bson.M{"_id": fmt.Sprint("k", i), "page": "p0", "name": fmt.Sprint("Component ", i), "state": "operational"})
	}
	for i := range 100 {
		issues = append(issues, bson.M{
			"page": "p0", "title": fmt.Sprint("Issue ", i), "body": "We are looking into it.", "label": "Investigating",
			"kind": "incident", "state": "degraded", "components": bson.A{fmt.Sprint("k", i%60)}, "created_at": time.Now(),
		})
	}
	for collection, docs := range map[string][]any{"components": components, "issues": issues} {
		if _, err := b.db.Collection(collection).InsertMany(ctx, docs); err != nil {
			t.Fatal(err)
		}
	}
	public := strings.Replace(strings.TrimPrefix(b.server.URL, "http://"), "localhost", "127.0.0.1", 1)
	buffer := make([]byte, 256<<10)
	connect := func(page string, i int) (net.Conn, int) {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, 0, byte(1+i%250))}}
		c, err := from.Dial("tcp", public)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /%s/live/v2/status_page HTTP/1.1\r\nHost: localhost\r\n\r\n", page)
		for n := 0; ; {
			m, err := c.Read(buffer[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
			if i := bytes.Index(buffer[:n], []byte("init_event")); i >= 0 && bytes.Contains(buffer[i:n], []byte("\n\n")) {
				return c, n
			}
		}
	}
	const connects, atOnce = 50_000, 5_000
	measure := func(page string) (each time.Duration, bytes int) {
		c, n := connect(page, 0)
		defer c.Close()
		before := cpu(t, b.server)
		var open []net.Conn
		for i := range connects {
			if len(open) == atOnce {
				for _, c := range open {
					c.Close()
				}
				open = open[:0]
			}
			c, _ := connect(page, i)
			open = append(open, c)
		}
		for _, c := range open {
			c.Close()
		}
		return (cpu(t, b.server) - before) / connects, n
	}
	measure("empty") // to warm up
	small, few := measure("empty")
	large, many := measure("p0")
	t.Logf("CPU per connect: %v to an empty page (%d bytes), %v to a full one (%d bytes): ratio %.2f", small, few, large, many, float64(large)/float64(small))
}

// cpu is what a program has used so far.
func cpu(t *testing.T, p *programtest.Program) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	ticks := 0
	for _, f := range fields[11:13] { // user and system, in hundredths of a second
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
