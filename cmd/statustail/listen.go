package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// listen opens host:port or unix:/path, or takes what systemd has opened.
func listen(address string) ([]net.Listener, error) {
	if address == systemdListen {
		return inherited(os.Getenv, os.Getpid())
	}
	l, err := listenOn(address)
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

func listenOn(address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, "unix:")
	if !unix {
		l, err := net.Listen("tcp", address)
		return l, listenError(address, err)
	}
	// A socket file outlives a server that was killed. It may go when nobody
	// answers on it.
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("listen on %s: another server is listening there", address)
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			os.Remove(path)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, listenError(address, err)
	}
	// nginx runs as a user of its own. Who may reach the socket is a matter
	// of the folder it is in.
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

func listenError(address string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: the address is in use; stop the other program or choose another with the flag", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: not permitted; ports below 1024 need privileges", address)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}
