// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"slices"
	"time"
)

// leafLife is how long istiod's leaves live: DEFAULT_WORKLOAD_CERT_TTL.
const leafLife = 24 * time.Hour

// Issuing returns what the verifiers say of a certificate that a CA would issue
// now, as istiod issues it, in the order of [All]. ca begins with the signing
// certificate, and what follows is sent after every leaf; identity is the
// leaf's SPIFFE ID. Nothing is signed with the CA's key, which is not needed:
// the leaf's own signature is taken for good, every other is verified.
func Issuing(ca Chain, identity string, opts Options) []Verdict {
	in, above, f := issued(ca, identity, opts)
	if f != nil {
		return refusedBy(f, in)
	}
	goIssued := func(in input) *fault {
		if f := verifyGo(above); f != nil {
			// What was verified as a leaf is an issuer.
			f.depth++
			if f.code == CauseLeafExpired {
				f.code = CauseIntermediateExpired
			}
			return f
		}
		return verifyGo(in.rekeyed())
	}
	return []Verdict{
		judge(NameGo, in, nil, goIssued, istiodPeer), openSSLVerdict(in, nil), envoyVerdict(in, nil), ztunnelVerdict(in, nil),
	}
}

// DiagnoseIssuing is [Diagnose] for the certificate of [Issuing].
func DiagnoseIssuing(ca Chain, identity string, opts Options) (cause, detail string) {
	in, above, f := issued(ca, identity, opts)
	switch {
	case f != nil:
		return f.code, clip(f.reason)
	case above.realPath().anchored && !isCA(above.leaf):
		return CauseNotACA, clip(dn(above.leaf) + " is no CA")
	}
	cause, detail, _ = in.diagnose()
	return cause, detail
}

// issued is the input with a leaf that ca would issue, and ca's own.
func issued(ca Chain, identity string, opts Options) (in, above input, f *fault) {
	if above, f = bounded(ca, opts); f != nil {
		return above, above, f
	}
	leaf, err := issue(above.leaf, identity, opts.At, soonest(above))
	if err != nil {
		return above, above, &fault{
			reason: "no certificate can be issued: " + err.Error(), clause: "RFC 5280 §4.1", code: CauseUnknown,
			alert: alertBadCertificate,
		}
	}
	if in, f = bounded(Chain{Certs: append([]*x509.Certificate{leaf}, ca.Certs...)}, opts); f != nil {
		return in, above, f
	}
	for _, c := range slices.Concat(in.sent, in.opts.Roots) {
		if SPKI(c) == SPKI(above.leaf) {
			in.known.sigs[[2]*x509.Certificate{leaf, c}] = nil
		}
	}
	return in, above, nil
}

// refusedBy is one fault as everybody's verdict.
func refusedBy(f *fault, in input) []Verdict {
	var all []Verdict
	for _, name := range []Name{NameGo, NameOpenSSL, NameEnvoy, NameZtunnel} {
		all = append(all, judge(name, in, f))
	}
	return all
}

// soonest is when the first certificate of a chain ends: istiod issues nothing
// that outlives it.
func soonest(in input) time.Time {
	end := in.leaf.NotAfter
	for _, c := range in.sent {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// issue makes a leaf as istiod does (security/pkg/pki/util/generate_cert.go),
// signed with a key that is thrown away in place of the signer's.
func issue(signer *x509.Certificate, identity string, at, end time.Time) (*x509.Certificate, error) {
	uri, err := url.Parse(identity)
	if err != nil {
		return nil, err
	}
	last := at.Add(leafLife)
	if end.Before(last) && end.After(at) {
		last = end
	}
	leaf, _, err := resign(&x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: at.Add(-2 * time.Minute), NotAfter: last,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, URIs: []*url.URL{uri},
	}, signer, nil)
	if err != nil {
		return nil, err
	}
	leaf.SignatureAlgorithm = algorithmOf(signer)
	return leaf, nil
}

// algorithmOf is what a CA signs with.
func algorithmOf(signer *x509.Certificate) x509.SignatureAlgorithm {
	switch signer.PublicKeyAlgorithm {
	case x509.RSA:
		return x509.SHA256WithRSA
	case x509.Ed25519:
		return x509.PureEd25519
	default:
		return x509.ECDSAWithSHA256
	}
}

// resign issues a template under the name of parent with another key than the
// parent's, a fresh one where none is given, and returns the new subject's.
func resign(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if by == nil {
		by = own
	}
	issuer := &x509.Certificate{RawSubject: parent.RawSubject, SubjectKeyId: parent.SubjectKeyId, PublicKey: by.Public()}
	if len(parent.RawSubject) == 0 {
		issuer.Subject = pkix.Name{}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, own.Public(), by)
	if err != nil {
		return nil, nil, err
	}
	c, err := x509.ParseCertificate(der)
	return c, own, err
}

// rekeyed is the same path with other keys, so that crypto/x509 can be asked of
// a leaf that was never signed: names, dates and extensions are what they were.
// It is the input itself, without its leaf, where a certificate cannot be made
// again as it is.
func (in input) rekeyed() input {
	p := in.realPath()
	same := in
	same.leaf, same.sent = p.top(), nil
	if !p.anchored || len(p.certs) < 2 || p.top().Version != 3 {
		return same
	}
	var keys *ecdsa.PrivateKey
	made := make([]*x509.Certificate, len(p.certs))
	for i, c := range slices.Backward(p.certs) {
		template := *c
		template.ExtraExtensions, template.SignatureAlgorithm = c.Extensions, 0
		issuer := c
		if i+1 < len(p.certs) {
			issuer = p.certs[i+1]
		}
		var err error
		if made[i], keys, err = resign(&template, issuer, keys); err != nil {
			return same
		}
	}
	again := in
	again.leaf, again.sent = made[0], made[1:len(made)-1]
	again.opts.Roots = made[len(made)-1:]
	again.known = &known{sigs: map[[2]*x509.Certificate]error{}}
	return again
}
