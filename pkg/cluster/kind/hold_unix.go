// SPDX-License-Identifier: Apache-2.0

//go:build unix

package kind

import (
	"errors"
	"os"
	"syscall"
)

// hold takes the lock of a directory, which the system gives back when the
// process ends in whatever way. It fails where somebody else has it.
func hold(dir string) (*os.File, error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
