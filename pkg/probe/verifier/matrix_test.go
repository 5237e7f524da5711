// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
)

// show writes a verdict as the tables do; want cuts its reason to the part
// that was measured.
func show(v Verdict, want string) string {
	if v.Accepts {
		return "ok"
	}
	got := fmt.Sprintf("%d %s", v.Alert, v.Reason)
	if alert, reason, ok := strings.Cut(want, " "); ok &&
		alert == fmt.Sprint(v.Alert) && strings.Contains(v.Reason, reason) {
		return want
	}
	return got
}

// TestMatrix holds the models to the matrix, and the diagnosis to its causes.
func TestMatrix(t *testing.T) {
	for _, r := range matrix {
		t.Run(r.fixture, func(t *testing.T) {
			chain, roots := load(t, r.fixture)
			opts := Options{Roots: roots, At: fixtures.PKITime(), Role: Client}
			wants := []string{r.golang, r.openssl, r.envoy, r.ztn}
			for i, v := range All(chain, opts) {
				if diff := cmp.Diff(wants[i], show(v, wants[i])); diff != "" {
					t.Errorf("%s (-want +got):\n%s", v.Verifier, diff)
				}
				if r.cause != CauseUnknown {
					checkVerdict(t, v)
				}
			}
			cause, detail, _ := Diagnose(chain, opts)
			if cause != r.cause || (cause == "") != (detail == "") {
				t.Errorf("Diagnose = %q (%s), want %q", cause, detail, r.cause)
			}
		})
	}
}

// checkVerdict holds a verdict to the contract of its type.
func checkVerdict(t *testing.T, v Verdict) {
	t.Helper()
	if v.Accepts {
		if diff := cmp.Diff(Verdict{Verifier: v.Verifier, Accepts: true}, v); diff != "" {
			t.Errorf("an accepting verdict says more (-want +got):\n%s", diff)
		}
		return
	}
	if v.Reason == "" || v.Clause == "" || v.Alert == 0 || v.Depth < 0 || !slices.Contains(Causes(), v.Code) {
		t.Errorf("incomplete verdict %+v", v)
	}
	if v.Code == CauseUnknown {
		t.Errorf("%s refuses (%s) for no known cause", v.Verifier, v.Reason)
	}
}

// TestMatrixIsWhole fails for a case that no row judges though Go can read it,
// and for a row without a case.
func TestMatrixIsWhole(t *testing.T) {
	judged := map[string]bool{}
	for _, r := range matrix {
		judged[r.fixture] = true
	}
	for _, c := range cases(t) {
		if _, _, err := c.parse(); err == nil && !judged[c.Name] {
			t.Errorf("%s is judged by no row", c.Name)
		}
		delete(judged, c.Name)
	}
	for name := range judged {
		t.Errorf("%s is no case of the corpus", name)
	}
}

// TestListeners is what real listeners said of a client's chain, in a mesh
// with the trust domain cluster.local: ztunnel 1.31 on HBONE and an Envoy 1.40
// sidecar that istiod drives. The numbers are the alerts that they sent.
func TestListeners(t *testing.T) {
	listened := []struct {
		fixture    string
		ztn, envoy uint8
	}{
		{"good", 0, 0},
		{"root-twice", 0, 0},
		{"intermediate-not-sent", 48, 48},
		{"root-other-dn", 48, 48},
		{"root-same-dn", 51, 48},
		{"wrong-intermediate", 51, 48},
		{"leaf-expired", 45, 45},
		{"leaf-not-yet", 45, 45},
		{"leaf-outlives-intermediate", 0, 0},
		{"leaf-server-auth-only", 43, 43},
		{"leaf-no-eku", 0, 0},
		{"leaf-encipherment-only", 0, 47},
		{"intermediate-no-certsign", 0, 48},
		{"intermediate-permits-our-uri", 46, 0},
		{"leaf-is-ca", 46, 0},
		{"leaf-other-trust-domain", 46, 46},
		{"leaf-no-san", 46, 46},
		{"leaf-path-not-istio", 46, 0},
		{"leaf-unknown-extension", 0, 0},
		{"leaf-rsa-1024", 51, 0},
	}
	t.Logf("ztunnel: alerts of %d cases measured at a listener, of %d unmeasured", len(listened), len(cases(t))-len(listened))
	for _, r := range listened {
		t.Run(r.fixture, func(t *testing.T) {
			chain, roots := load(t, r.fixture)
			opts := Options{Roots: roots, At: fixtures.PKITime(), Role: Client, TrustDomains: []string{"cluster.local"}}
			z, e := Ztunnel(chain, opts), Envoy(chain, opts)
			checkVerdict(t, z)
			checkVerdict(t, e)
			if z.Alert != r.ztn || e.Alert != r.envoy {
				t.Errorf("ztunnel %d (%s), envoy %d (%s), want %d and %d", z.Alert, z.Reason, e.Alert, e.Reason, r.ztn, r.envoy)
			}
		})
	}
}
