// SPDX-License-Identifier: Apache-2.0

package report

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// maxSpooled is how many bytes all pieces of a spool hold in memory together.
const maxSpooled = 4 << 20

// spool keeps bytes for later, in pieces that grow independently. What does
// not fit in memory goes to one temporary file.
type spool struct {
	dir    string
	file   *os.File // nil until needed
	end    int64
	held   int
	pieces []*piece
}

// piece is what was added to one part of a spool, in order.
type piece struct {
	tail    []byte
	extents []extent
}

type extent struct{ off, size int64 }

func newSpool(dir string) *spool { return &spool{dir: dir} }

// piece starts a new piece.
func (s *spool) piece() *piece {
	p := &piece{}
	s.pieces = append(s.pieces, p)
	return p
}

// grew accounts for n bytes that were appended to the tail of a piece.
func (s *spool) grew(n int) error {
	s.held += n
	if s.held < maxSpooled {
		return nil
	}
	return s.spill()
}

func (s *spool) spill() error {
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, ".meshprobe-spool-*")
		if err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		s.file = f
	}
	for _, p := range s.pieces {
		if len(p.tail) == 0 {
			continue
		}
		if _, err := s.file.Write(p.tail); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		p.extents = append(p.extents, extent{s.end, int64(len(p.tail))})
		s.end += int64(len(p.tail))
		// Few pieces keep their memory, thousands would add up to too much.
		if p.tail = p.tail[:0]; cap(p.tail) > 2*maxSpooled/len(s.pieces) {
			p.tail = nil
		}
	}
	s.held = 0
	return nil
}

// writeTo writes a piece to w.
func (s *spool) writeTo(w io.Writer, p *piece) error {
	for _, e := range p.extents {
		if _, err := io.Copy(w, io.NewSectionReader(s.file, e.off, e.size)); err != nil {
			return err
		}
	}
	_, err := w.Write(p.tail)
	return err
}

// close removes the temporary file.
func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	err := errors.Join(s.file.Close(), os.Remove(s.file.Name()))
	s.file = nil
	return err
}
