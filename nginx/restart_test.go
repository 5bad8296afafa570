package nginx

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"statustail/stream/mongotest"
)

// pair is two servers of one database, behind one nginx.
func pair(t testing.TB, drain string) (a, b *server, p *proxy, uri string) {
	t.Helper()
	uri = mongotest.Start(t).URI()
	for _, args := range [][]string{
		{"init"},
		{"page", "put", "demo", "--name", "Demo"},
		{"component", "put", "--page", "demo", "--name", "API"},
	} {
		if _, err := run(append(args, "--mongodb-uri", uri)...); err != nil {
			t.Fatal(err)
		}
	}
	a = startServer(t, "--mongodb-uri", uri, "--drain", drain)
	b = startServer(t, "--mongodb-uri", uri, "--drain", drain)
	p = startNginx(t, &site{upstream: upstream(t, "unix:"+a.socket, "unix:"+b.socket)})
	return a, b, p, uri
}

// again starts a server where another was.
func (s *server) again(t testing.TB, uri, drain string) *server {
	t.Helper()
	return startServerIn(t, s.dir, "--mongodb-uri", uri, "--drain", drain)
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
	stop := meddle(t, s.uri)
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
	changes := stop()
	a.right(t, s, 30*time.Second)
	a.noError(t)
	r := a.Report()
	t.Logf("%d changes, %d streams ended, worst second of the return %.1f %%", changes, r.Closed, 100*worstSecond(r.Reopened))
}

// A server that is killed under load: everybody is right again on the other.
func TestKilledServer(t *testing.T) {
	s, other, p, uri := pair(t, "5s")
	n := crowdSize(300)
	a := attend(t, p, n)
	stop := meddle(t, uri)
	_ = s.cmd.Process.Kill()
	<-s.ended
	a.backFrom(t, n/4)
	changes := stop()
	a.right(t, other, 30*time.Second)
	a.noError(t)
	r := a.Report()
	t.Logf("%d changes, %d streams ended, worst second of the return %.1f %%", changes, r.Closed, 100*worstSecond(r.Reopened))
}

// Two servers are restarted, one after the other, under load and while there
// are changes: everybody ends right, nobody sees an error, and they do not
// come back all at once.
func TestRollingRestart(t *testing.T) {
	const drain = "12s" // 20 s by default
	first, second, p, uri := pair(t, drain)
	// So many that chance alone makes no crowded second.
	n := crowdSize(1200)
	most := 0.15
	if os.Getenv("STATUSTAIL_FIGURES") == "" {
		most = 0.2 // of a machine that others use too
	}
	a := attend(t, p, n)
	stop := meddle(t, uri)
	servers := []*server{first, second}
	for i, s := range servers {
		before := a.Report()
		asked := time.Now()
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		s.wait(t)
		servers[i] = s.again(t, uri, drain)
		a.all(t)
		r := a.Report()
		back := r.Reopened[len(before.Reopened):]
		worst := worstSecond(back)
		t.Logf("restart %d: %d came back, worst second %.1f %%, refused %d; by second %v", i+1, len(back), 100*worst, r.Refused-before.Refused, bySecond(asked, back))
		if worst > most && len(back) > 100 {
			t.Errorf("in one second came %.1f %% of those who came back", 100*worst)
		}
	}
	changes := stop()
	a.right(t, servers[0], 30*time.Second)
	a.noError(t)
	t.Logf("%d changes", changes)
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
