// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"syscall"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// notOffered tells an interface that is closed from one that fails: of a port
// that nothing listens on, nobody can be asked.
func notOffered(what string, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return &cluster.NotOfferedError{What: what, Err: err}
	}
	return err
}
