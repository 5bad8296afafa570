package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// An order is one line to a child process; which fields count depends on Do.
type order struct {
	Do    string
	N     int           `json:",omitempty"`
	From  int           `json:",omitempty"` // a sequence number
	Size  int           `json:",omitempty"`
	Over  time.Duration `json:",omitempty"`
	Addr  string        `json:",omitempty"`
	Stall bool          `json:",omitempty"`
}

// An answer is one line from a child process.
type answer struct {
	Err string `json:",omitempty"`

	// Servers.
	Addr                          string
	CPU, Took                     time.Duration
	RSS, Heap, Descriptors        int
	Goroutines                    int
	Writes, Frames, Skips, Resume float64

	// Load generators.
	Connected, Got, Lost   int
	Resumed, Disordered    int
	Median, P99, Last, All time.Duration
}

// A child is this program in another role.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, args...)}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	return c, c.cmd.Start()
}

// tell sends an order, to be answered later.
func (c *child) tell(o order) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = c.in.Write(append(b, '\n'))
	return err
}

func (c *child) hear() (a answer, err error) {
	if !c.out.Scan() {
		return a, fmt.Errorf("%v: ended: %v", c.cmd.Args[1:], c.out.Err())
	}
	if err := json.Unmarshal(c.out.Bytes(), &a); err != nil {
		return a, fmt.Errorf("%v: %w", c.cmd.Args[1:], err)
	}
	if a.Err != "" {
		return a, fmt.Errorf("%v: %s", c.cmd.Args[1:], a.Err)
	}
	return a, nil
}

func (c *child) ask(o order) (answer, error) {
	if err := c.tell(o); err != nil {
		return answer{}, err
	}
	return c.hear()
}

// stop ends the process and waits for it.
func (c *child) stop() {
	if c == nil {
		return
	}
	_ = c.in.Close()
	done := make(chan struct{})
	go func() { _ = c.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		_ = c.cmd.Process.Kill()
		<-done
	}
}

// obey answers orders from standard input until it ends.
func obey(do func(order) answer) error {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var o order
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			return err
		}
		reply(do(o))
	}
	return in.Err()
}

func reply(a answer) {
	b, err := json.Marshal(a)
	if err != nil {
		b = fmt.Appendf(nil, `{"Err":%q}`, err.Error())
	}
	os.Stdout.Write(append(b, '\n'))
}
