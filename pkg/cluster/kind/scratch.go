// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"errors"
	"os"
	"path/filepath"
)

// scratch is a directory of files that only one set-up needs, credentials among
// them. It is held by a lock that ends with the process.
type scratch struct {
	dir  string
	lock *os.File
}

// scratchName is the name of the directories of a mesh's set-ups, for
// os.MkdirTemp and for a glob.
func scratchName(mesh, rest string) string { return "meshprobe-kind-" + mesh + "-" + rest }

func newScratch(mesh string) (scratch, error) {
	dir, err := os.MkdirTemp("", scratchName(mesh, ""))
	if err != nil {
		return scratch{}, err
	}
	lock, err := hold(dir)
	if err != nil {
		return scratch{}, errors.Join(err, os.RemoveAll(dir))
	}
	return scratch{dir, lock}, nil
}

// remove removes it.
func (s scratch) remove() error {
	return errors.Join(os.RemoveAll(s.dir), s.lock.Close())
}

// Sweep removes what set-ups that were killed left in this machine's directory
// for temporary files, credentials among it, also of those that never came to a
// container, and leaves alone what a running set-up holds. It returns what it
// removed.
func Sweep() ([]string, error) {
	found, err := filepath.Glob(filepath.Join(os.TempDir(), scratchName("*", "*")))
	if err != nil {
		return nil, in("sweep", "", err)
	}
	var removed []string
	var errs []error
	for _, dir := range found {
		lock, err := hold(dir)
		if err != nil {
			continue // somebody works there, or it is not ours
		}
		err = scratch{dir, lock}.remove()
		errs = append(errs, err)
		if err == nil {
			removed = append(removed, dir)
		}
	}
	return removed, in("sweep", "", errors.Join(errs...))
}
