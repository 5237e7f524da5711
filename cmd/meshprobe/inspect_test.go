// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// asOf is the moment as of which the fixtures are judged.
const asOf = "2026-06-01T12:00:00Z"

// inspected is one command line and the exit status that it must have.
type inspected struct {
	name   string
	status int
	args   []string
}

func inspections() []inspected {
	return []inspected{
		{"chain-described", 0, []string{"pki/good.pem"}},
		{"chain-accepted", 0, []string{"pki/good.pem", "--against", "pki/root.pem"}},
		{"chain-json", 0, []string{"pki/good.pem", "--trust-bundle", "pki/root.pem", "-o", "json"}},
		{"chain-jsonl", 0, []string{"pki/good.pem", "--trust-bundle", "pki/root.pem", "-o", "jsonl"}},
		{"chain-expected", 0, []string{"chain", "pki/good.pem", "--against", "pki/root.pem", "--expect-id", "spiffe://cluster.local/ns/shop/sa/ratings"}},
		{"chain-other-identity", 1, []string{"chain", "pki/good.pem", "--against", "pki/root.pem", "--expect-id", "spiffe://cluster.local/ns/shop/sa/reviews"}},
		{"chain-hostname", 1, []string{"chain", "pki/good.pem", "--against", "pki/root.pem", "--hostname", "ratings.shop.svc"}},
		{"chain-alias", 1, []string{"chain", "pki/good.pem", "--against", "pki/root.pem", "--trust-domain", "west.example", "--trust-domain", "cluster.local"}},
		{"chain-client", 1, []string{"chain", "pki/leaf-server-auth-only.pem", "--against", "pki/root.pem", "--as", "client"}},
		{"chain-no-identity", 0, []string{"pki/leaf-dns-san-only.pem"}},
		{"chain-no-identity-spiffe", 1, []string{"pki/leaf-dns-san-only.pem", "--profile", "spiffe-strict"}},
		{"chain-expired", 1, []string{"pki/good.pem", "--against", "pki/root.pem", "--at", "2026-07-01T00:00:00Z"}},
		{"chain-same-dn", 1, []string{"pki/root-same-dn.pem", "--against", "pki/root.pem"}},
		{"chain-ztunnel-only", 1, []string{"pki/intermediate-permits-our-uri.pem", "--against", "pki/root.pem"}},
		{"chain-envoy-only", 1, []string{"pki/leaf-aki-drift.pem", "--against", "pki/root.pem"}},
		{"chain-wrong-intermediate", 1, []string{"pki/wrong-intermediate.pem", "--against", "pki/root.pem"}},
		{"chain-wrong-order", 0, []string{"pki/root-before-intermediate.pem", "--against", "pki/root.pem"}},
		{"chain-wrong-order-strict", 1, []string{"pki/root-before-intermediate.pem", "--against", "pki/root.pem", "--strict"}},
		{"bundle", 0, []string{"bundle", "pki/root.pem"}},
		{"bundle-two-of-one-name", 0, []string{"pki/roots-wrong-first-no-aki.roots.pem"}},
		{"bundle-der", 0, []string{"bundle", "material/root.der"}},
		{"bundle-run-together", 1, []string{"bundle", "pki/pem-concat.roots.pem"}},
		{"cacerts", 0, []string{"cacerts", "east"}},
		{"cacerts-json", 0, []string{"cacerts", "east", "-o", "json"}},
		{"cacerts-other-key", 1, []string{"other-key"}},
		{"cacerts-root-missing", 1, []string{"cacerts", "root-missing"}},
		{"cacerts-in-another-mesh", 1, []string{"east", "--against", "pki/root-other-dn.pem"}},
		{"istio-ca-secret", 0, []string{"istio-ca-secret.json"}},
		{"request", 0, []string{"csr", "material/request.pem"}},
		{"revocation", 0, []string{"crl", "material/crl.pem"}},
		{"envoy", 1, []string{"dump", "material/envoy-config_dump.json"}},
		{"ztunnel", 1, []string{"material/ztunnel-config_dump.json"}},
		{"root-configmap", 0, []string{"material/istio-ca-root-cert.yaml"}},
		{"spiffe-bundle", 0, []string{"material/spiffe-bundle.json"}},
		{"id", 0, []string{"id", "spiffe://cluster.local/ns/shop/sa/ratings"}},
		{"id-spire", 1, []string{"id", "spiffe://cluster.local/host/7"}},
		{"diff-shared", 0, []string{"diff", "pki/root.pem", "material/istio-ca-root-cert.yaml"}},
		{"diff-same-dn", 1, []string{"diff", "pki/root.pem", "pki/root-same-dn.pem"}},
		{"diff-cacerts", 1, []string{"diff", "east", "pki/root-other-dn.pem"}},
		{"diff-json", 1, []string{"diff", "pki/root.pem", "pki/root-same-dn.pem", "-o", "json"}},
	}
}

// TestInspect compares what each command line prints with what it printed.
func TestInspect(t *testing.T) {
	dir, _ := inspectable(t)
	goldens, err := filepath.Abs("testdata/inspect")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, tc := range inspections() {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"inspect"}, tc.args...)
			if !strings.Contains(strings.Join(args, " "), "--at ") {
				args = append(args, "--at", asOf)
			}
			out, errs, status := meshprobe(t, "", args...)
			if status != tc.status || errs != "" {
				t.Errorf("exit status %d, want %d; stderr: %s", status, tc.status, errs)
			}
			golden(t, filepath.Join(goldens, tc.name+".txt"), steady(out))
		})
	}
}

// TestInspectKeepsKeys looks for the text of a private key in everything that
// inspect prints and writes of files with keys, whatever is wrong with them.
func TestInspectKeepsKeys(t *testing.T) {
	dir, keys := inspectable(t)
	t.Chdir(dir)
	whole, err := os.ReadFile("east/ca-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	chain, err := os.ReadFile("east/cert-chain.pem")
	if err != nil {
		t.Fatal(err)
	}
	body := func(b []byte) string { return strings.Join(strings.Split(string(b), "\n")[1:4], "\n") }
	for name, content := range map[string]string{
		"chain-and-key.pem":  string(chain) + string(whole),
		"key-and-chain.pem":  string(whole) + string(chain),
		"key.pem":            string(whole),
		"damaged.pem":        strings.Replace(string(whole), "END", "EDN", 1),
		"no-begin.pem":       body(whole),
		"cut.pem":            string(whole[:len(whole)/2]),
		"text.txt":           "the key is " + string(whole),
		"secret.yaml":        secretOf(t, chain, whole),
		"secret-broken.yaml": secretOf(t, chain, whole) + "\n\t: [",
		"twice.yaml":         secretOf(t, chain, []byte(base64.StdEncoding.EncodeToString(whole))),
		"data.json":          `{"kind":"Secret","data":{"ca-key.pem":` + fmt.Sprintf("%q", whole),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, more := range [][]string{nil, {"-o", "json"}, {"-o", "jsonl", "--junit", "report.xml", "--json", "report.json"}, {"--against", "pki/root.pem"}} {
			out, errs, _ := meshprobe(t, "", append([]string{"inspect", name, "--at", asOf}, more...)...)
			check(t, name, keys, out, errs)
		}
		out, errs, _ := meshprobe(t, content, "inspect", "-")
		check(t, name+" on stdin", keys, out, errs)
		out, errs, _ = meshprobe(t, "", "inspect", "pki/good.pem", "--against", name)
		check(t, name+" as a bundle", keys, out, errs)
		out, errs, _ = meshprobe(t, "", "inspect", "diff", "east", name)
		check(t, name+" in diff", keys, out, errs)
	}
	for _, report := range []string{"report.xml", "report.json"} {
		if b, err := os.ReadFile(report); err != nil {
			t.Error(err)
		} else {
			check(t, report, keys, string(b))
		}
	}
}

// check looks for any eight bytes of key material in a text, in base64.
func check(t *testing.T, what string, keys []string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, k := range keys {
			for i := 0; i+16 <= len(k); i += 4 {
				if strings.Contains(text, k[i:i+16]) {
					t.Fatalf("%s: the output holds %d characters of a private key", what, 16)
				}
			}
		}
	}
}

// meshprobe runs one command line in this process.
func meshprobe(t *testing.T, in string, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, stdio{In: strings.NewReader(in), Out: &o, Err: &e, Getenv: func(string) string { return "" }})
	return o.String(), e.String(), status
}

// inspectable writes the fixtures and three CAs into a directory, and returns the
// private parts of their keys as they stand in the files, in base64.
func inspectable(t *testing.T) (dir string, keys []string) {
	t.Helper()
	dir = t.TempDir()
	for _, tree := range []string{"pki", "material"} {
		err := fs.WalkDir(fixtures.FS, tree, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(fixtures.FS, name)
			if err != nil {
				return err
			}
			return write(filepath.Join(dir, name), b)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	root, inter := keyOf(t, "inspect root"), keyOf(t, "inspect east")
	rootDER := caCertificate(t, "Root CA", root, "Root CA", root)
	files := map[string][]byte{
		"ca-cert.pem": block("CERTIFICATE", caCertificate(t, "Intermediate CA", inter, "Root CA", root)),
		"ca-key.pem":  private(t, inter), "root-cert.pem": block("CERTIFICATE", rootDER),
	}
	files["cert-chain.pem"] = append(bytes.Clone(files["ca-cert.pem"]), files["root-cert.pem"]...)
	for name, without := range map[string]string{"east": "", "other-key": "ca-key.pem", "root-missing": "root-cert.pem"} {
		for file, b := range files {
			if file == without && name == "other-key" {
				b = private(t, root)
			} else if file == without {
				continue
			}
			if err := write(filepath.Join(dir, name, file), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := write(filepath.Join(dir, "istio-ca-secret.json"), selfSigned(t, files["root-cert.pem"], private(t, root))); err != nil {
		t.Fatal(err)
	}
	for _, k := range []*ecdsa.PrivateKey{root, inter} {
		p, _ := pem.Decode(private(t, k))
		// What follows the scalar is the public half, which is no secret.
		keys = append(keys, base64.StdEncoding.EncodeToString(p.Bytes[36:69]))
	}
	return dir, keys
}

func write(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o600)
}

// keyOf derives a key from a seed, so that goldens do not change.
func keyOf(t *testing.T, seed string) *ecdsa.PrivateKey {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func caCertificate(t *testing.T, name string, key *ecdsa.PrivateKey, issuer string, by *ecdsa.PrivateKey) []byte {
	t.Helper()
	id := func(k *ecdsa.PrivateKey) []byte {
		sum := sha256.Sum256(elliptic.MarshalCompressed(k.Curve, k.X, k.Y))
		return sum[:20]
	}
	at := fixtures.PKITime()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{Organization: []string{"Istio"}, CommonName: name},
		NotBefore: at.AddDate(0, -1, 0), NotAfter: at.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: id(key),
	}
	if name == issuer {
		tmpl.NotAfter = at.AddDate(10, 0, 0)
	}
	parent := &x509.Certificate{Subject: pkix.Name{Organization: []string{"Istio"}, CommonName: issuer}, SubjectKeyId: id(by)}
	der, err := x509.CreateCertificate(nil, tmpl, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func private(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE "+"KEY", der)
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func secretOf(t *testing.T, chain, key []byte) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]string{"name": "cacerts", "namespace": "istio-system"},
		"data": map[string][]byte{"ca-cert.pem": chain, "cert-chain.pem": chain, "root-cert.pem": chain, "ca-key.pem": key},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// selfSigned is the Secret that an istiod without cacerts makes: its
// cert-chain.pem is there and empty.
func selfSigned(t *testing.T, root, key []byte) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "istio.io/ca-root", "metadata": map[string]string{"name": "istio-ca-secret", "namespace": "istio-system"},
		"data": map[string][]byte{"ca-cert.pem": root, "cert-chain.pem": {}, "root-cert.pem": root, "ca-key.pem": key, "key.pem": {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// steady replaces what differs from run to run.
func steady(out string) string {
	for pattern, with := range map[string]string{
		`in \d+(\.\d+)?m?s; exit`:              `in 1ms; exit`,
		`"duration_ms":\d+`:                    `"duration_ms":0`,
		`"(started|ended)":"[^"]+"`:            `"$1":"2026-06-01T12:00:00Z"`,
		`"version":"[^"]+"`:                    `"version":"devel"`,
		`(?m)^meshprobe .*   inspect( diff)?$`: `meshprobe devel   inspect$1`,
	} {
		out = regexp.MustCompile(pattern).ReplaceAllString(out, with)
	}
	return out
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := write(file, []byte(got)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
