// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
)

// row is one measured row: what each verifier says of a client's chain, "ok"
// or "ALERT reason".
type row struct {
	fixture                     string
	golang, openssl, envoy, ztn string
	cause                       string // of Diagnose
}

const (
	goUnknown = "48 certificate signed by unknown authority"
	goExpired = "45 certificate has expired or is not yet valid"
	local     = "48 unable to get local issuer certificate"
	osChain   = "48 self-signed certificate in certificate chain"
	bsChain   = "48 self signed certificate in certificate chain"
	failure   = "51 certificate signature failure"
	osPurpose = "43 unsuitable certificate purpose"
	bsPurpose = "43 unsupported certificate purpose"
	unknown   = "48 UnknownIssuer"
	badSig    = "51 BadSignature"
)

// matrix is the measured differential matrix: Go 1.26, OpenSSL 3.0 without
// -partial_chain, BoringSSL with Envoy's flags, rustls-webpki 0.103.13, each
// judging a client's chain without the checks of a mesh.
var matrix = []row{
	{"good", "ok", "ok", "ok", "ok", ""},
	{"root-not-sent", "ok", "ok", "ok", "ok", ""},
	{"root-twice", "ok", "ok", "ok", "ok", ""},
	{"root-before-intermediate", "ok", "ok", "ok", "ok", ""},
	{"intermediate-not-sent", goUnknown, local, local, unknown, CauseIntermediateUnsent},
	{"wrong-intermediate", goUnknown, local, local, badSig, CauseWrongIntermediate},
	{"wrong-intermediate-first", "ok", failure, failure, "ok", CauseWrongIntermediate},
	{"wrong-intermediate-no-aki", goUnknown, failure, failure, badSig, CauseWrongIntermediate},

	{"root-other-dn", goUnknown, osChain, bsChain, unknown, CauseRootDistinctDN},
	{"root-other-dn-not-sent", goUnknown, local, local, unknown, CauseRootDistinctDN},
	{"root-same-dn", goUnknown, osChain, bsChain, badSig, CauseRootSameDN},
	{"root-same-dn-not-sent", goUnknown, local, local, badSig, CauseRootSameDN},
	{"root-same-dn-no-aki", goUnknown, failure, failure, badSig, CauseRootSameDN},
	{"root-same-dn-other-key-type", goUnknown, local, local, "46 UnsupportedSignatureAlgorithmForPublicKeyContext", CauseRootSameDN},
	{"roots-wrong-first-no-aki", "ok", failure, failure, "ok", CauseSameDNOrder},
	{"roots-right-first-no-aki", "ok", "ok", "ok", "ok", ""},
	{"roots-wrong-first-aki", "ok", "ok", "ok", "ok", ""},
	{"anchor-is-intermediate", "ok", "48 unable to get issuer certificate", "ok", "ok", CauseRootIntermediate},
	{"anchor-is-other-intermediate", goUnknown, osChain, bsChain, unknown, CauseRootIntermediate},
	{"anchor-is-leaf", "ok", osChain, "ok", unknown, CauseRootIntermediate},
	{"root-expired", goExpired, "45 certificate has expired", "45 certificate has expired", "ok", CauseRootExpired},
	{"root-pathlen-zero", "42 too many intermediates", "48 path length constraint exceeded", "ok", "ok", CausePathLen},
	{"root-empty-subject", "ok", "ok", "ok", "ok", ""},
	{"root-v1", "ok", "ok", "ok", "ok", ""},

	{"intermediate-dn-is-root-dn", "ok", osChain, bsChain, "ok", CauseSameDNAsRoot},
	{"intermediate-dn-is-root-dn-no-aki-in-leaf", "ok", failure, failure, "ok", CauseSameDNAsRoot},
	{"intermediate-dn-is-root-dn-aki", "ok", "ok", "ok", "ok", ""},
	{"dn-string-type", goUnknown, "ok", "ok", unknown, CauseDNEncoding},
	{"root-reissued-keyid", "ok", "ok", "ok", "ok", ""},
	{"root-reissued-issuer-serial", "ok", local, local, "ok", CauseAKISerial},
	{"leaf-aki-drift", "ok", local, local, "ok", CauseAKIDrift},

	{"leaf-expired", goExpired, "45 certificate has expired", "45 certificate has expired", "45 certificate expired", CauseLeafExpired},
	{"leaf-not-yet", goExpired, "45 certificate is not yet valid", "45 certificate is not yet valid", "45 certificate not valid yet", CauseClockSkew},
	{"leaf-outlives-intermediate", "ok", "ok", "ok", "ok", CauseOutlives},
	{"intermediate-expired", goExpired, "45 certificate has expired", "45 certificate has expired", "45 certificate expired", CauseIntermediateExpired},
	{"intermediate-dates-reversed", goExpired, "45 certificate is not yet valid", "45 certificate is not yet valid", "46 InvalidCertValidity", CauseClockSkew},
	{"intermediate-not-a-ca", goUnknown, "48 invalid CA certificate", local, "46 EndEntityUsedAsCa", CauseNotACA},
	{"intermediate-no-certsign", goUnknown, "48 invalid CA certificate", local, "ok", CauseNoKeyCertSign},
	{"intermediate-server-auth-only", "42 incompatible key usage", osPurpose, bsPurpose, "43 InvalidPurpose", CauseEKU},
	{"intermediate-client-auth-only", "ok", "ok", "ok", "ok", CauseEKU},
	{"intermediate-permits-our-uri", "ok", "ok", "ok", "46 NameConstraintViolation", CauseNameConstraints},
	{"intermediate-permits-other-uri", "42 is not permitted by any constraint", "46 permitted subtree violation", "46 permitted subtree violation", "46 NameConstraintViolation", CauseNameConstraints},
	{"intermediate-excludes-our-uri", "42 is excluded by constraint", "46 excluded subtree violation", "46 excluded subtree violation", "46 NameConstraintViolation", CauseNameConstraints},
	{"intermediate-permits-dns", "ok", "ok", "ok", "ok", ""},
	{"intermediate-permits-other-dns", "42 is not permitted by any constraint", "46 permitted subtree violation", "46 permitted subtree violation", "46 NameConstraintViolation", CauseNameConstraints},
	{"intermediate-pathlen-zero", "42 too many intermediates", "48 path length constraint exceeded", "48 path length constraint exceeded", "46 PathLenConstraintViolated", CausePathLen},
	{"leaf-is-ca", "ok", "ok", "ok", "46 CaUsedAsEndEntity", CauseLeafIsCA},
	{"leaf-server-auth-only", "42 incompatible key usage", osPurpose, bsPurpose, "43 InvalidPurpose", CauseEKU},
	{"leaf-no-eku", "ok", "ok", "ok", "ok", ""},
	{"leaf-encipherment-only", "ok", osPurpose, "47 key usage bit incorrect", "ok", CauseKeyUsage},
	{"leaf-certsign", "ok", "ok", "ok", "ok", ""},
	{"leaf-key-usage-not-critical", "ok", "ok", "ok", "ok", ""},
	{"intermediate-key-usage-not-critical", "ok", "ok", "ok", "ok", ""},
	{"leaf-no-key-usage", "ok", "ok", "ok", "ok", ""},
	{"leaf-unknown-extension", "ok", "ok", "ok", "ok", ""},
	{"leaf-unknown-critical-extension", "42 unhandled critical extension", "46 unhandled critical extension", "46 unhandled critical extension", "46 UnsupportedCriticalExtension", CauseCriticalExtension},

	{"leaf-no-san", "ok", "ok", "ok", "ok", ""},
	{"leaf-two-uri-sans", "ok", "ok", "ok", "ok", ""},
	{"leaf-other-trust-domain", "ok", "ok", "ok", "ok", ""},
	{"leaf-upper-case-trust-domain", "ok", "ok", "ok", "ok", ""},
	{"leaf-other-workload", "ok", "ok", "ok", "ok", ""},
	{"leaf-waypoint", "ok", "ok", "ok", "ok", ""},
	{"leaf-path-not-istio", "ok", "ok", "ok", "ok", ""},
	{"leaf-no-path", "ok", "ok", "ok", "ok", ""},
	{"leaf-not-spiffe", "ok", "ok", "ok", "ok", ""},
	{"leaf-dns-san-only", "ok", "ok", "ok", "ok", ""},
	{"leaf-dns-san-too", "ok", "ok", "ok", "ok", ""},
	{"leaf-san-not-critical", "ok", "ok", "ok", "ok", ""},

	{"intermediate-rsa-1024", "ok", "ok", "ok", badSig, CauseWeak},
	{"intermediate-rsa-2048", "ok", "ok", "ok", "ok", ""},
	{"intermediate-p224", "ok", "ok", "ok", "46 UnsupportedSignatureAlgorithm", CauseWeak},
	{"intermediate-p384", "ok", "ok", "ok", "ok", ""},
	{"intermediate-p521", "ok", "ok", "ok", "ok", ""},
	{"intermediate-ed25519", "ok", "ok", "ok", "ok", ""},
	{"intermediate-sha1", goUnknown, "ok", "ok", "46 UnsupportedSignatureAlgorithm", CauseWeak},
	{"leaf-rsa-1024", "ok", "ok", "ok", badSig, CauseWeak},
	{"leaf-serial-zero", "ok", "ok", "ok", "ok", ""},
	{"duplicate-serials", "ok", "ok", "ok", "ok", ""},
}

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
				checkVerdict(t, v)
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

// TestMatrixIsWhole fails for a fixture that no row judges.
func TestMatrixIsWhole(t *testing.T) {
	files, err := fs.Glob(fixtures.FS, "pki/*.pem")
	if err != nil || len(files) == 0 {
		t.Fatalf("fixtures: pki/*.pem matched %d files (err %v)", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "pki/"), ".pem")
		if strings.HasSuffix(name, ".roots") || name == "root" || name == "leaf-serial-negative" {
			continue
		}
		if !slices.ContainsFunc(matrix, func(r row) bool { return r.fixture == name }) {
			t.Errorf("%s is judged by no row", file)
		}
	}
}

// TestListeners is what real listeners said of a client's chain, in a mesh
// with the trust domain cluster.local: ztunnel 1.31 on HBONE and an Envoy 1.40
// sidecar that istiod drives. The numbers are the alerts that they sent.
func TestListeners(t *testing.T) {
	for _, r := range []struct {
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
	} {
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
