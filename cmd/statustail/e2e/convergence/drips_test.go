//go:build !race && linux

package convergence

import (
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// What 300 readers hold that take 20 KB/s of a state of a megabyte, one
// arriving every tenth of a second.
func TestDrips(t *testing.T) {
	if !*figures {
		t.Skip("a measurement: run it with -args -figures")
	}
	b := startBench(t)
	var issues []any
	for i := range 100 {
		issues = append(issues, bson.M{
			"page": "p0", "title": fmt.Sprint("Issue ", i), "body": strings.Repeat("We are looking into it. ", 200),
			"kind": "incident", "state": "degraded", "created_at": time.Now(),
		})
	}
	if _, err := b.db.Collection("issues").InsertMany(context.Background(), issues); err != nil {
		t.Fatal(err)
	}
	public := strings.Replace(strings.TrimPrefix(b.server.URL, "http://"), "localhost", "127.0.0.1", 1)
	resident := func() int {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.server.PID()))
		if err != nil {
			t.Fatal(err)
		}
		kb, _ := strconv.Atoi(string(regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)[1]))
		return kb >> 10
	}
	get(t, b.server.URL+"/p0/state.json", 200)
	before, most := resident(), 0
	stop := make(chan struct{})
	defer close(stop)
	for range 300 {
		c, err := net.Dial("tcp", public)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		fmt.Fprintf(c, "GET /p0/live/v2/status_page HTTP/1.1\r\nHost: localhost\r\n\r\n")
		go func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for buffer := make([]byte, 1024); ; {
				select {
				case <-stop:
					return
				case <-tick.C:
					if _, err := c.Read(buffer); err != nil {
						return
					}
				}
			}
		}()
		<-time.After(100 * time.Millisecond)
		most = max(most, resident())
	}
	t.Logf("resident: %d MB before, %d MB at most with 300 readers that drip", before, most)
}
