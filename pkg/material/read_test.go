// SPDX-License-Identifier: Apache-2.0

package material_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/material"
)

// lay writes files into a new directory.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDirectories(t *testing.T) {
	p := newPKI()
	ca := p.caDocument(nil, 0)
	short := func(kind material.Kind, chain, roots []material.Certificate, key *material.Key) material.Document {
		return material.Document{Kind: kind, Certificates: chain, Roots: roots, Key: key}
	}
	leafKey := func(entry string) *material.Key { return keyOf(p.leaf, entry, 1, "PKCS#8", new(true)) }
	for _, tc := range []struct {
		name  string
		files map[string]string
		opts  material.Options
		want  material.Document
	}{
		{"cacerts", with(p.ca(), "README", "hello"), material.Options{}, ca},
		{
			"workload",
			map[string]string{"cert-chain.pem": certs(p.leaf, p.inter), "key.pem": pkcs8(p.leafKey), "root-cert.pem": certs(p.root)},
			material.Options{},
			short(material.KindChain, p.at("cert-chain.pem", p.leaf, p.inter), p.at("root-cert.pem", p.root), leafKey("key.pem")),
		},
		{
			"tls",
			map[string]string{"tls.crt": certs(p.leaf), "tls.key": pkcs8(p.leafKey), "ca.crt": certs(p.root)},
			material.Options{},
			short(material.KindChain, p.at("tls.crt", p.leaf), p.at("ca.crt", p.root), leafKey("tls.key")),
		},
		{"tls-of-a-ca", map[string]string{"tls.crt": certs(p.inter), "tls.key": pkcs8(p.interKey), "ca.crt": certs(p.root)}, material.Options{}, func() material.Document {
			d := p.tlsDocument(true)
			d.Object, d.Line, d.Name = nil, 0, ""
			return d
		}()},
		{
			"spire",
			map[string]string{"svid.0.pem": certs(p.leaf), "svid.0.key": pkcs8(p.leafKey), "bundle.0.pem": certs(p.root)},
			material.Options{},
			short(material.KindChain, p.at("svid.0.pem", p.leaf), p.at("bundle.0.pem", p.root), leafKey("svid.0.key")),
		},
		{"roots-only", map[string]string{"root-cert.pem": certs(p.root)}, material.Options{}, short(material.KindBundle, nil, p.at("root-cert.pem", p.root), nil)},
		{"tls-before-pem", with(p.ca(), "tls.crt", certs(p.leaf), "tls.key", pkcs8(p.leafKey), "ca.crt", certs(p.other)), material.Options{}, material.Document{
			Kind: material.KindCACerts, CACert: p.at("tls.crt", p.leaf), Certificates: append(p.at("tls.crt", p.leaf), p.at("ca.crt", p.other)...),
			Roots: p.at("ca.crt", p.other), Key: leafKey("tls.key"),
		}},
		{"cacerts-demanded", map[string]string{"root-cert.pem": certs(p.root)}, material.Options{Kind: material.KindCACerts}, material.Document{
			Kind: material.KindCACerts, Roots: p.at("root-cert.pem", p.root), Missing: []string{"ca-cert.pem", "ca-key.pem", "cert-chain.pem"},
			Problems: []material.Problem{
				problem(material.CodeMissing, "ca-cert.pem", 0, 0), problem(material.CodeMissing, "ca-key.pem", 0, 0), problem(material.CodeMissing, "cert-chain.pem", 0, 0),
			},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := lay(t, tc.files)
			docs, err := material.Read(t.Context(), dir, nil, tc.opts)
			noSecrets(t, docs, err)
			if err != nil || len(docs) != 1 {
				t.Fatalf("%d documents, error %v", len(docs), err)
			}
			if tc.name != "cacerts" {
				docs[0].Entries = nil
			}
			tc.want.Source = dir
			if tc.name != "cacerts" {
				tc.want.Entries = nil
			}
			if diff := cmp.Diff(tc.want, docs[0], p.alike()); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("nothing", func(t *testing.T) {
		_, err := material.Read(t.Context(), lay(t, map[string]string{"x.pem": certs(p.root)}), nil, material.Options{})
		refused(t, err, "none of the files", 0)
	})
}

func TestRead(t *testing.T) {
	p := newPKI()
	file := filepath.Join(lay(t, map[string]string{"some.pem": certs(p.root)}), "some.pem")
	for _, source := range []string{file, "-"} {
		docs, err := material.Read(t.Context(), source, strings.NewReader(certs(p.root)), material.Options{})
		if err != nil || len(docs) != 1 || docs[0].Kind != material.KindBundle {
			t.Fatalf("%s: %v, error %v", source, docs, err)
		}
		want := source
		if source == "-" {
			want = "stdin"
		}
		if docs[0].Source != want {
			t.Errorf("the source of %s is called %q", source, docs[0].Source)
		}
	}
	docs, err := material.Read(t.Context(), "spiffe://a/b", nil, material.Options{})
	if err != nil || docs[0].Identity.Path != "/b" {
		t.Errorf("an ID in place of a file: %v, error %v", docs, err)
	}
	docs, err = material.Read(t.Context(), "a/b", nil, material.Options{Kind: material.KindSPIFFEID})
	if err != nil || docs[0].Identity.Error == "" {
		t.Errorf("what is demanded to be an ID: %v, error %v", docs, err)
	}
	_, err = material.Read(t.Context(), file+"x", nil, material.Options{})
	refused(t, err, "some.pemx: there is no such file", 0)
	_, err = material.Read(t.Context(), "-", iotest.ErrReader(errors.New("broken")), material.Options{})
	refused(t, err, "stdin: cannot be read: broken", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = material.Read(ctx, file, nil, material.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interrupt: %v", err)
	}
}

// endless is a reader without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestBounds(t *testing.T) {
	_, err := material.Read(t.Context(), "-", endless{}, material.Options{})
	refused(t, err, "stdin: is larger than 64 MiB", 0)
	_, err = material.Parse("input", []byte("kind: Secret\napiVersion: v1\nx: "+strings.Repeat("x", material.MaxYAMLBytes)), material.Options{})
	refused(t, err, "too large for YAML", 0)
	root := certs(newPKI().root)
	docs, err := material.Parse("input", []byte(strings.Repeat(root, material.MaxCertificates+3)), material.Options{})
	if err != nil || len(docs) != 1 || len(docs[0].Roots) != material.MaxCertificates || !docs[0].HasProblem(material.CodeOmitted) || len(docs[0].Problems) != 1 {
		t.Errorf("too many certificates: %d documents, error %v", len(docs), err)
	}
	docs, err = material.Parse("input", []byte(strings.Repeat("spiffe://a/b\n", material.MaxDocuments+3)), material.Options{})
	if err != nil || len(docs) != material.MaxDocuments || !docs[len(docs)-1].HasProblem(material.CodeOmitted) {
		t.Errorf("too many documents: %d, error %v", len(docs), err)
	}
	listeners := strings.Repeat(`{"transportSocket":{"@type":"UpstreamTlsContext"}},`, material.MaxContexts+3)
	docs, err = material.Parse("input", []byte("["+strings.TrimSuffix(listeners, ",")+"]"), material.Options{})
	if err != nil || len(docs) != 1 || len(docs[0].Contexts) != material.MaxContexts || !docs[0].HasProblem(material.CodeOmitted) {
		t.Errorf("too many contexts: %d documents, error %v", len(docs), err)
	}
	_, err = material.Parse("input", []byte(`{"static_secrets":[`+strings.Repeat("0,", material.MaxNodes)+`0]}`), material.Options{})
	refused(t, err, "more values", 0)
}

// TestManyMarks reads texts that make a careless scanner go over them again and
// again. Each takes well below a second; quadratic work would take hours.
func TestManyMarks(t *testing.T) {
	const n = 400_000
	for name, text := range map[string]string{
		"begins":         strings.Repeat("-----BEGIN A-----", n),
		"begin-lines":    strings.Repeat("-----BEGIN A-----\n", n),
		"begins-no-end":  strings.Repeat("-----BEGIN ", n),
		"ends":           "-----BEGIN A-----\n" + strings.Repeat("-----END ", n),
		"pairs-one-line": strings.Repeat("-----BEGIN A----------END A-----", n/4),
		"values":         strings.Repeat(`{"kind":"x","apiVersion":"v","data":{}}`+"\n", n/4),
		"equal-keys":     "apiVersion: v1\nkind: Secret\n" + strings.Repeat("a:\n", n),
		"keys-of-a-dump": "configs:\n" + strings.Repeat("  a: 1\n", n),
		"headers":        "-----BEGIN A-----\n" + strings.Repeat("a:\n", n) + "-----END A-----\n",
	} {
		t.Run(name, func(t *testing.T) {
			if docs, err := material.Parse("input", []byte(text), material.Options{}); err == nil {
				t.Errorf("read as %d documents", len(docs))
			}
		})
	}
}

func TestFacts(t *testing.T) {
	p := newPKI()
	docs, err := material.Parse("input", []byte(certs(p.other, p.root, p.root)), material.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := docs[0].RootSPKIs()
	want := []string{spki(p.root), spki(p.other)}
	if want[0] > want[1] {
		want[0], want[1] = want[1], want[0]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys of a bundle (-want +got):\n%s", diff)
	}
	if n := len(material.Parsed(docs[0].Roots)); n != 3 {
		t.Errorf("%d of 3 certificates parsed", n)
	}
	dump, err := material.Parse("input", []byte(fixture(t, "envoy-config_dump.json")), material.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dump[1].Roots, material.Anchors(dump, 0)); diff != "" || len(dump[1].Roots) != 1 {
		t.Errorf("anchors of a proxy's certificate (-want +got):\n%s", diff)
	}
	if spire, err := material.Parse("input", []byte(fixture(t, "envoy-spire-config_dump.json")), material.Options{}); err != nil || len(spire[0].RootSPKIs()) != 1 {
		t.Errorf("roots by trust domain: %v, error %v", spire, err)
	}
}
