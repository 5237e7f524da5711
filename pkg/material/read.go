// SPDX-License-Identifier: Apache-2.0

package material

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The limits of an input. What exceeds one of the first four is refused; of the
// others, the rest is left out and a [CodeOmitted] problem says so.
const (
	MaxBytes        = 64 << 20
	MaxYAMLBytes    = 8 << 20   // YAML takes a hundred times its size to read
	MaxDepth        = 100       // of lists in lists, and of messages in a dump
	MaxNodes        = 4_000_000 // values in a section of a dump
	MaxCertificates = 5000
	MaxDocuments    = 5000
	MaxContexts     = 5000
	MaxWorkloads    = 100_000
)

// Options guide the reading. The zero value recognises everything.
type Options struct {
	// Kind is what the input must hold; empty recognises it. KindChain and
	// KindBundle say how plain certificates are meant, KindCACerts that a
	// kubernetes.io/tls Secret of any name is a CA, and KindEnvoyDump stands for a
	// dump of any sort. Documents of other kinds are left out.
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
// an Istio CA or of a workload, "-" for stdin, or a SPIFFE ID itself. Errors are
// *[Error], or the context's.
func Read(ctx context.Context, source string, stdin io.Reader, opts Options) ([]Document, error) {
	if source == "-" {
		content, err := slurp(ctx, "stdin", stdin)
		if err != nil {
			return nil, err
		}
		return Parse("stdin", content, opts)
	}
	if isID(source) {
		return Parse(source, []byte(source), opts)
	}
	info, err := os.Stat(source)
	switch {
	case err != nil && opts.Kind == KindSPIFFEID && errors.Is(err, fs.ErrNotExist):
		return Parse(source, []byte(source), opts)
	case err != nil:
		return nil, unreadable(source, err)
	case info.IsDir():
		files, err := readDir(ctx, source)
		if err != nil {
			return nil, err
		}
		return ParseFiles(source, files, opts)
	}
	content, err := readFile(ctx, source, source)
	if err != nil {
		return nil, err
	}
	return Parse(source, content, opts)
}

// Parse reads the documents of a content that is at hand. source is what the
// documents and errors call it. It is pure: no clock, no file. Errors are *[Error].
func Parse(source string, content []byte, opts Options) ([]Document, error) {
	r := &reader{source: source, opts: opts}
	if len(content) > MaxBytes {
		return nil, r.tooLarge()
	}
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, &Error{Source: source, What: "is empty", Hint: "check the command or mount that wrote it"}
	}
	docs, err := r.recognise(content)
	if err != nil {
		return nil, err
	}
	return r.demanded(docs)
}

// ParseFiles reads a directory that is at hand, as a map from name to content.
// Errors are *[Error].
func ParseFiles(source string, files map[string][]byte, opts Options) ([]Document, error) {
	r := &reader{source: source, opts: opts}
	total := 0
	for _, content := range files {
		total += len(content)
	}
	if total > MaxBytes {
		return nil, r.tooLarge()
	}
	d, err := r.directory(files)
	if err != nil {
		return nil, err
	}
	return r.demanded([]Document{d})
}

// reader reads one source.
type reader struct {
	source string
	opts   Options
	certs  int // so far, of MaxCertificates
}

func (r *reader) fail(what, hint string) *Error {
	return &Error{Source: r.source, What: what, Hint: hint}
}

func (r *reader) tooLarge() *Error {
	return r.fail(fmt.Sprintf("is larger than %d MiB", MaxBytes>>20), "pass the part that matters")
}

// slurp reads at most MaxBytes and one, between looks at the context.
func slurp(ctx context.Context, source string, from io.Reader) ([]byte, error) {
	var out bytes.Buffer
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := io.CopyN(&out, from, 1<<20)
		switch {
		case out.Len() > MaxBytes:
			return nil, (&reader{source: source}).tooLarge()
		case errors.Is(err, io.EOF):
			return out.Bytes(), nil
		case err != nil:
			return nil, unreadable(source, err)
		case n == 0:
			return out.Bytes(), nil
		}
	}
}

// readFile reads the file at path for what the user called source.
func readFile(ctx context.Context, source, path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(source, err)
	}
	defer f.Close()
	return slurp(ctx, source, f)
}

// unreadable is an Error without the path that os puts into its own.
func unreadable(source string, err error) *Error {
	why := err
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		why = p.Err
	}
	e := &Error{Source: source, What: "cannot be read: " + why.Error(), Err: err}
	if errors.Is(err, fs.ErrNotExist) {
		e.What, e.Hint = "there is no such file", "a SPIFFE ID starts with spiffe://, - is stdin; a Secret is read from `kubectl get secret NAME -o yaml`"
	}
	return e
}

// readDir reads those files of a directory that this package knows.
func readDir(ctx context.Context, dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	total := 0
	for _, name := range knownFiles() {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
			continue
		}
		if err != nil {
			return nil, unreadable(path, err)
		}
		content, err := readFile(ctx, path, path)
		if err != nil {
			return nil, err
		}
		if total += len(content); total > MaxBytes {
			return nil, (&reader{source: dir}).tooLarge()
		}
		files[name] = content
	}
	return files, nil
}

// demanded keeps the documents of the kind that the options ask for.
func (r *reader) demanded(docs []Document) ([]Document, error) {
	if len(docs) > MaxDocuments {
		more := len(docs) - MaxDocuments
		docs = docs[:MaxDocuments]
		last := &docs[MaxDocuments-1]
		last.Problems = append(last.Problems, Problem{Code: CodeOmitted, What: fmt.Sprintf("%d more documents are left out", more)})
	}
	if r.opts.Kind == "" {
		return docs, nil
	}
	var kept []Document
	var have []string
	for _, d := range docs {
		if as, ok := d.as(r.opts.Kind); ok {
			kept = append(kept, as)
		} else if !slices.Contains(have, string(d.Kind)) {
			have = append(have, string(d.Kind))
		}
	}
	if len(kept) == 0 {
		return nil, r.fail(fmt.Sprintf("holds no %s, but %s", r.opts.Kind, strings.Join(have, ", ")),
			"meshprobe inspect "+r.source+" takes it for what it is")
	}
	return kept, nil
}

// as is the document taken for one of the kind.
func (d Document) as(kind Kind) (Document, bool) {
	switch kind {
	case d.Kind:
		return d, true
	case KindChain:
		if d.Kind == KindBundle {
			d.Kind, d.Certificates, d.Roots = KindChain, d.Roots, nil
		}
		return d, len(d.Certificates) > 0
	case KindBundle:
		if d.Kind == KindChain && len(d.Roots) == 0 {
			d.Kind, d.Roots, d.Certificates = KindBundle, d.Certificates, nil
		}
		return d, len(d.Roots) > 0 || len(d.TrustDomains) > 0 && d.Kind != KindSPIFFEID
	case KindCSR:
		return d, d.Request != nil
	case KindCRL:
		return d, len(d.CRLs) > 0
	case KindEnvoyDump:
		return d, d.Kind == KindProxySecret || d.Kind == KindZtunnelDump
	case KindKey:
		return d, d.Key != nil
	default:
		return d, false
	}
}
