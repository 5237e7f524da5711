// SPDX-License-Identifier: Apache-2.0

package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// reportMode is the mode of a report: CI collects it as another user.
const reportMode = 0o644

// File makes a reporter that writes a file. The file appears, complete and
// with mode 0644, when the sink is closed: until then it is a temporary file
// in the same directory, and where anything goes wrong, or no event came,
// nothing is left and a file of that name stays what it was. A symbolic link
// is followed; what is no regular file (a pipe, a terminal) is written
// directly.
//
// An error means that the format is unknown (*FormatError) or that the file
// cannot be written, before anything has run.
func File(path, format string, opts Options) (probe.Sink, error) {
	path, special, err := target(path)
	if err != nil {
		return nil, err
	}
	s := &fileSink{path: path, special: special}
	if special {
		s.file, err = os.OpenFile(path, os.O_WRONLY, 0)
	} else {
		s.file, err = os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	}
	if err != nil {
		return nil, writeError(path, err)
	}
	if !special && opts.TempDir == "" {
		opts.TempDir = filepath.Dir(path)
	}
	opts.lazy = !special
	s.sink, err = reporter(format, s.file, opts)
	if err != nil {
		s.discard()
		return nil, err
	}
	return s, nil
}

// target resolves links, and says whether path is anything but a regular file
// that may be replaced.
func target(path string) (resolved string, special bool, err error) {
	if path == "" {
		return "", false, errors.New("report: a file needs a name")
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, false, nil
	}
	if err != nil {
		return "", false, writeError(path, err)
	}
	if info.IsDir() {
		return "", false, fmt.Errorf("report: %s is a directory", path)
	}
	if resolved, err = filepath.EvalSymlinks(path); err != nil {
		return "", false, writeError(path, err)
	}
	if !info.Mode().IsRegular() {
		return resolved, true, nil
	}
	// Replacing needs only the directory, but a read-only report is meant to
	// stay.
	f, err := os.OpenFile(resolved, os.O_WRONLY, 0)
	if err != nil {
		return "", false, writeError(path, err)
	}
	return resolved, false, f.Close()
}

// writeError says once which file is meant, and why not.
func writeError(path string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return fmt.Errorf("report: write %s: %w", path, err)
}

type fileSink struct {
	path    string
	special bool
	file    *os.File
	sink    probe.Sink
	begun   bool
	err     error
}

var _ probe.Sink = (*fileSink)(nil)

func (s *fileSink) Emit(e probe.Event) error {
	if s.err != nil {
		return s.err
	}
	s.begun = true
	if err := s.sink.Emit(e); err != nil {
		s.err = writeError(s.path, err)
	}
	return s.err
}

func (s *fileSink) Close() error {
	if s.begun {
		if err := s.sink.Close(); err != nil && s.err == nil {
			s.err = writeError(s.path, err)
		}
	}
	if s.err == nil && s.begun {
		if err := s.commit(); err != nil {
			s.err = writeError(s.path, err)
			return s.err
		}
		return nil
	}
	s.discard()
	return s.err
}

func (s *fileSink) commit() error {
	if s.special {
		return s.file.Close()
	}
	err := errors.Join(s.file.Sync(), s.file.Chmod(reportMode), s.file.Close())
	if err == nil {
		err = os.Rename(s.file.Name(), s.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(s.file.Name()))
	}
	return nil
}

func (s *fileSink) discard() {
	_ = s.file.Close()
	if !s.special {
		_ = os.Remove(s.file.Name())
	}
}
