// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// concatenated writes the bundle that was joined without a line break.
func concatenated(t *testing.T) (path string, text []byte) {
	t.Helper()
	text, err := fs.ReadFile(fixtures.FS, "pki/pem-concat.roots.pem")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, text
}

// TestConcatenatedBundle: two certificates joined without a line break are none
// to Go, OpenSSL and Envoy.
func TestConcatenatedBundle(t *testing.T) {
	path, text := concatenated(t)
	if x509.NewCertPool().AppendCertsFromPEM(text) {
		t.Error("Go has found a certificate")
	}
	t.Run("openssl", func(t *testing.T) {
		bin, err := exec.LookPath("openssl")
		if err != nil {
			t.Skip("no openssl in PATH")
		}
		out, err := exec.CommandContext(t.Context(), bin, "verify", "-CAfile", path, path).CombinedOutput()
		if err == nil {
			t.Errorf("OpenSSL has found a certificate: %s", out)
		}
	})
	t.Run("envoy", func(t *testing.T) {
		bin := hbonetest.EnvoyPath(t)
		c := cases(t)[0]
		cert, key := ownCertificate(t)
		config := filepath.Join(t.TempDir(), "envoy.json")
		v := variants()[0]
		writeJSON(t, config, object{"static_resources": object{"listeners": []object{
			clientListener(hbonetest.FreePort(t), os.DevNull, []object{filterChain(v, v.sni(c), path, cert, key)}),
		}}})
		out, err := exec.CommandContext(t.Context(), bin, "--mode", "validate", "-c", config).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "Failed to load trusted CA certificates") {
			t.Errorf("Envoy: %v: %s", err, out)
		}
	})
}
