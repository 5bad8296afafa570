//go:build unix

package main

import (
	"math"
	"syscall"
)

// descriptorLimit is how many descriptors this process may have; 0: no limit.
// Go has raised it to the hard limit by the time this is asked.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}
