// SPDX-License-Identifier: Apache-2.0

package material_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/material"
)

// total is what holds for every input: no panic, either documents or an error of
// this package, documents that survive JSON, and no part of a key in either.
func total(t *testing.T, content []byte, opts material.Options) {
	t.Helper()
	docs, err := material.Parse("input", content, opts)
	noSecrets(t, docs, err)
	if err != nil {
		if _, ok := err.(*material.Error); !ok || docs != nil { //nolint:errorlint // the contract is this very type
			t.Fatalf("%d documents with error %#v", len(docs), err)
		}
		return
	}
	if len(docs) == 0 {
		t.Fatal("neither document nor error")
	}
	wellFormed(t, docs)
	text, err := json.Marshal(docs)
	if err != nil {
		t.Fatal(err)
	}
	var back []material.Document
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("documents do not survive JSON: %v\n%s", err, text)
	}
	if diff := cmp.Diff(docs, back, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("after JSON (-want +got):\n%s", diff)
	}
	for i := range docs {
		material.Anchors(docs, i)
		docs[i].RootSPKIs()
	}
}

// seeds adds the fixtures that match a pattern, of which there must be some.
func seeds(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		names, err := fs.Glob(fixtures.FS, pattern)
		if err != nil || len(names) == 0 {
			f.Fatalf("fixtures: %q matched %d files (err %v)", pattern, len(names), err)
		}
		for _, name := range names[:min(len(names), 40)] {
			text, err := fs.ReadFile(fixtures.FS, name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
}

func FuzzPEM(f *testing.F) {
	seeds(f, "pki/*.pem", "material/*.pem", "material/*.p7b")
	p := newPKI()
	f.Add([]byte(certs(p.leaf) + pkcs8(p.leafKey)))
	f.Fuzz(func(t *testing.T, content []byte) { total(t, content, material.Options{}) })
}

func FuzzDER(f *testing.F) {
	seeds(f, "material/*.der")
	f.Add(pkcs7(newPKI().leaf))
	f.Fuzz(func(t *testing.T, content []byte) { total(t, append([]byte{0x30}, content...), material.Options{}) })
}

func FuzzCertificate(f *testing.F) {
	p := newPKI()
	f.Add(p.leaf.Raw)
	f.Add(p.root.Raw)
	f.Fuzz(func(t *testing.T, content []byte) {
		total(t, []byte(block("CERTIFICATE", content)), material.Options{})
	})
}

func FuzzCSR(f *testing.F) {
	f.Add(newPKI().csr)
	f.Fuzz(func(t *testing.T, content []byte) {
		total(t, []byte(block("CERTIFICATE REQUEST", content)), material.Options{})
	})
}

func FuzzCRL(f *testing.F) {
	f.Add(newPKI().crl)
	f.Fuzz(func(t *testing.T, content []byte) { total(t, []byte(block("X509 CRL", content)), material.Options{}) })
}

func FuzzManifest(f *testing.F) {
	seeds(f, "material/*.yaml")
	p := newPKI()
	f.Add([]byte(object("Secret", caHead, p.ca())))
	f.Add([]byte(asJSON("Secret", map[string]any{"name": "cacerts"}, "Opaque", p.ca())))
	f.Add([]byte("apiVersion: v1\nkind: Secret\nmetadata:\n  labels:\n    istio/multiCluster: \"true\"\nstringData:\n  west: |\n    current-context: a\n    contexts:\n    - {name: a, context: {cluster: a, user: a}}\n"))
	f.Fuzz(func(t *testing.T, content []byte) { total(t, content, material.Options{}) })
}

// FuzzSecretEntry puts anything into an entry of cacerts.
func FuzzSecretEntry(f *testing.F) {
	p := newPKI()
	for name, text := range p.ca() {
		f.Add(name, []byte(text))
	}
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		files := map[string][]byte{name: content}
		for other, text := range p.ca() {
			if other != name {
				files[other] = []byte(text)
			}
		}
		docs, err := material.ParseFiles("input", files, material.Options{})
		if err != nil || len(docs) != 1 {
			t.Fatalf("%d documents, error %v", len(docs), err)
		}
		noSecrets(t, docs, err)
	})
}

func FuzzEnvoyDump(f *testing.F) {
	seeds(f, "material/envoy*.json", "material/proxy*.json")
	f.Fuzz(func(t *testing.T, content []byte) { total(t, content, material.Options{}) })
}

func FuzzZtunnelDump(f *testing.F) {
	seeds(f, "material/ztunnel*.json")
	f.Fuzz(func(t *testing.T, content []byte) { total(t, content, material.Options{}) })
}

func FuzzSPIFFEBundle(f *testing.F) {
	seeds(f, "material/spiffe*.json")
	f.Fuzz(func(t *testing.T, content []byte) { total(t, content, material.Options{TrustDomain: "east.example"}) })
}

func FuzzSPIFFEID(f *testing.F) {
	for id := range strings.Lines("spiffe://a/b\nspiffe://cluster.local/ns/a/sa/b\nspiffe://a:1/\nspiffe://a?x\nSPIFFE://x/../y\n") {
		f.Add([]byte(id))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(strings.TrimSpace(string(content))) > 0 {
			total(t, content, material.Options{Kind: material.KindSPIFFEID})
		}
	})
}
