package fanout

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never block, so they are made without telling the Go
// scheduler, which costs more than it could gain within the microseconds that
// they take. MSG_NOSIGNAL spares a signal for each reader that has gone.
const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

// send writes what the socket takes at once.
func send(fd int, b []byte) (int, unix.Errno) {
	if len(b) == 0 {
		return 0, 0
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), sendFlags, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), 0
	}
}

// maxParts is how many parts go into one call; Linux takes 1024.
const maxParts = 256

// sendAll writes as much of pieces as the socket takes.
func sendAll(fd int, pieces []piece) (total int, errno unix.Errno) {
	buffers := make([][]byte, 0, min(4*len(pieces), maxParts))
	want := 0
	flush := func() bool {
		if want == 0 {
			return true
		}
		n, err := unix.SendmsgBuffers(fd, buffers, nil, nil, sendFlags)
		if err != nil {
			errno, _ = err.(unix.Errno)
			return false
		}
		if total += n; n < want {
			errno = unix.EAGAIN
		}
		buffers, want = buffers[:0], 0
		return errno == 0
	}
	for _, p := range pieces {
		for _, part := range p.parts {
			buffers = append(buffers, part)
			want += len(part)
			if len(buffers) == maxParts && !flush() {
				return total, errno
			}
		}
	}
	flush()
	return total, errno
}

// receive reads into b what is there; 0 is the end.
func receive(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
