// SPDX-License-Identifier: Apache-2.0

package hbonetest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

// Files are PEM files for servers that are real processes.
type Files struct{ Cert, Key, Root string }

// Write stores cert, its key and the root in the test's temporary directory.
func (ca *CA) Write(t testing.TB, cert tls.Certificate) Files {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatalf("hbonetest: %v", err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatalf("hbonetest: %v", err)
		}
		return path
	}
	return Files{
		Cert: write("cert.pem", "CERTIFICATE", cert.Certificate[0]),
		Key:  write("key.pem", "PRIVATE KEY", key),
		Root: write("root.pem", "CERTIFICATE", ca.Cert.Raw),
	}
}
