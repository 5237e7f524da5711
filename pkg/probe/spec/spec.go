// SPDX-License-Identifier: Apache-2.0

// Package spec names the clauses that probes hold a mesh to.
//
// A probe never carries prose about a standard: it cites a [Clause] of this
// package, and the clause's [Level] decides whether a violation is a failure,
// a warning or a note. There is one file per document. Clauses of public
// standards quote the normative sentence; clauses of Istio, which has no
// normative text, say in this project's own words what Istio requires, and
// name the document or source file that shows it.
//
// The package states rules and judges nothing.
package spec

import "fmt"

// Level is how strongly a clause binds. The zero value is invalid, so a clause
// without a level cannot pass for a weak one.
type Level uint8

// The levels of RFC 2119. A violated Must is a failure, a violated Should a
// warning, a violated May a note.
const (
	levelUnset Level = iota
	Must
	Should
	May
)

// Valid reports whether l is one of Must, Should and May.
func (l Level) Valid() bool { return l > levelUnset && l <= May }

// String returns "must", "should" or "may", as written in reports.
func (l Level) String() string {
	switch l {
	case Must:
		return "must"
	case Should:
		return "should"
	case May:
		return "may"
	default:
		return fmt.Sprintf("level(%d)", uint8(l))
	}
}

// MarshalText writes the form of String. It fails for an invalid level.
func (l Level) MarshalText() ([]byte, error) {
	if !l.Valid() {
		return nil, fmt.Errorf("spec: invalid level %d", uint8(l))
	}
	return []byte(l.String()), nil
}

// UnmarshalText reads "must", "should" or "may".
func (l *Level) UnmarshalText(text []byte) error {
	for _, known := range []Level{Must, Should, May} {
		if known.String() == string(text) {
			*l = known
			return nil
		}
	}
	return fmt.Errorf("spec: unknown level %q", text)
}

// Clause is one sentence of a document that a mesh can violate. Clauses are
// comparable; two clauses may share a section.
type Clause struct {
	// Doc is the short name of the document, such as "X509-SVID" or "RFC 5280".
	Doc string
	// Section is the section within Doc, without the sign: "4.3". For Istio it
	// is the subject, such as "plug-in CA".
	Section string
	// Level is how strongly the sentence binds.
	Level Level
	// Quote is the sentence: verbatim for public standards, in this project's
	// words for Istio.
	Quote string
	// URL leads to the document or source file.
	URL string
}

// String returns the citation, such as "X509-SVID §2" or "Istio: plug-in CA".
func (c Clause) String() string {
	switch {
	case c.Section == "":
		return c.Doc
	case c.Section[0] < '0' || c.Section[0] > '9':
		return c.Doc + ": " + c.Section
	default:
		return c.Doc + " §" + c.Section
	}
}

// All returns every clause of this package, ordered by document and then as
// declared. The slice is the caller's.
func All() []Clause {
	var all []Clause
	for _, doc := range [][]Clause{
		spiffeID(), x509SVID(), spiffeBundle(), rfc2986(), rfc5280(), rfc7301(), rfc7468(),
		rfc8446(), rfc9113(), istio(), hbone(), endpoint(),
	} {
		all = append(all, doc...)
	}
	return all
}
