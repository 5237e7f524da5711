// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"crypto/x509"
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/fixtures/corpus"
)

func TestParsedWithinBounds(t *testing.T) {
	m := parsed{certs: map[string]*x509.Certificate{}}
	root := corpus.Root(fixtures.PKITime())
	first, err := m.parse(root)
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.parse(append([]byte(nil), root...))
	if err != nil || again != first {
		t.Errorf("parsed twice (%v)", err)
	}
	if cert, err := m.parse([]byte("nothing")); err == nil || cert != nil || len(m.certs) != 1 {
		t.Errorf("%v remembered of what is none (%v)", cert, err)
	}
	for i := range maxParsed {
		m.certs[string(rune(i))] = first
	}
	if _, err := m.parse(corpus.Cases(fixtures.PKITime())[0].Chain[0]); err != nil || len(m.certs) != 1 {
		t.Errorf("%d remembered after the bound of %d (%v)", len(m.certs), maxParsed, err)
	}
}
