// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestOpenSSL holds the listeners to a client that is not Go.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl binary on PATH")
	}
	a := newCA(t)
	sidecar := newSidecar(t, a, cluster.Strict, "http")
	sidecar.App = HTTPApp("ratings")
	sni := cluster.SNI("ratings.shop.svc.cluster.local", 9080)
	up := start(t, sidecar.Serve)
	gateway := &Passthrough{Route: func(name string) (Dial, bool) { return to(up), name == sni }}
	addrs := map[string]string{"sidecar": up, "gateway": start(t, gateway.Serve), "ztunnel": start(t, newZtunnel(t, a).ServeHBONE)}
	good, foreign := writeSVID(t, a), writeSVID(t, newCA(t))
	for name, tc := range map[string]struct {
		addr string
		args []string
		want []string
	}{
		"sidecar":             {"sidecar", append(good, "-alpn", "istio"), []string{"HTTP/1.1 200 OK", "ratings", "No ALPN negotiated"}},
		"sidecar-tls-1.2":     {"sidecar", append(good, "-tls1_2"), []string{"HTTP/1.1 200 OK", "TLSv1.2"}},
		"names-of-its-roots":  {"sidecar", append(good, "-alpn", "istio"), []string{"Acceptable client certificate CA names\nO = meshprobe, CN = root"}},
		"no-certificate":      {"sidecar", []string{"-alpn", "istio"}, []string{"alert number 116"}},
		"foreign-root":        {"sidecar", foreign, []string{"alert number 48"}},
		"through-the-gateway": {"gateway", append(good, "-alpn", "istio", "-servername", sni), []string{"HTTP/1.1 200 OK"}},
		"gateway-no-marker":   {"gateway", append(good, "-servername", sni), []string{"no peer certificate available"}},
		"ztunnel-h2":          {"ztunnel", append(good, "-alpn", "h2"), []string{"ALPN protocol: h2"}},
		"ztunnel-http-1.1":    {"ztunnel", append(good, "-alpn", "http/1.1"), []string{"alert number 120"}},
		"ztunnel-tls-1.2":     {"ztunnel", append(good, "-tls1_2"), []string{"alert number 70"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"s_client", "-connect", addrs[tc.addr], "-ign_eof", "-showcerts"}, tc.args...)
			cmd := exec.CommandContext(t.Context(), openssl, args...)
			cmd.Stdin = strings.NewReader("GET / HTTP/1.1\r\nHost: ratings\r\nConnection: close\r\n\r\n")
			out, _ := cmd.CombinedOutput() // its exit status says less than its output
			for _, want := range tc.want {
				if !bytes.Contains(bytes.ReplaceAll(out, []byte("O=meshprobe, CN=root"), []byte("O = meshprobe, CN = root")), []byte(want)) {
					t.Errorf("no %q in:\n%s", want, out)
				}
			}
		})
	}
}

// writeSVID returns the arguments that make s_client present an SVID of a.
func writeSVID(t *testing.T, a *ca) []string {
	t.Helper()
	id := a.svid(t, spiffe(ownDomain, "reviews"))
	key, err := x509.MarshalPKCS8PrivateKey(id.TLS().PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, blocks ...*pem.Block) string {
		var out []byte
		for _, b := range blocks {
			out = append(out, pem.EncodeToMemory(b)...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	leaf := write("leaf.pem", &pem.Block{Type: "CERTIFICATE", Bytes: id.Certificates[0].Raw})
	chain := write("chain.pem", &pem.Block{Type: "CERTIFICATE", Bytes: a.inter.Raw})
	return []string{"-cert", leaf, "-cert_chain", chain, "-key", write("key.pem", &pem.Block{Type: "PRIVATE KEY", Bytes: key})}
}
