// SPDX-License-Identifier: Apache-2.0

//go:build unix

package wire

import "syscall"

// reservedFDs are for everything else that the process has open.
const reservedFDs = 256

// OpenLimit is how many connections may be open at once: what the limit of file
// descriptors leaves, at most 4096. Each endpoint has one connection at a time.
// Those that only wait cost no more than that, so it should be used up, and the
// [Gate] be small.
func OpenLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < reservedFDs+16 {
		return 16
	}
	return int(min(limit.Cur-reservedFDs, maxOpen))
}
