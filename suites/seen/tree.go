// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// Tree draws a chain as a peer sent it, as the tree that its certificates form
// by signature: issuers above what they signed, each with its position in the
// chain. An issuer that is missing, a wrong order, repetitions, certificates
// that do not belong and names that stand for two keys are said aloud, on lines
// that begin with "!". The lines end without a newline.
func Tree(chain Certs, at time.Time) string { return draw(chain, nil, true, at) }

// TreeUnder is Tree with the trust anchors of the side that verifies: the one
// at which the chain ends stands on top, and where there is none, what is like
// it is named.
func TreeUnder(chain, anchors Certs, at time.Time) string { return draw(chain, anchors, true, at) }

// Forest draws certificates that are no chain, such as a trust bundle: their
// order means nothing.
func Forest(certs Certs, at time.Time) string { return draw(certs, nil, false, at) }

// node is one certificate of a drawing.
type node struct {
	at       []int // positions, from 1; none for an anchor that was not sent
	cert     *x509.Certificate
	anchor   bool // of the bundle of the side that verifies
	root     bool // signed with its own key
	issuer   *node
	loop     *node   // an issuer that is also below
	signed   []*node // what it signed
	path     bool    // it is the first certificate or above it
	isCopied bool    // the same key as an issuer that was taken in its place
}

// drawing is certificates on their way to being lines.
type drawing struct {
	nodes   []*node
	anchors []*x509.Certificate
	broken  []string // certificates that cannot be read
	chain   bool
	bundle  bool // there is a bundle to end in
	now     time.Time
	lines   []string
}

func draw(certs, anchors Certs, chain bool, at time.Time) string {
	if len(certs) == 0 {
		return "(no certificate)"
	}
	d := &drawing{chain: chain, bundle: len(anchors) > 0, anchors: anchors.Parsed(), now: at}
	d.collect(certs)
	d.link()
	if chain {
		d.follow()
	}
	for _, n := range d.nodes {
		if n.issuer == nil && (!n.anchor || len(n.at)+len(n.signed) > 0) {
			d.top(n)
		}
	}
	d.lines = append(d.lines, d.broken...)
	d.order()
	return strings.Join(d.lines, "\n")
}

// collect makes one node of equal certificates.
func (d *drawing) collect(certs Certs) {
	for i, der := range certs {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			d.broken = append(d.broken, fmt.Sprintf("%d  ! cannot be read: %s", i+1, printable(err.Error())))
			continue
		}
		if n := d.find(func(n *node) bool { return n.cert.Equal(cert) }); n != nil {
			n.at = append(n.at, i+1)
			continue
		}
		d.nodes = append(d.nodes, &node{
			at: []int{i + 1}, cert: cert, root: verifier.SelfSigned(cert),
			anchor: slices.ContainsFunc(d.anchors, cert.Equal),
		})
	}
	for _, a := range d.anchors {
		if d.find(func(n *node) bool { return n.cert.Equal(a) }) == nil {
			d.nodes = append(d.nodes, &node{cert: a, anchor: true, root: verifier.SelfSigned(a)})
		}
	}
}

func (d *drawing) find(is func(*node) bool) *node {
	if i := slices.IndexFunc(d.nodes, is); i >= 0 {
		return d.nodes[i]
	}
	return nil
}

// link gives each certificate the first that signed it: an anchor before what
// was sent, what came after it before what came earlier.
func (d *drawing) link() {
	for i, n := range d.nodes {
		if n.root || n.anchor {
			continue
		}
		for _, is := range d.candidates(i) {
			if !mayHaveSigned(n.cert, is.cert) || !verifier.Signed(n.cert, is.cert) {
				continue
			}
			switch {
			case is.below(n):
				n.loop = is
			case n.issuer != nil:
				is.isCopied = true
			default:
				n.issuer = is
				is.signed = append(is.signed, n)
			}
		}
	}
}

func (d *drawing) candidates(i int) []*node {
	all := slices.Concat(d.nodes[i+1:], d.nodes[:i])
	slices.SortStableFunc(all, func(a, b *node) int { return rank(a) - rank(b) })
	return all
}

func rank(n *node) int {
	if n.anchor {
		return 0
	}
	return 1
}

// mayHaveSigned spares signatures between certificates that have nothing to do
// with each other.
func mayHaveSigned(child, issuer *x509.Certificate) bool {
	return verifier.Names(child, issuer) || child.Issuer.String() == issuer.Subject.String() ||
		len(child.AuthorityKeyId) > 0 && bytes.Equal(child.AuthorityKeyId, issuer.SubjectKeyId)
}

// below says whether n hangs under other, or is it.
func (n *node) below(other *node) bool {
	for up := n; up != nil; up = up.issuer {
		if up == other {
			return true
		}
	}
	return false
}

// follow marks the way up from the first certificate, and what hangs below it
// where the order is wrong.
func (d *drawing) follow() {
	first := d.find(func(n *node) bool { return slices.Contains(n.at, 1) })
	for n := first; n != nil; n = n.issuer {
		n.path = true
	}
	for _, n := range d.nodes {
		n.path = n.path || first != nil && n.below(first)
	}
}
