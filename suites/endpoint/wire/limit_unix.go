// SPDX-License-Identifier: Apache-2.0

//go:build unix

package wire

import "syscall"

// OpenLimit is how many connections may be open at once: what the limit of file
// descriptors leaves, at most 4096. Each endpoint has one connection at a time.
func OpenLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return maxYoung
	}
	if limit.Cur > maxOpen+reservedFDs {
		return maxOpen
	}
	return max(int(limit.Cur)-reservedFDs, 16)
}
