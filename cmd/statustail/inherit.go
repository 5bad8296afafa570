package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

// systemdListen is the address that stands for the sockets systemd hands
// over.
const systemdListen = "systemd"

// firstInherited is where they begin (sd_listen_fds(3)).
const firstInherited = 3

// inherited gives the sockets that systemd opened for this process. They stay
// open in systemd while the process is replaced, so that whoever connects
// meanwhile waits in the kernel's queue and is not refused.
func inherited(getenv func(string) string, pid int) ([]net.Listener, error) {
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 1 || getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, fmt.Errorf("listen on %s: systemd has handed over no socket; start it by statustail.socket, or give --listen an address", systemdListen)
	}
	var listeners []net.Listener
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		f := os.NewFile(uintptr(fd), fmt.Sprintf("socket %d of systemd", fd))
		l, err := net.FileListener(f) // has a descriptor of its own
		f.Close()
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return nil, fmt.Errorf("listen on %s: descriptor %d is no socket to listen on: %w", systemdListen, fd, err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}
