package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

type options struct {
	n, rounds, publishes, size, churn int
	kinds, phases                     []string
}

// A subject is a server under test, its load generator, and what was seen.
type subject struct {
	name   string
	addr   string
	server *child
	load   *child
	seq    int

	memory            float64 // bytes per idle subscriber
	accepts           float64 // per second
	cpu               []time.Duration
	median, p99, last []time.Duration
	stall             string
}

func newSubject(kind string) (*subject, error) {
	s := &subject{name: kind}
	var err error
	if s.server, err = start("serve", kind); err != nil {
		return nil, err
	}
	if s.load, err = start("load"); err != nil {
		s.stop()
		return nil, err
	}
	a, err := s.server.hear()
	s.addr = a.Addr
	return s, err
}

func (s *subject) stop() {
	s.load.stop()
	s.server.stop()
}

func (s *subject) connect(n int) (answer, error) {
	return s.load.ask(order{Do: "connect", N: n, Addr: s.addr})
}

// deliver publishes one event and waits until every reader has it.
func (s *subject) deliver(size int, patience time.Duration) (answer, error) {
	s.seq++
	if _, err := s.load.ask(order{Do: "await", From: s.seq, Over: patience}); err != nil {
		return answer{}, err
	}
	if _, err := s.server.ask(order{Do: "publish", Size: size}); err != nil {
		return answer{}, err
	}
	return s.load.hear()
}

func run(o options) error {
	fmt.Printf("%s, %d processors, %s, %s\n\n", kernel(), runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format(time.DateOnly))
	phases := map[string]func(options) error{
		"fanout": fanoutPhase, "stall": nil, "stalled100": stalledPhase, "burst": burstPhase, "churn": churnPhase,
	}
	for _, p := range o.phases {
		f, ok := phases[p]
		if !ok {
			return fmt.Errorf("no phase %q", p)
		}
		if f != nil {
			if err := f(o); err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
		}
	}
	return nil
}

// fanoutPhase has all servers up with all their readers, and measures them in
// turn, round by round, so that whatever else the machine does hits all.
func fanoutPhase(o options) error {
	var subjects []*subject
	defer func() {
		for _, s := range subjects {
			s.stop()
		}
	}()
	for _, kind := range o.kinds {
		s, err := newSubject(kind)
		if err != nil {
			return err
		}
		subjects = append(subjects, s)
		first := o.n / 3
		if _, err := s.connect(first); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if _, err := s.deliver(o.size, 30*time.Second); err != nil { // warm up
			return fmt.Errorf("%s: %w", kind, err)
		}
		time.Sleep(time.Second)
		few, err := s.server.ask(order{Do: "memory"})
		if err != nil {
			return err
		}
		c, err := s.connect(o.n - first)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if _, err := s.deliver(o.size, 30*time.Second); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		time.Sleep(time.Second)
		many, err := s.server.ask(order{Do: "memory"})
		if err != nil {
			return err
		}
		s.memory = float64(many.RSS-few.RSS) / float64(o.n-first)
		s.accepts = float64(o.n-first) / c.Took.Seconds()
		fmt.Fprintf(os.Stderr, "%-20s %d connected, %.0f/s, %.2f KB each (%d KB in all)\n", kind, c.Connected, s.accepts, s.memory/1024, many.RSS>>10)
	}
	for round := range o.rounds {
		spent, got := make([]time.Duration, len(subjects)), make([]int, len(subjects))
		for range o.publishes {
			for i, s := range subjects {
				before, err := s.server.ask(order{Do: "cpu"})
				if err != nil {
					return err
				}
				a, err := s.deliver(o.size, 30*time.Second)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				after, err := s.server.ask(order{Do: "cpu"})
				if err != nil {
					return err
				}
				if a.Got != a.Connected || a.Disordered > 0 {
					return fmt.Errorf("%s: %d of %d readers got the event, %d out of order, %d lost", s.name, a.Got, a.Connected, a.Disordered, a.Lost)
				}
				spent[i] += after.CPU - before.CPU
				got[i] += a.Got
				s.median, s.p99, s.last = append(s.median, a.Median), append(s.p99, a.P99), append(s.last, a.Last)
			}
		}
		for i, s := range subjects {
			s.cpu = append(s.cpu, spent[i]/time.Duration(got[i]))
			fmt.Fprintf(os.Stderr, "round %d %-20s %v per delivery\n", round+1, s.name, s.cpu[round])
		}
	}
	if slices.Contains(o.phases, "stall") {
		for _, s := range subjects {
			var err error
			if s.stall, err = oneStalled(s.name); err != nil {
				return fmt.Errorf("%s: stall: %w", s.name, err)
			}
		}
	}
	base := subjects[0]
	fmt.Printf("%d subscribers of one stream, events of %d bytes, medians of %d rounds of %d events, the servers taking turns event by event.\n\n", o.n, o.size, o.rounds, o.publishes)
	fmt.Printf("| server | memory per idle subscriber | CPU per delivery | × %s | median | p99 | last | connections/s | one stalled reader |\n|---|---|---|---|---|---|---|---|---|\n", base.name)
	for _, s := range subjects {
		// The ratio of each round, then the median: what the machine did
		// meanwhile is in both.
		var ratios []float64
		for i := range s.cpu {
			ratios = append(ratios, float64(s.cpu[i])/float64(base.cpu[i]))
		}
		fmt.Printf("| %s | %.2f KB | %.1f µs | %.2f | %s | %s | %s | %.0f | %s |\n", s.name, s.memory/1024,
			float64(median(s.cpu))/1e3, median(ratios), ms(median(s.median)), ms(median(s.p99)), ms(median(s.last)), s.accepts, s.stall)
	}
	fmt.Println()
	return nil
}

// oneStalled says what one reader that stops reading does to 200 others,
// when 16 MB are published.
func oneStalled(kind string) (string, error) {
	s, err := newSubject(kind)
	if err != nil {
		return "", err
	}
	defer s.stop()
	if _, err := s.connect(200); err != nil {
		return "", err
	}
	measure := func() (late time.Duration, all bool, err error) {
		var p99 []time.Duration
		for range 256 {
			a, err := s.deliver(64<<10, 5*time.Second)
			if err != nil {
				return 0, false, err
			}
			if a.Got < a.Connected {
				return 0, false, nil
			}
			p99 = append(p99, a.P99)
		}
		return median(p99), true, nil
	}
	without, all, err := measure()
	if err != nil || !all {
		return "loses events without one", err
	}
	stalled, err := start("load")
	if err != nil {
		return "", err
	}
	defer stalled.stop()
	if _, err := stalled.ask(order{Do: "connect", N: 1, Addr: s.addr, Stall: true}); err != nil {
		return "", err
	}
	with, all, err := measure()
	switch {
	case err != nil:
		return "", err
	case !all:
		return "stops all others", nil
	}
	return fmt.Sprintf("p99 × %.2f", float64(with)/float64(without)), nil
}

// stalledPhase has two servers with the same readers, one of them with 100
// more that have stalled, and publishes on one and the other in turn.
func stalledPhase(o options) error {
	const kind, count = "statustail", 100
	var subjects [2]*subject // without and with
	for i := range subjects {
		s, err := newSubject(kind)
		if err != nil {
			return err
		}
		defer s.stop()
		subjects[i] = s
		if _, err := s.connect(o.n); err != nil {
			return err
		}
	}
	with := subjects[1]
	stalled, err := start("load")
	if err != nil {
		return err
	}
	defer stalled.stop()
	if _, err := stalled.ask(order{Do: "connect", N: count, Addr: with.addr, Stall: true}); err != nil {
		return err
	}
	for range 20 { // more than their buffers hold
		for _, s := range subjects {
			if _, err := s.deliver(16<<10, 30*time.Second); err != nil {
				return err
			}
		}
	}
	for range 5 { // and what that left behind has gone
		for _, s := range subjects {
			if _, err := s.deliver(o.size, 30*time.Second); err != nil {
				return err
			}
		}
	}
	time.Sleep(time.Second)
	before, err := with.server.ask(order{Do: "memory"})
	if err != nil {
		return err
	}
	var ratios []float64
	for range o.rounds * o.publishes {
		var p99 [2]time.Duration
		for i, s := range subjects {
			a, err := s.deliver(o.size, 30*time.Second)
			if err != nil {
				return err
			}
			if a.Got != a.Connected {
				return fmt.Errorf("%d of %d got the event", a.Got, a.Connected)
			}
			p99[i] = a.P99
			s.p99 = append(s.p99, a.P99)
		}
		ratios = append(ratios, float64(p99[1])/float64(p99[0]))
	}
	time.Sleep(50 * time.Millisecond) // counts are passed on after a pass
	after, err := with.server.ask(order{Do: "memory"})
	if err != nil {
		return err
	}
	events := o.rounds * o.publishes
	fmt.Printf("%d stalled among %d readers, %d events: p99 of the others %s, on a server without them %s, median ratio %.2f (events in turn). "+
		"Deliveries skipped: %.0f, which is %.0f for each event: no call is made on a stalled socket. Resident memory %d KB before, %d KB after.\n\n",
		count, o.n, events, ms(median(with.p99)), ms(median(subjects[0].p99)), median(ratios),
		after.Skips-before.Skips, (after.Skips-before.Skips)/float64(events), before.RSS>>10, after.RSS>>10)
	return nil
}

// burstPhase publishes 1,000 events in a second.
func burstPhase(o options) error {
	s, err := newSubject("statustail")
	if err != nil {
		return err
	}
	defer s.stop()
	n := min(5000, o.n)
	if _, err := s.connect(n); err != nil {
		return err
	}
	const events = 1000
	before, err := s.server.ask(order{Do: "stats"})
	if err != nil {
		return err
	}
	if _, err := s.load.ask(order{Do: "await", From: events, Over: 30 * time.Second}); err != nil {
		return err
	}
	b, err := s.server.ask(order{Do: "burst", N: events, Over: time.Second, Size: o.size})
	if err != nil {
		return err
	}
	a, err := s.load.hear()
	if err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond)
	after, err := s.server.ask(order{Do: "stats"})
	if err != nil {
		return err
	}
	writes := after.Writes - before.Writes
	fmt.Printf("%d events in %s to %d readers: %d got the last one (after %s at most), %d out of order, %d resumed, %d lost; the slowest publish took %s; %.0f writes, %.1f events in each.\n\n",
		events, ms(b.All), n, a.Got, ms(a.Last), a.Disordered, a.Resumed, a.Lost, b.Took, writes, (after.Frames-before.Frames)/writes)
	return nil
}

// churnPhase opens and closes many connections in random order.
func churnPhase(o options) error {
	s, err := newSubject("statustail")
	if err != nil {
		return err
	}
	defer s.stop()
	settle := func() (answer, error) {
		time.Sleep(2 * time.Second)
		return s.server.ask(order{Do: "memory"})
	}
	if _, err := s.load.ask(order{Do: "churn", N: 100, Addr: s.addr}); err != nil { // start everything
		return err
	}
	var took time.Duration
	var seen [3]answer
	for i := range seen {
		if i > 0 {
			a, err := s.load.ask(order{Do: "churn", N: o.churn, Addr: s.addr})
			if err != nil {
				return err
			}
			took = a.Took
		}
		if seen[i], err = settle(); err != nil {
			return err
		}
	}
	fmt.Printf("%d connections opened and closed in random order in %s, and the same again:\n\n| | before | after | after the second time |\n|---|---|---|---|\n", o.churn, took.Round(100*time.Millisecond))
	for _, row := range []struct {
		name  string
		value func(answer) int
	}{
		{"descriptors", func(a answer) int { return a.Descriptors }},
		{"goroutines", func(a answer) int { return a.Goroutines }},
		{"heap, KB", func(a answer) int { return a.Heap >> 10 }},
		{"resident, KB", func(a answer) int { return a.RSS >> 10 }},
	} {
		fmt.Printf("| %s | %d | %d | %d |\n", row.name, row.value(seen[0]), row.value(seen[1]), row.value(seen[2]))
	}
	fmt.Println()
	return nil
}

func median[T int | float64 | time.Duration](v []T) T {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

func kernel() string {
	b, err := os.ReadFile("/proc/version")
	if err != nil {
		return "unknown kernel"
	}
	var name, version, release string
	_, _ = fmt.Sscan(string(b), &name, &version, &release)
	return name + " " + release
}
