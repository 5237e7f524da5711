// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/fixtures/corpus"
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

// corpusCase is a case of the corpus, made for the time at which it is judged.
type corpusCase struct {
	corpus.Case
	at time.Time
}

// cases returns the corpus as fixtures/pki holds it.
func cases(t testing.TB) []corpusCase { return casesAt(t, fixtures.PKITime()) }

// casesAt makes the corpus anew for another time.
func casesAt(t testing.TB, at time.Time) (list []corpusCase) {
	t.Helper()
	for _, c := range corpus.Cases(at) {
		list = append(list, corpusCase{c, at})
	}
	if len(list) < 60 {
		t.Fatalf("the corpus has %d cases", len(list))
	}
	return list
}

// parse fails where crypto/x509 cannot read a certificate, which then nobody
// here can judge.
func (c corpusCase) parse() (Chain, []*x509.Certificate, error) {
	certs, err := parseAll(c.Chain)
	if err != nil {
		return Chain{}, nil, err
	}
	roots, err := parseAll(c.Bundle(c.at))
	return Chain{Certs: certs}, roots, err
}

func parseAll(list [][]byte) (certs []*x509.Certificate, err error) {
	for _, der := range list {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	return certs, nil
}
