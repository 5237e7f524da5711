// SPDX-License-Identifier: Apache-2.0

//go:build unix

package kind

import "syscall"

// freeSpace is what the file system of a directory has left; false where the
// directory is not on this machine.
func freeSpace(dir string) (int64, bool) {
	var fs syscall.Statfs_t
	if dir == "" || syscall.Statfs(dir, &fs) != nil {
		return 0, false
	}
	return int64(fs.Bavail) * int64(fs.Bsize), true //nolint:gosec,unconvert // sizes of disks fit; the types differ by system
}
