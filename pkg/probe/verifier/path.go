// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"slices"
)

// maxSteps bounds the search for a path among certificates of equal names.
const maxSteps = 256

// path is how certificates really hang together, by name and signature alone,
// whatever else is wrong with them.
type path struct {
	certs []*x509.Certificate // leaf first, ending with the anchor if there is one
	// anchored reports whether the last certificate is of the trust bundle.
	anchored bool
}

// top is the last certificate of the path.
func (p path) top() *x509.Certificate { return p.certs[len(p.certs)-1] }

// intermediates are the certificates between the leaf and the anchor; the
// first of them is at depth 1.
func (p path) intermediates() []*x509.Certificate {
	end := len(p.certs)
	if p.anchored {
		end--
	}
	if end <= 1 {
		return nil
	}
	return p.certs[1:end]
}

// realPath finds an anchored path or else the longest that there is.
func (in input) realPath() path {
	if in.known.path == nil {
		s := search{in: in}
		s.climb([]*x509.Certificate{in.leaf})
		in.known.path = &s.best
	}
	return *in.known.path
}

type search struct {
	in    input
	best  path
	steps int
}

// climb extends certs and reports whether it found an anchor.
func (s *search) climb(certs []*x509.Certificate) bool {
	s.steps++
	if len(certs) > len(s.best.certs) {
		s.best = path{certs: slices.Clone(certs)}
	}
	last := certs[len(certs)-1]
	if slices.ContainsFunc(s.in.opts.Roots, last.Equal) {
		s.best = path{certs: slices.Clone(certs), anchored: true}
		return true
	}
	for _, root := range s.in.opts.Roots {
		if sameName(last, root) && s.in.signedBy(last, root) == nil {
			s.best = path{certs: append(slices.Clone(certs), root), anchored: true}
			return true
		}
	}
	if s.in.selfSigned(last) {
		return false
	}
	for _, c := range s.in.sent {
		if s.steps >= maxSteps {
			return false
		}
		if slices.ContainsFunc(certs, c.Equal) || !sameName(last, c) || s.in.signedBy(last, c) != nil {
			continue
		}
		if s.climb(append(slices.Clone(certs), c)) {
			return true
		}
	}
	return false
}

// depthOf returns the depth of c in the real path, or in the chain as sent.
func (in input) depthOf(c *x509.Certificate) int {
	if c == nil {
		return 0
	}
	if i := slices.IndexFunc(in.realPath().certs, c.Equal); i >= 0 {
		return i
	}
	return slices.IndexFunc(in.sent, c.Equal) + 1
}
