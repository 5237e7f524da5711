// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
)

// TestIssuing asks of each CA of the matrix what a leaf that it would issue is
// told, and compares with what was measured on the good leaf that it did issue.
func TestIssuing(t *testing.T) {
	for _, name := range issuers() {
		t.Run(name, func(t *testing.T) {
			chain, roots := load(t, name)
			certs := chain.Certs
			opts := Options{Roots: roots, At: fixtures.PKITime(), Role: Client}
			got := Issuing(Chain{Certs: certs[1:]}, "spiffe://cluster.local/ns/shop/sa/ratings", opts)
			want := All(Chain{Certs: certs}, opts)
			for i := range got {
				if diff := cmp.Diff(want[i].Accepts, got[i].Accepts); diff != "" {
					t.Errorf("%s (-issued +would issue):\n%s\n%s", want[i].Verifier, diff, got[i].Reason)
				}
			}
			if cause, detail := DiagnoseIssuing(Chain{Certs: certs[1:]}, "spiffe://cluster.local/ns/shop/sa/ratings", opts); cause == "" && !got[0].Accepts {
				t.Errorf("no cause: %s", detail)
			}
		})
	}
}

// issuers are the fixtures whose fault, if any, is in the CA or the bundle, and
// not in the leaf or in what is sent with it.
func issuers() []string {
	return []string{
		"good", "root-not-sent", "root-twice", "roots-wrong-first-no-aki",
		"roots-right-first-no-aki", "roots-wrong-first-aki", "anchor-is-intermediate",
		"root-pathlen-zero", "root-empty-subject", "root-v1", "intermediate-dn-is-root-dn",
		"intermediate-dn-is-root-dn-aki", "root-reissued-keyid", "root-reissued-issuer-serial",
		"intermediate-server-auth-only", "intermediate-client-auth-only",
		"intermediate-permits-our-uri", "intermediate-permits-other-uri",
		"intermediate-excludes-our-uri", "intermediate-permits-dns", "intermediate-pathlen-zero",
		"intermediate-key-usage-not-critical", "intermediate-rsa-1024", "intermediate-rsa-2048",
		"intermediate-p224", "intermediate-p384", "intermediate-p521", "intermediate-ed25519",
	}
}

func TestIssuingSaysWhyNot(t *testing.T) {
	chain, roots := load(t, "good")
	certs := chain.Certs
	expired, _ := load(t, "intermediate-expired")
	opts := Options{Roots: roots, At: fixtures.PKITime(), TrustDomains: []string{"cluster.local"}}
	for name, tc := range map[string]struct {
		ca       Chain
		identity string
		want     string // cause
	}{
		"no CA":              {Chain{}, "spiffe://cluster.local/ns/a/sa/b", CauseNoCertificate},
		"a leaf signs":       {Chain{Certs: certs}, "spiffe://cluster.local/ns/a/sa/b", CauseNotACA},
		"expired":            {Chain{Certs: expired.Certs[1:]}, "spiffe://cluster.local/ns/a/sa/b", CauseIntermediateExpired},
		"other trust domain": {Chain{Certs: certs[1:]}, "spiffe://elsewhere/ns/a/sa/b", CauseTrustDomainSidecar},
		"no identity":        {Chain{Certs: certs[1:]}, "://", CauseUnknown},
		"the root itself":    {Chain{Certs: roots}, "spiffe://cluster.local/ns/a/sa/b", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range Issuing(tc.ca, tc.identity, opts) {
				if v.Verifier != NameOpenSSL && v.Accepts != (tc.want == "") {
					t.Errorf("%s accepts: %t (%s)", v.Verifier, v.Accepts, v.Reason)
				}
			}
			if got, _ := DiagnoseIssuing(tc.ca, tc.identity, opts); tc.want != CauseUnknown && got != tc.want {
				t.Errorf("cause %q, want %q", got, tc.want)
			}
		})
	}
}

// TestRootThatNamesItself: roots that OpenSSL makes carry an authority key
// identifier, their own. They are not damaged for that.
func TestRootThatNamesItself(t *testing.T) {
	chain, roots := load(t, "good")
	root := chain.Certs[2]
	name, err := asn1.Marshal(pkix.Name{CommonName: "names itself"}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	self := &x509.Certificate{
		SerialNumber: big.NewInt(1), RawSubject: name, AuthorityKeyId: []byte{1, 2, 3}, SubjectKeyId: []byte{1, 2, 3},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, IsCA: true, BasicConstraintsValid: true,
	}
	ext, err := asn1.Marshal(authorityKey{ID: []byte{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	self.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Value: ext}}
	other, _, err := resign(self, self, nil)
	if err != nil {
		t.Fatal(err)
	}
	cause, detail := DiagnoseIssuing(Chain{Certs: []*x509.Certificate{other, other}}, "spiffe://cluster.local/ns/a/sa/b", Options{Roots: roots, At: fixtures.PKITime()})
	if cause != CauseRootDistinctDN {
		t.Errorf("cause %s (%s), want %s", cause, detail, CauseRootDistinctDN)
	}
}
