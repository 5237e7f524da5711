// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
)

const ratings = "spiffe://cluster.local/ns/shop/sa/ratings"

// codes returns the codes of go, envoy and ztunnel; OpenSSL has no view of a mesh.
func codes(chain Chain, opts Options) []string {
	return []string{Go(chain, opts).Code, Envoy(chain, opts).Code, Ztunnel(chain, opts).Code}
}

func TestMeshChecks(t *testing.T) {
	mesh := []string{"cluster.local"}
	federated := []string{"cluster.local", "west.example"}
	for _, tt := range []struct {
		name, fixture string
		role          Role
		domains, ids  []string
		want          []string
		cause         string
	}{
		{"client", "good", Client, mesh, nil, []string{"", "", ""}, ""},
		{"client-identity-is-not-consulted", "good", Client, mesh, []string{"spiffe://cluster.local/ns/a/sa/b"}, []string{"", "", ""}, ""},
		{"client-two-uri-sans", "leaf-two-uri-sans", Client, mesh, nil, []string{CauseSANShape, "", ""}, CauseSANShape},
		{"client-no-san", "leaf-no-san", Client, mesh, nil, []string{CauseSANShape, CauseSANShape, CauseSANShape}, CauseSANShape},
		{"client-dns-only", "leaf-dns-san-only", Client, mesh, nil, []string{CauseSANShape, CauseSANShape, CauseSANShape}, CauseSANShape},
		{"client-dns-too", "leaf-dns-san-too", Client, mesh, nil, []string{"", "", ""}, ""},
		{"client-not-spiffe", "leaf-not-spiffe", Client, mesh, nil, []string{CauseSANShape, CauseSANShape, CauseSANShape}, CauseSANShape},
		{"client-no-path", "leaf-no-path", Client, mesh, nil, []string{"", CauseSANShape, CauseSANShape}, CauseSANShape},
		{"client-path-not-istio", "leaf-path-not-istio", Client, mesh, nil, []string{"", "", CauseSANShape}, CauseSANShape},
		{"client-of-a-stranger", "leaf-other-trust-domain", Client, mesh, nil, []string{CauseTrustDomainSidecar, CauseTrustDomainSidecar, CauseTrustDomainSidecar}, CauseTrustDomainSidecar},
		{"client-of-an-alias", "leaf-other-trust-domain", Client, federated, nil, []string{CauseTrustDomainSidecar, "", CauseTrustDomainAmbient}, CauseTrustDomainAmbient},
		{"client-upper-case", "leaf-upper-case-trust-domain", Client, mesh, nil, []string{CauseTrustDomainSidecar, CauseTrustDomainSidecar, CauseTrustDomainSidecar}, CauseTrustDomainSidecar},
		{"server", "good", Server, mesh, []string{ratings}, []string{"", "", ""}, ""},
		{"server-any-identity", "good", Server, mesh, nil, []string{"", "", ""}, ""},
		{"server-no-mesh", "leaf-no-san", Server, nil, nil, []string{"", "", ""}, ""},
		{"server-other-workload", "leaf-other-workload", Server, mesh, []string{ratings}, []string{"", CauseWrongIdentity, CauseWrongIdentity}, CauseWrongIdentity},
		{"server-nobody-expected", "good", Server, mesh, []string{}, []string{"", CauseWrongIdentity, CauseWrongIdentity}, CauseWrongIdentity},
		{"server-one-of-two-names", "leaf-two-uri-sans", Server, mesh, []string{ratings}, []string{CauseSANShape, "", ""}, CauseSANShape},
		{"server-of-an-alias-other-workload", "leaf-other-trust-domain", Server, federated, []string{"spiffe://cluster.local/ns/shop/sa/reviews"}, []string{CauseTrustDomainSidecar, CauseWrongIdentity, CauseTrustDomainAmbient}, CauseTrustDomainAmbient},
		{"server-of-an-alias", "leaf-other-trust-domain", Server, federated, []string{ratings}, []string{CauseTrustDomainSidecar, "", CauseTrustDomainAmbient}, CauseTrustDomainAmbient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			chain, roots := load(t, tt.fixture)
			opts := Options{Roots: roots, At: fixtures.PKITime(), Role: tt.role, TrustDomains: tt.domains, Identities: tt.ids}
			if diff := cmp.Diff(tt.want, codes(chain, opts)); diff != "" {
				t.Errorf("codes of go, envoy, ztunnel (-want +got):\n%s", diff)
			}
			if v := OpenSSL(chain, opts); !v.Accepts {
				t.Errorf("OpenSSL made an identity check: %+v", v)
			}
			if cause, _, _ := Diagnose(chain, opts); cause != tt.cause {
				t.Errorf("Diagnose = %q, want %q", cause, tt.cause)
			}
		})
	}
}

// TestRoles: a restricted extended key usage fails in one role only.
func TestRoles(t *testing.T) {
	for fixture, refused := range map[string]Role{
		"leaf-server-auth-only":         Client,
		"intermediate-server-auth-only": Client,
		"intermediate-client-auth-only": Server,
	} {
		chain, roots := load(t, fixture)
		for _, role := range []Role{Client, Server} {
			for _, v := range All(chain, Options{Roots: roots, At: fixtures.PKITime(), Role: role}) {
				if v.Accepts != (role != refused) {
					t.Errorf("%s as %s: %+v", fixture, role, v)
				}
			}
		}
	}
}

// TestGoClientAlert: Go's client says bad_certificate whatever is wrong.
func TestGoClientAlert(t *testing.T) {
	for _, fixture := range []string{"leaf-expired", "root-other-dn", "intermediate-not-sent"} {
		chain, roots := load(t, fixture)
		if v := Go(chain, Options{Roots: roots, At: fixtures.PKITime(), Role: Server}); v.Alert != 42 {
			t.Errorf("%s: alert %d, want 42", fixture, v.Alert)
		}
	}
}

func TestDepth(t *testing.T) {
	for fixture, want := range map[string][]int{ // go, openssl, envoy, ztunnel
		"leaf-expired":              {0, 0, 0, 0},
		"intermediate-expired":      {1, 1, 1, 1},
		"intermediate-not-sent":     {0, 0, 0, 0},
		"root-other-dn-not-sent":    {1, 1, 1, 1},
		"root-other-dn":             {2, 2, 2, 2},
		"intermediate-pathlen-zero": {2, 2, 2, 2},
	} {
		chain, roots := load(t, fixture)
		var got []int
		for _, v := range All(chain, Options{Roots: roots, At: fixtures.PKITime(), Role: Client}) {
			got = append(got, v.Depth)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", fixture, diff)
		}
	}
}

func TestHostileInput(t *testing.T) {
	chain, roots := load(t, "good")
	long := Chain{}
	for range 200 {
		long.Certs = append(long.Certs, chain.Certs...)
	}
	huge := *chain.Certs[0]
	huge.Raw = make([]byte, maxCertBytes+1)
	for name, tt := range map[string]struct {
		chain Chain
		roots []*x509.Certificate
		code  string
	}{
		"empty":       {Chain{}, roots, CauseNoCertificate},
		"only-nil":    {Chain{Certs: []*x509.Certificate{nil, {}}}, roots, CauseNoCertificate},
		"long-chain":  {long, roots, CauseOversized},
		"long-bundle": {chain, long.Certs, CauseOversized},
		"huge-leaf":   {Chain{Certs: []*x509.Certificate{&huge}}, roots, CauseOversized},
		"no-roots":    {chain, nil, CauseUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{Roots: tt.roots, At: fixtures.PKITime()}
			for _, v := range All(tt.chain, opts) {
				if v.Accepts || v.Code != tt.code || v.Alert == 0 {
					t.Errorf("%+v, want code %s", v, tt.code)
				}
			}
			if cause, _, _ := Diagnose(tt.chain, opts); cause != tt.code {
				t.Errorf("Diagnose = %q, want %q", cause, tt.code)
			}
		})
	}
}

// TestNilRoot: a nil among good certificates is skipped, not dereferenced.
func TestNilRoot(t *testing.T) {
	chain, roots := load(t, "good")
	chain.Certs = append(chain.Certs, nil)
	for _, v := range All(chain, Options{Roots: append(roots, nil), At: fixtures.PKITime()}) {
		if !v.Accepts {
			t.Errorf("%+v", v)
		}
	}
}

func TestClip(t *testing.T) {
	got := clip("a\x1b[31mb\n" + strings.Repeat("é", maxReason))
	if strings.ContainsAny(got, "\x1b\n") || len(got) > maxReason+len("…") || !strings.HasSuffix(got, "é…") {
		t.Errorf("clip = %q", got)
	}
}

// TestNegativeSerial: crypto/x509 cannot read it, so nobody here judges it.
func TestNegativeSerial(t *testing.T) {
	if _, err := parse("pki/leaf-serial-negative.pem"); err == nil || !strings.Contains(err.Error(), "negative serial") {
		t.Errorf("parse: %v", err)
	}
}

func TestRoots(t *testing.T) {
	_, ours := load(t, "good")
	theirs, _ := load(t, "root-same-dn")
	root := theirs.Certs[2]
	pairs := SameDNOtherKey(ours, []*x509.Certificate{root, ours[0], nil})
	if len(pairs) != 1 || pairs[0].B != root {
		t.Errorf("SameDNOtherKey = %v", pairs)
	}
	if SameKeys(ours, []*x509.Certificate{root}) || !SameKeys(ours, append(ours, ours...)) {
		t.Error("SameKeys looks at something else than keys")
	}
	again, _ := load(t, "root-reissued-keyid")
	if _, reissued := load(t, "root-reissued-keyid"); !SameKeys(ours, reissued) || len(again.Certs) != 2 {
		t.Error("a root issued again with the same key is another root")
	}
	if s := SPKI(root); len(s) != 64 || ShortSPKI(root) != s[:16] || SPKI(nil) != "" || ShortSPKI(nil) != "" || SKI(nil) != "" {
		t.Errorf("SPKI = %q, short %q", s, ShortSPKI(root))
	}
	if SKI(root) == SKI(ours[0]) {
		t.Error("two keys have one SKI")
	}
}
