// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
)

// load returns a fixture of fixtures/pki: the chain and its bundle.
func load(t testing.TB, name string) (Chain, []*x509.Certificate) {
	t.Helper()
	roots, err := parse("pki/" + name + ".roots.pem")
	if errors.Is(err, fs.ErrNotExist) {
		roots, err = parse("pki/root.pem")
	}
	if err != nil {
		t.Fatal(err)
	}
	certs, err := parse("pki/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	return Chain{Certs: certs}, roots
}

func parse(path string) (certs []*x509.Certificate, err error) {
	rest, err := fs.ReadFile(fixtures.FS, path)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return certs, nil
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
}
