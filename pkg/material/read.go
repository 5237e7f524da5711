// SPDX-License-Identifier: Apache-2.0

package material

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// The limits of an input. What exceeds the first two is refused; of the others,
// the rest is left out and a [CodeOmitted] problem says so.
const (
	MaxBytes        = 64 << 20
	MaxDepth        = 64 // of lists in lists, and of messages in a dump
	MaxCertificates = 5000
	MaxDocuments    = 5000
	MaxWorkloads    = 100_000
)

// Options guide the reading. The zero value recognises everything.
type Options struct {
	// Kind is what the input must be; empty recognises it. KindEnvoyDump stands
	// for any dump: of Envoy, of ztunnel, of istioctl.
	Kind Kind
	// TrustDomain names the trust domain of a SPIFFE bundle, which does not name
	// it itself.
	TrustDomain string
}

// Error is an input that cannot be read at all.
type Error struct {
	Source string // as the user named it
	Line   int    // from 1, 0 where there is none
	Offset int64  // in bytes, from 0; meaningful where Line is 0
	What   string // never quotes the input
	Hint   string // what to do, may be empty
	Err    error  // may be nil
}

// Error names the input, the place and what is wrong there.
func (e *Error) Error() string {
	at := e.Source
	switch {
	case e.Line > 0:
		at = fmt.Sprintf("%s: line %d", at, e.Line)
	case e.Offset > 0:
		at = fmt.Sprintf("%s: byte %d", at, e.Offset)
	}
	return "material: " + at + ": " + e.What
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Read reads the documents of one source: a file, a directory with the files of
// an Istio CA, "-" for stdin, or a SPIFFE ID itself. Errors are *[Error], or the
// context's.
func Read(ctx context.Context, source string, stdin io.Reader, opts Options) ([]Document, error) {
	return nil, errors.ErrUnsupported
}

// Parse reads the documents of a content that is at hand. source is what the
// documents and errors call it. It is pure: no clock, no file. Errors are *[Error].
func Parse(source string, content []byte, opts Options) ([]Document, error) {
	return nil, errors.ErrUnsupported
}

// ParseFiles reads a directory that is at hand, as a map from name to content.
// Errors are *[Error].
func ParseFiles(source string, files map[string][]byte, opts Options) ([]Document, error) {
	return nil, errors.ErrUnsupported
}
