package main

import (
	"io"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestInheritedIsForThisProcessOnly(t *testing.T) {
	for _, env := range []map[string]string{
		{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "0", "LISTEN_PID": "7"}, {"LISTEN_FDS": "x", "LISTEN_PID": "7"}, {"LISTEN_FDS": "1", "LISTEN_PID": "8"},
	} {
		_, err := inherited(func(name string) string { return env[name] }, 7)
		if err == nil || !strings.Contains(err.Error(), "systemd has handed over no socket") {
			t.Errorf("%v: %v", env, err)
		}
	}
}

// The descriptors have fixed numbers, so the socket is handed to a process of
// its own: this test, again.
func TestInherited(t *testing.T) {
	if os.Getenv("LISTEN_FDS") != "" {
		listeners, err := inherited(os.Getenv, os.Getpid())
		if err != nil || len(listeners) != 1 {
			t.Fatal(len(listeners), err)
		}
		c, err := listeners[0].Accept()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "here")
		c.Close()
		listeners[0].Close()
		return
	}
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The shell knows the pid that the program will have.
	cmd := osexec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestInherited$'`, os.Args[0])
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1")
	cmd.ExtraFiles = []*os.File{f}
	c, err := net.Dial("unix", path) // waits in the queue until somebody takes it
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if said, err := io.ReadAll(c); err != nil || string(said) != "here" {
		t.Errorf("the other process said %q, %v", said, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the socket went with the process: %v", err)
	}
}
