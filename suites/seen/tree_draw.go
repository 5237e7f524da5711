// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// Bounds of what a peer can make a drawing say of one certificate.
const (
	maxNames = 4
	maxTitle = 160
)

// top draws a certificate without an issuer here, under what it lacks.
func (d *drawing) top(n *node) {
	if n.root || n.anchor {
		d.subtree(n, "", "")
		return
	}
	d.lines = append(d.lines, "?  "+d.missing(n))
	d.subtree(n, "└─ ", "   ")
}

// missing says which certificate would be the issuer of n.
func (d *drawing) missing(n *node) string {
	what := printable(Name(n.cert.Issuer.String()))
	switch {
	case n.loop != nil:
		return what + "  ! signed in a circle: " + places(n.loop) + " hangs below " + places(n)
	case len(n.cert.AuthorityKeyId) > 0:
		what += fmt.Sprintf(", key identifier %.16s", fmt.Sprintf("%x", n.cert.AuthorityKeyId))
	}
	if other := d.find(func(o *node) bool { return verifier.Names(n.cert, o.cert) }); other != nil {
		return what + "  ! missing: " + places(other) + " has the name, with another key"
	}
	switch {
	case !d.chain:
		return what + "  (not here)"
	case d.bundle:
		return what + "  ! missing: neither sent nor in the bundle"
	case verifier.Names(n.cert, n.cert):
		return what + "  ! its own name, signed with another key"
	default:
		return what + "  (not sent)"
	}
}

// places names a certificate by where it stands.
func places(n *node) string {
	if len(n.at) == 0 {
		return "the bundle (key " + ShortKey(n.cert) + ")"
	}
	return "certificate " + fmt.Sprint(n.at[0])
}

// subtree draws n and what it signed. lead stands before its first line, pad
// before all others.
func (d *drawing) subtree(n *node, lead, pad string) {
	head, below := "*  ", "   "
	if len(n.at) > 0 {
		head = fmt.Sprintf("%-3s", fmt.Sprint(n.at[0]))
	}
	if len(n.signed) > 0 {
		below = "│  "
	}
	d.lines = append(d.lines, lead+head+title(n))
	for _, line := range d.details(n) {
		d.lines = append(d.lines, pad+below+line)
	}
	for i, child := range n.signed {
		if i == len(n.signed)-1 {
			d.subtree(child, pad+"└─ ", pad+"   ")
		} else {
			d.subtree(child, pad+"├─ ", pad+"│  ")
		}
	}
}

func title(n *node) string {
	s := printable(Subject(n.cert))
	switch {
	case n.anchor && len(n.at) == 0:
		s += "  (of the bundle)"
	case n.anchor:
		s += "  (root, of the bundle)"
	case n.root:
		s += "  (root)"
	}
	return s
}

// details are the lines below the title: other names, key, dates, and what is
// odd about it.
func (d *drawing) details(n *node) []string {
	c := n.cert
	var lines []string
	if names := otherNames(c); names != "" {
		lines = append(lines, names)
	}
	key := "key " + ShortKey(c)
	if ski := verifier.SKI(c); ski != "" {
		key += fmt.Sprintf(", SKI %.16s", ski)
	}
	return append(append(lines, key+", "+KeyKind(c)+", signed with "+c.SignatureAlgorithm.String(), Validity(c, d.now)), d.oddities(n)...)
}

func (d *drawing) oddities(n *node) []string {
	var out []string
	odd := func(format string, args ...any) { out = append(out, "! "+fmt.Sprintf(format, args...)) }
	if len(n.at) > 1 {
		odd("the same certificate again as %s", numbers(n.at[1:]))
	}
	if n.issuer != nil && !verifier.Names(n.cert, n.issuer.cert) {
		odd("it calls its issuer %s", printable(Name(n.cert.Issuer.String())))
	} else if n.issuer != nil && string(n.cert.RawIssuer) != string(n.issuer.cert.RawSubject) {
		odd("it encodes the name of its issuer in another way")
	}
	for _, o := range d.nodes {
		switch {
		case o == n || !verifier.SameSubject(o.cert, n.cert) || len(o.cert.Subject.Names) == 0:
		case verifier.SPKI(o.cert) != verifier.SPKI(n.cert):
			odd("%s has the same name and another key", places(o))
		case len(o.at) > 0 && o.cert.SerialNumber.Cmp(n.cert.SerialNumber) != 0:
			odd("%s has the same name and key: another issue of it", places(o))
		}
	}
	if d.chain && !n.path && len(n.at) > 0 && !n.isCopied {
		odd("extra: not above certificate 1")
	}
	return out
}

// order says what is wrong with the order in which a chain was sent.
func (d *drawing) order() {
	first := d.find(func(n *node) bool { return slices.Contains(n.at, 1) })
	if !d.chain || first == nil {
		return
	}
	if len(first.signed) > 0 {
		d.lines = append(d.lines, "! wrong order: certificate 1 signed "+places(first.signed[0])+"; a chain begins with its leaf")
		return
	}
	var way []int
	for n := first; n != nil && len(n.at) > 0; n = n.issuer {
		way = append(way, n.at[0])
	}
	if !slices.IsSorted(way) {
		d.lines = append(d.lines, "! wrong order: from leaf to root it is "+numbers(way)+"; each certificate is to follow what it signed")
	}
}

// otherNames are the names that the title leaves out.
func otherNames(c *x509.Certificate) string {
	var names []string
	if dn := c.Subject.String(); dn != "" && len(c.URIs) > 0 {
		names = append(names, "subject "+dn)
	}
	for _, s := range c.DNSNames {
		names = append(names, "DNS "+s)
	}
	for _, ip := range c.IPAddresses {
		names = append(names, "IP "+ip.String())
	}
	for _, s := range c.EmailAddresses {
		names = append(names, "email "+s)
	}
	if more := len(names) - maxNames; more > 0 {
		names = append(names[:maxNames], fmt.Sprintf("%d more names", more))
	}
	return printable(strings.Join(names, ", "))
}

// KeyKind is the type and size of a certificate's key: "ECDSA P-256",
// "RSA 2048".
func KeyKind(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return "unknown key type"
	}
}

func numbers(n []int) string {
	out := make([]string, len(n))
	for i, v := range n {
		out[i] = fmt.Sprint(v)
	}
	return strings.Join(out, ", ")
}

// printable keeps what a peer wrote on one line of bounded length: it would
// tear the drawing apart otherwise.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, strings.ToValidUTF8(s, "."))
	if r := []rune(s); len(r) > maxTitle {
		return string(r[:maxTitle]) + "…"
	}
	return s
}
