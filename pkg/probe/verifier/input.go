// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds on what a peer can make us judge. Meshes send chains of two to four
// certificates; rustls refuses a Certificate message above 64 KiB.
const (
	maxChain      = 16
	maxRoots      = 64
	maxCertBytes  = 64 << 10
	maxRSABits    = 8192
	maxReason     = 400
	maxConstraint = 1024
)

// input is a chain and options within bounds and without nil certificates.
type input struct {
	leaf *x509.Certificate
	// sent is what followed the leaf, in order.
	sent []*x509.Certificate
	opts Options
	// known is what was found out about the certificates so far.
	known *known
}

// known keeps results that several verifiers and the diagnosis need, since
// signatures are nearly all that judging costs.
type known struct {
	path *path
	sigs map[[2]*x509.Certificate]error
}

// signedBy is the function signedBy, computed once for each pair.
func (in input) signedBy(child, issuer *x509.Certificate) error {
	pair := [2]*x509.Certificate{child, issuer}
	err, done := in.known.sigs[pair]
	if !done {
		err = signaturesSeen.check(child, issuer, signedBy)
		in.known.sigs[pair] = err
	}
	return err
}

// selfSigned reports whether c verifies with its own key.
func (in input) selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && in.signedBy(c, c) == nil
}

// bounded copies chain and opts, refusing what no mesh would send.
func bounded(chain Chain, opts Options) (input, *fault) {
	for _, set := range []struct {
		what  string
		certs []*x509.Certificate
		limit int
	}{{"chain", chain.Certs, maxChain}, {"trust bundle", opts.Roots, maxRoots}} {
		if len(set.certs) > set.limit {
			return input{}, &fault{
				reason: fmt.Sprintf("%s of %d certificates: no more than %d are judged", set.what, len(set.certs), set.limit),
				clause: "RFC 8446 §4.4.2", code: CauseOversized, alert: alertBadCertificate,
			}
		}
	}
	sent, f := usable(chain.Certs)
	if f != nil {
		return input{}, f
	}
	if len(sent) == 0 {
		return input{}, &fault{
			reason: "no certificate", clause: "RFC 8446 §4.4.2.4",
			code: CauseNoCertificate, alert: alertCertificateRequired,
		}
	}
	if opts.Roots, f = usable(opts.Roots); f != nil {
		return input{}, f
	}
	return input{
		leaf: sent[0], sent: sent[1:], opts: opts,
		known: &known{sigs: map[[2]*x509.Certificate]error{}},
	}, nil
}

// usable drops nil and unparsed certificates and refuses oversized ones.
func usable(certs []*x509.Certificate) ([]*x509.Certificate, *fault) {
	kept := make([]*x509.Certificate, 0, len(certs))
	for depth, c := range certs {
		if c == nil || len(c.Raw) == 0 {
			continue
		}
		if tooLarge(c) {
			return nil, &fault{
				reason: "certificate or key too large", clause: "RFC 8446 §4.4.2",
				code: CauseOversized, depth: depth, alert: alertBadCertificate,
			}
		}
		kept = append(kept, c)
	}
	return kept, nil
}

func tooLarge(c *x509.Certificate) bool {
	names := len(c.URIs) + len(c.DNSNames) + len(c.IPAddresses) + len(c.EmailAddresses)
	rules := len(c.PermittedURIDomains) + len(c.ExcludedURIDomains) +
		len(c.PermittedDNSDomains) + len(c.ExcludedDNSDomains)
	return len(c.Raw) > maxCertBytes || names > maxConstraint || rules > maxConstraint ||
		rsaBits(c) > maxRSABits
}

// clip bounds text that quotes a peer, at a character boundary, and makes it
// printable.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	if len(s) <= maxReason {
		return s
	}
	cut := maxReason
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
