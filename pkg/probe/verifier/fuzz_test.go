// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"slices"
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
)

// FuzzVerify feeds concatenated DER certificates as chain and as bundle. The
// verdicts must be complete, Diagnose must not panic, and both must say the
// same twice.
func FuzzVerify(f *testing.F) {
	for _, r := range matrix {
		chain, roots := load(f, r.fixture)
		f.Add(join(chain.Certs), join(roots), true)
	}
	f.Fuzz(func(t *testing.T, chainDER, rootsDER []byte, client bool) {
		certs, _ := x509.ParseCertificates(chainDER)
		roots, _ := x509.ParseCertificates(rootsDER)
		opts := Options{Roots: roots, At: fixtures.PKITime(), TrustDomains: []string{"cluster.local"}}
		if client {
			opts.Role = Client
		}
		chain := Chain{Certs: certs}
		all := All(chain, opts)
		for _, v := range all {
			if v.Accepts != (v.Reason == "") || v.Accepts != (v.Alert == 0) || v.Depth < 0 {
				t.Errorf("incomplete verdict %+v", v)
			}
			if !v.Accepts && !slices.Contains(Causes(), v.Code) {
				t.Errorf("%q is no cause", v.Code)
			}
		}
		if !slices.Equal(all, All(chain, opts)) {
			t.Error("two verdicts on one chain")
		}
		if cause, _, depth := Diagnose(chain, opts); depth < 0 || (cause != "" && !slices.Contains(Causes(), cause)) {
			t.Errorf("Diagnose = %q at %d", cause, depth)
		}
	})
}

func join(certs []*x509.Certificate) (der []byte) {
	for _, c := range certs {
		der = append(der, c.Raw...)
	}
	return der
}
