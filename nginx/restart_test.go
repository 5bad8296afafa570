package nginx

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"statustail/cmd/statustail/programtest"
	"statustail/internal/mongotest"
)

// pair is two servers of one database, behind one nginx.
func pair(t testing.TB, args ...string) (a, b *server, p *proxy, uri string) {
	t.Helper()
	uri = mongotest.Start(t).URI()
	args = append([]string{"--mongodb-uri", uri}, args...)
	for _, command := range [][]string{
		{"init"},
		{"page", "put", "demo", "--name", "Demo"},
		{"component", "put", "--page", "demo", "--name", "API"},
	} {
		if _, err := programtest.Run(t, uri, command...); err != nil {
			t.Fatal(err)
		}
	}
	a = startServer(t, args...)
	b = startServer(t, args...)
	p = startNginx(t, &site{upstream: upstream(t, "unix:"+a.socket, "unix:"+b.socket)})
	return a, b, p, uri
}

// crowdSize is how many subscribers a test has: few, unless figures are
// wanted.
func crowdSize(few int) int {
	if n, err := strconv.Atoi(os.Getenv("STATUSTAIL_FIGURES")); err == nil {
		return n
	}
	return few
}

// A reload of nginx under load: the old workers' streams end, and everybody
// is right again.
func TestReloadLosesNothing(t *testing.T) {
	s := startServer(t)
	p := startNginx(t, &site{upstream: upstream(t, "unix:"+s.socket), edits: []string{
		"worker_shutdown_timeout 30s;", "worker_shutdown_timeout 1s;"}})
	n := crowdSize(300)
	a := attend(t, p, n)
	stop := meddle(t, s.MongoURI)
	old := p.workers(t)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old workers are still there", 30*time.Second, func() bool {
		for _, pid := range old {
			if syscall.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	})
	a.backFrom(t, n)
	a.endRight(t, s, stop)
}

// A server that is killed under load: everybody is right again on the other.
func TestKilledServer(t *testing.T) {
	s, other, p, uri := pair(t)
	n := crowdSize(300)
	a := attend(t, p, n)
	stop := meddle(t, uri)
	s.Kill()
	a.backFrom(t, n/4)
	a.endRight(t, other, stop)
}

// Two servers are restarted, one after the other, under load and while there
// are changes: everybody ends right, nobody sees an error, and they do not
// come back all at once.
func TestRollingRestart(t *testing.T) {
	// So many that chance alone makes no crowded second.
	n := crowdSize(1200)
	timing := []string{"--drain", "12s", "--retry-min", "2s", "--retry-max", "12s"}
	second, most := time.Second, 0.15
	if os.Getenv("STATUSTAIL_FIGURES") == "" {
		// Twice as fast, on a machine that others use too.
		timing = []string{"--drain", "6s", "--retry-min", "1s", "--retry-max", "6s"}
		second, most = time.Second/2, 0.25
	}
	a, b, p, uri := pair(t, timing...)
	browsers := attend(t, p, n)
	stop := meddle(t, uri)
	servers := []*server{a, b}
	for i, s := range servers {
		before := browsers.Report()
		asked := time.Now()
		s.Signal(syscall.SIGTERM)
		s.Wait()
		servers[i] = startServerIn(t, s.dir, append(timing, "--mongodb-uri", uri)...)
		browsers.all(t)
		r := browsers.Report()
		back := r.Reopened[len(before.Reopened):]
		worst := worst(back, second)
		t.Logf("restart %d: %d came back, in the worst %v %.1f %%, refused %d; by second %v", i+1, len(back), second, 100*worst, r.Refused-before.Refused, bySecond(asked, back))
		if worst > most && len(back) > 100 {
			t.Errorf("in one %v came %.1f %% of those who came back", second, 100*worst)
		}
	}
	browsers.endRight(t, servers[0], stop)
}

// bySecond counts moments by the second after the first.
func bySecond(from time.Time, times []time.Time) (counts []int) {
	for _, at := range times {
		second := int(at.Sub(from) / time.Second)
		for len(counts) <= second {
			counts = append(counts, 0)
		}
		counts[max(second, 0)]++
	}
	return counts
}
