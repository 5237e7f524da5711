// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// maxInputLine bounds one line of an input.
const maxInputLine = 16 << 10

// looks is what there is to look at, one by one.
type looks struct {
	each     iter.Seq[probe.Subject] // to be ranged over once
	many     bool                    // an input of any length
	parallel int                     // how many at once
	err      error                   // why the input broke off
	input    io.Closer
	stop     func() // ends the reading of the input, nil where there is none
}

func (l *looks) close() error {
	if l.stop != nil {
		l.stop()
	}
	if l.input == nil {
		return nil
	}
	return l.input.Close()
}

// looks prepares the subjects of a run: nothing is dialed yet.
func (f *probeFlags) looks(base endpoint.Look, address string) (*looks, error) {
	if f.chosen("input") {
		return f.listed(base)
	}
	full, bad := parseAddress(f.kind, address)
	if bad != nil {
		return nil, bad
	}
	base.Name, base.Target.Address = full, full
	base.Target.SNI = f.serverName(full)
	l := &looks{each: repeated(base, f.count, f.interval), many: f.count > 1, parallel: 1}
	if f.chosen("parallel") {
		l.parallel = min(f.parallel, f.count)
	}
	return l, nil
}

// serverName is the SNI for an address: that of --sni, else the host, as any
// TLS client sends it; a sidecar's caller sends none of that kind.
func (f *probeFlags) serverName(address string) string {
	host, _, err := net.SplitHostPort(address)
	if f.kind != wire.TLS || f.chosen("sni") || err != nil || net.ParseIP(host) != nil || strings.Contains(host, "%") {
		return f.sni
	}
	return strings.TrimSuffix(host, ".")
}

// repeated is one endpoint count times, begun at least interval apart.
func repeated(look endpoint.Look, count int, interval time.Duration) iter.Seq[probe.Subject] {
	return func(yield func(probe.Subject) bool) {
		name := look.Name
		look.Started = time.Now()
		for i := range count {
			if count > 1 {
				look.Name = fmt.Sprintf("%s #%d", name, i+1)
			}
			if i > 0 {
				look.After = interval * time.Duration(i)
			}
			if !yield(look) {
				return
			}
		}
	}
}

// listed reads endpoints from a file or standard input as they are needed. The
// first one is read at once: what has none in it is told before there is a run.
func (f *probeFlags) listed(base endpoint.Look) (*looks, error) {
	in, closer, err := f.opened()
	if err != nil {
		return nil, err
	}
	base.Pace = endpoint.NewPace()
	l := &looks{many: true, parallel: wire.OpenLimit(), input: closer}
	next, stop := iter.Pull(func(yield func(entry) bool) { l.err = f.readInput(in, yield) })
	l.stop = stop
	first, ok := next()
	if !ok {
		return nil, errors.Join(l.err, l.close())
	}
	l.each = func(yield func(probe.Subject) bool) {
		for e, ok := first, true; ok; e, ok = next() {
			look := base
			look.Name, look.Target.Address = e.name, e.address
			look.Target.SNI = f.serverName(e.address)
			if e.sni != "" {
				look.Target.SNI = e.sni
			}
			if e.id != "" {
				look.Asked.Identity = e.id
			}
			if !yield(look) {
				return
			}
		}
	}
	return l, nil
}

// opened opens the input and, where it can be read twice, reads it once: what
// is wrong in it is told before anything is dialed.
func (f *probeFlags) opened() (io.Reader, io.Closer, error) {
	if f.input == "-" {
		return os.Stdin, nil, f.checked(os.Stdin)
	}
	file, err := os.Open(f.input)
	if err != nil {
		return nil, nil, &usageError{msg: fmt.Sprintf("--input: cannot read %q: %v", f.input, reason(err)), hint: "name a readable file, or - for standard input"}
	}
	if err := f.checked(file); err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, file, nil
}

func (f *probeFlags) checked(file *os.File) error {
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // a directory says so when it is read
	}
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("--input %s: %w", f.input, reason(err))
	}
	if err := f.readInput(file, func(entry) bool { return true }); err != nil {
		return err
	}
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return fmt.Errorf("--input %s: %w", f.input, reason(err))
	}
	return nil
}

// entry is one line of an input.
type entry struct{ name, address, sni, id string }

// readInput hands over the endpoints of an input until hand says no. Empty
// lines and lines that begin with # are passed over. The error names the line.
func (f *probeFlags) readInput(in io.Reader, hand func(entry) bool) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxInputLine)
	seen := names{}
	n, found := 0, false
	for lines.Scan() {
		n++
		text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		e, bad := f.parseEntry(text)
		if bad != nil {
			return &usageError{msg: fmt.Sprintf("--input %s line %d: %s", f.input, n, bad.msg), hint: bad.hint}
		}
		found = true
		e.name = seen.unique(e.address, n)
		if !hand(e) {
			return nil
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return &usageError{msg: fmt.Sprintf("--input %s line %d: it is longer than 16 KiB", f.input, n+1), hint: "one ADDRESS, or ADDRESS,SNI,EXPECT-ID, a line"}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("--input %s line %d: %w", f.input, n+1, reason(err))
	}
	if n == 0 {
		return &usageError{msg: fmt.Sprintf("--input %s is empty", f.input), hint: "one ADDRESS, or ADDRESS,SNI,EXPECT-ID, a line"}
	}
	if !found {
		return &usageError{msg: fmt.Sprintf("--input %s names no address", f.input), hint: "one ADDRESS, or ADDRESS,SNI,EXPECT-ID, a line"}
	}
	return nil
}

// parseEntry reads ADDRESS[,SNI[,EXPECT-ID]].
func (f *probeFlags) parseEntry(text string) (entry, *usageError) {
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace = true
	fields, err := r.Read()
	if err != nil {
		return entry{}, &usageError{msg: "it is no CSV: a quote is out of place", hint: "ADDRESS,SNI,EXPECT-ID, without quotes"}
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	if len(fields) > 3 {
		return entry{}, &usageError{msg: fmt.Sprintf("it has %d fields", len(fields)), hint: "at most three: ADDRESS,SNI,EXPECT-ID"}
	}
	fields = append(fields, "", "")
	address, bad := parseAddress(f.kind, fields[0])
	switch {
	case bad != nil:
		return entry{}, bad
	case fields[1] != "" && f.kind != wire.TLS && f.kind != wire.Sidecar:
		return entry{}, &usageError{msg: "HBONE sends no server name", hint: "leave the second field empty: ADDRESS,,EXPECT-ID"}
	case strings.ContainsAny(fields[1], " \t/:"), len(fields[1]) > 255:
		return entry{}, &usageError{msg: fmt.Sprintf("%q is no server name", fields[1]), hint: "ADDRESS,SNI,EXPECT-ID"}
	case fields[2] != "" && !spiffeID.MatchString(fields[2]):
		return entry{}, &usageError{msg: fmt.Sprintf("%q is no SPIFFE ID", fields[2]), hint: "for example: " + address + ",,spiffe://cluster.local/ns/shop/sa/reviews"}
	}
	return entry{address: address, sni: fields[1], id: fields[2]}, nil
}

// names keeps subjects apart. It remembers only so many addresses: in longer
// inputs every subject carries its line.
type names map[string]bool

const maxRemembered = 1 << 16

func (s names) unique(address string, line int) string {
	if s[address] || len(s) >= maxRemembered {
		return fmt.Sprintf("%s (line %d)", address, line)
	}
	s[address] = true
	return address
}
