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

// maxPieces is how many pieces go into one call; Linux takes 1024.
const maxPieces = 256

// sendAll writes as much of pieces as the socket takes.
func sendAll(fd int, pieces []piece) (total int, errno unix.Errno) {
	for len(pieces) > 0 {
		batch := pieces[:min(len(pieces), maxPieces)]
		pieces = pieces[len(batch):]
		buffers := make([][]byte, len(batch))
		want := 0
		for i, p := range batch {
			buffers[i] = p.data
			want += len(p.data)
		}
		n, err := unix.SendmsgBuffers(fd, buffers, nil, nil, sendFlags)
		if err != nil {
			errno, _ := err.(unix.Errno)
			return total, errno
		}
		if total += n; n < want {
			return total, unix.EAGAIN
		}
	}
	return total, 0
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
