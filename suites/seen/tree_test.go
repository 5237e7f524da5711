// SPDX-License-Identifier: Apache-2.0

package seen_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// pki reads a fixture; names are joined in order.
func pki(t *testing.T, names ...string) seen.Certs {
	t.Helper()
	var certs seen.Certs
	for _, name := range names {
		text, err := fixtures.FS.ReadFile("pki/" + name + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, seen.FromPEM(text)...)
	}
	return certs
}

// issue signs a certificate with keys made of their names, so that every run
// gives the same bytes.
func issue(t *testing.T, name, key, issuer, issuerKey string, edit func(*x509.Certificate)) []byte {
	t.Helper()
	keyOf := func(s string) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed([]byte(s + strings.Repeat(".", ed25519.SeedSize))[:ed25519.SeedSize])
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name + issuer))), Subject: pkix.Name{CommonName: name},
		NotBefore: fixtures.PKITime().AddDate(0, -1, 0), NotAfter: fixtures.PKITime().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte("ski-" + key),
	}
	if edit != nil {
		edit(tmpl)
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}, SubjectKeyId: []byte("ski-" + issuerKey)}
	der, err := x509.CreateCertificate(nil, tmpl, parent, keyOf(key).Public(), keyOf(issuerKey))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func leaf(c *x509.Certificate) {
	c.IsCA, c.Subject = false, pkix.Name{}
	c.URIs = []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/shop/sa/cart"}}
}

func TestTree(t *testing.T) {
	root := issue(t, "root", "root", "root", "root", nil)
	inter := issue(t, "inter", "inter", "root", "root", nil)
	cart := issue(t, "cart", "cart", "inter", "inter", leaf)
	hostile := func(c *x509.Certificate) {
		c.Subject.CommonName = "evil\n└─ 9  root\x1b[31m" + strings.Repeat("x", 300)
		c.DNSNames = []string{"a.example", "b.example", "c.example", "d.example", "e.example", "f.example"}
	}
	for name, tc := range map[string]struct {
		certs, anchors seen.Certs
		forest         bool
		after          time.Duration
	}{
		"good":                      {certs: pki(t, "good")},
		"good-under-bundle":         {certs: pki(t, "good"), anchors: pki(t, "root")},
		"root-not-sent-bundle":      {certs: pki(t, "root-not-sent"), anchors: pki(t, "root")},
		"root-not-sent":             {certs: pki(t, "root-not-sent")},
		"other-bundle":              {certs: pki(t, "root-not-sent"), anchors: seen.Certs{root}},
		"same-dn-other-key":         {certs: pki(t, "root-same-dn-not-sent"), anchors: pki(t, "root")},
		"same-dn-sent":              {certs: pki(t, "root-same-dn"), anchors: pki(t, "root")},
		"intermediate-not-sent":     {certs: pki(t, "intermediate-not-sent")},
		"wrong-intermediate":        {certs: pki(t, "wrong-intermediate")},
		"wrong-intermediate-first":  {certs: pki(t, "wrong-intermediate-first")},
		"wrong-order":               {certs: pki(t, "root-before-intermediate")},
		"root-first":                {certs: seen.Certs{root, inter, cart}},
		"root-twice":                {certs: pki(t, "root-twice")},
		"dn-string-type":            {certs: pki(t, "dn-string-type"), anchors: pki(t, "root")},
		"intermediate-is-root-name": {certs: pki(t, "intermediate-dn-is-root-dn")},
		"extras":                    {certs: append(seen.Certs{cart, inter, root}, pki(t, "good")...)},
		"expired":                   {certs: pki(t, "good"), after: 13 * time.Hour},
		"circle": {certs: seen.Certs{
			issue(t, "cart", "cart", "a", "a", leaf), issue(t, "a", "a", "b", "b", nil), issue(t, "b", "b", "a", "a", nil),
		}},
		"cross-signed": {certs: seen.Certs{
			cart, inter, issue(t, "inter", "inter", "old root", "old", nil), root, issue(t, "old root", "old", "old root", "old", nil),
		}},
		"siblings":               {certs: seen.Certs{cart, inter, root, issue(t, "inter west", "west", "root", "root", nil), issue(t, "pay", "pay", "inter west", "west", leaf)}},
		"self-signed":            {certs: seen.Certs{issue(t, "alone", "alone", "alone", "alone", leaf)}},
		"unparsable":             {certs: seen.Certs{cart, []byte("no certificate"), root}},
		"hostile-names":          {certs: seen.Certs{issue(t, "evil", "evil", "root", "root", hostile), root}},
		"none":                   {},
		"bundle":                 {certs: append(pki(t, "roots-right-first-no-aki.roots"), root), forest: true},
		"bundle-of-intermediate": {certs: seen.Certs{inter}, forest: true},
		"re-issued-root":         {certs: pki(t, "root-reissued-keyid"), anchors: pki(t, "root-reissued-keyid.roots")},
	} {
		t.Run(name, func(t *testing.T) {
			at := fixtures.PKITime().Add(tc.after)
			got := seen.TreeUnder(tc.certs, tc.anchors, at)
			if tc.forest {
				got = seen.Forest(tc.certs, at)
			} else if len(tc.anchors) == 0 {
				got = seen.Tree(tc.certs, at)
			}
			golden(t, filepath.Join("testdata", "tree", name+".txt"), got+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if probetest.Update() {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
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

// FuzzTree holds drawing to its bounds: it ends, and no name of a peer makes a
// line of its own.
func FuzzTree(f *testing.F) {
	for _, name := range []string{"good", "root-twice", "wrong-intermediate", "root-reissued-keyid"} {
		text, err := fixtures.FS.ReadFile("pki/" + name + ".pem")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		certs := seen.FromPEM(text)
		for line := range strings.Lines(seen.Tree(certs, fixtures.PKITime())) {
			if len(line) > 4096 || strings.ContainsAny(line, "\r\x1b\x00") {
				t.Fatalf("a line that tears the drawing apart: %q", line)
			}
		}
	})
}
