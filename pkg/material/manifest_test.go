// SPDX-License-Identifier: Apache-2.0

package material_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/material"
)

// object is a manifest as `kubectl get -o yaml` prints it; head is what stands in
// it beside data, with two blanks before what belongs to metadata.
func object(kind, head string, data map[string]string) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\ndata:\n")
	for _, name := range slices.Sorted(maps.Keys(data)) {
		b.WriteString("  " + name + ":")
		switch {
		case kind == "Secret":
			b.WriteString(" " + b64(data[name]) + "\n")
		case data[name] == "":
			b.WriteString(" \"\"\n")
		default:
			b.WriteString(" |\n    " + strings.ReplaceAll(strings.TrimSpace(data[name]), "\n", "\n    ") + "\n")
		}
	}
	b.WriteString("kind: " + kind + "\n" + head)
	return b.String()
}

const caHead = "metadata:\n  creationTimestamp: \"2026-06-01T10:00:00Z\"\n  name: cacerts\n  namespace: istio-system\n  resourceVersion: \"7\"\ntype: Opaque\n"

// asJSON is the same in the form of `kubectl get -o json`.
func asJSON(kind string, metadata map[string]any, typ string, data map[string]string) string {
	encoded := map[string]string{}
	for k, v := range data {
		if encoded[k] = v; kind == "Secret" {
			encoded[k] = b64(v)
		}
	}
	return string(must(json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": kind, "metadata": metadata, "type": typ, "data": encoded}, "", "    ")))
}

func (p *pki) ca() map[string]string {
	return map[string]string{
		"ca-cert.pem": certs(p.inter), "ca-key.pem": pkcs8(p.interKey), "root-cert.pem": certs(p.root), "cert-chain.pem": certs(p.inter, p.root),
	}
}

// caDocument is what ca is read as.
func (p *pki) caDocument(object *material.Object, line int) material.Document {
	d := material.Document{
		Kind: material.KindCACerts, Object: object, Line: line,
		CACert:       []material.Certificate{p.c(p.inter, "ca-cert.pem", 1)},
		Certificates: []material.Certificate{p.c(p.inter, "cert-chain.pem", 1), p.c(p.root, "cert-chain.pem", 1+nl(certs(p.inter)))},
		Roots:        []material.Certificate{p.c(p.root, "root-cert.pem", 1)},
		Key:          keyOf(p.inter, "ca-key.pem", 1, "PKCS#8", new(true)),
		Entries: []material.Entry{
			{Name: "ca-cert.pem", Bytes: len(certs(p.inter)), Holds: material.HoldsCertificates},
			{Name: "ca-key.pem", Bytes: len(pkcs8(p.interKey)), Holds: material.HoldsKey},
			{Name: "cert-chain.pem", Bytes: len(certs(p.inter, p.root)), Holds: material.HoldsCertificates},
			{Name: "root-cert.pem", Bytes: len(certs(p.root)), Holds: material.HoldsCertificates},
		},
	}
	if object != nil {
		d.Name = "istio-system/" + object.Name
	}
	return d
}

func with(m map[string]string, pairs ...string) map[string]string {
	out := maps.Clone(m)
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func caObject() *material.Object {
	return &material.Object{
		Kind: "Secret", Namespace: "istio-system", Name: "cacerts", Type: "Opaque", Shape: material.ShapeCACerts,
		Created: time.Date(2026, time.June, 1, 10, 0, 0, 0, time.UTC),
	}
}

func TestCACerts(t *testing.T) {
	p := newPKI()
	secret := object("Secret", caHead, p.ca())
	meta := map[string]any{"name": "cacerts", "namespace": "istio-system", "creationTimestamp": "2026-06-01T10:00:00Z"}
	healthy := func(change func(*material.Document)) []material.Document {
		d := p.caDocument(caObject(), 1)
		change(&d)
		return []material.Document{d}
	}
	none := func(*material.Document) {}
	tls := map[string]string{"tls.crt": certs(p.inter), "tls.key": pkcs8(p.interKey), "ca.crt": certs(p.root)}
	check(t, []input{
		{name: "yaml", content: secret, want: healthy(none)},
		{name: "yaml-behind-a-separator", content: "---\n" + secret, want: healthy(func(d *material.Document) { d.Line = 2 })},
		{name: "yaml-crlf", content: strings.ReplaceAll(secret, "\n", "\r\n"), want: healthy(none)},
		{name: "json", content: asJSON("Secret", meta, "Opaque", p.ca()), want: healthy(none)},
		{name: "generated-by-istiod", content: object("Secret", caHead, with(p.ca(), "istio-generated", "")), want: healthy(func(d *material.Document) {
			d.Object.Generated = true
			d.Entries = slices.Insert(d.Entries, 3, material.Entry{Name: "istio-generated", Holds: material.HoldsNothing})
		})},
		{name: "no-key", content: object("Secret", caHead, with(p.ca(), "ca-key.pem", "")), want: healthy(func(d *material.Document) {
			d.Key, d.Missing = nil, []string{"ca-key.pem"}
			d.Entries[1] = material.Entry{Name: "ca-key.pem", Holds: material.HoldsNothing}
			d.Problems = []material.Problem{problem(material.CodeMissing, "ca-key.pem", 0, 0)}
		})},
		{name: "key-of-another", content: object("Secret", caHead, with(p.ca(), "ca-key.pem", pkcs8(p.leafKey))), want: healthy(func(d *material.Document) {
			d.Key = keyOf(p.leaf, "ca-key.pem", 1, "PKCS#8", new(false))
			d.Entries[1].Bytes = len(pkcs8(p.leafKey))
			d.Problems = []material.Problem{problem(material.CodeKeyMismatch, "ca-key.pem", 1, 0)}
		})},
		{name: "root-in-der", content: object("Secret", caHead, with(p.ca(), "root-cert.pem", string(p.root.Raw))), want: healthy(func(d *material.Document) {
			d.Roots[0].Line, d.Entries[3].Bytes = 0, len(p.root.Raw)
			d.Problems = []material.Problem{problem(material.CodeNotPEM, "root-cert.pem", 0, 0)}
		})},
		{name: "root-is-text", content: object("Secret", caHead, with(p.ca(), "root-cert.pem", "hello")), want: healthy(func(d *material.Document) {
			d.Roots, d.Entries[3] = nil, material.Entry{Name: "root-cert.pem", Bytes: 5, Holds: material.HoldsOther}
			d.Problems = []material.Problem{problem(material.CodeNotPEM, "root-cert.pem", 0, 0)}
		})},
		{name: "base64-twice", content: object("Secret", caHead, with(p.ca(), "root-cert.pem", b64(certs(p.root)))), want: healthy(func(d *material.Document) {
			d.Entries[3].Bytes = len(b64(certs(p.root)))
			d.Problems = []material.Problem{problem(material.CodeDoubleBase64, "root-cert.pem", 0, 0)}
		})},
		{name: "no-base64", content: strings.Replace(secret, b64(certs(p.root)), "|\n    "+strings.ReplaceAll(certs(p.root), "\n", "\n    "), 1), want: healthy(func(d *material.Document) {
			d.Entries[3].Bytes = len(certs(p.root))
			d.Problems = []material.Problem{problem(material.CodeBase64, "root-cert.pem", 0, 0)}
		})},
		{name: "key-beside-certificate", content: object("Secret", caHead, with(p.ca(), "root-cert.pem", certs(p.root)+pkcs8(p.leafKey))), want: healthy(func(d *material.Document) {
			d.Entries[3] = material.Entry{Name: "root-cert.pem", Bytes: len(certs(p.root) + pkcs8(p.leafKey)), Holds: material.HoldsKey}
			d.MoreKeys = []material.Key{*keyOf(p.leaf, "root-cert.pem", 1+nl(certs(p.root)), "PKCS#8", nil)}
			d.Problems = []material.Problem{problem(material.CodeUnexpected, "root-cert.pem", 0, 0)}
		})},
		{name: "as-tls", content: object("Secret", strings.Replace(caHead, "Opaque", "kubernetes.io/tls", 1), tls), want: []material.Document{p.tlsDocument(true)}},
		{
			name: "tls-of-another-name", content: object("Secret", strings.NewReplacer("Opaque", "kubernetes.io/tls", "cacerts", "mesh-ca").Replace(caHead), tls),
			opts: material.Options{Kind: material.KindCACerts}, want: []material.Document{func() material.Document {
				d := p.tlsDocument(true)
				d.Name, d.Object.Name = "istio-system/mesh-ca", "mesh-ca"
				return d
			}()},
		},
		{name: "self-signed", content: object("Secret", strings.NewReplacer("Opaque", "istio.io/ca-root", "cacerts", "istio-ca-secret").Replace(caHead), map[string]string{
			"ca-cert.pem": certs(p.inter), "ca-key.pem": pkcs8(p.interKey), "cert-chain.pem": "", "key.pem": "", "root-cert.pem": "",
		}), want: []material.Document{func() material.Document {
			d := p.caDocument(caObject(), 1)
			d.Name, d.Object.Name, d.Object.Type, d.Object.Shape = "istio-system/istio-ca-secret", "istio-ca-secret", "istio.io/ca-root", material.ShapeSelfSigned
			d.Certificates, d.Roots = nil, nil
			d.Entries = append(d.Entries[:2], material.Entry{Name: "cert-chain.pem", Holds: "nothing"},
				material.Entry{Name: "key.pem", Holds: "nothing"}, material.Entry{Name: "root-cert.pem", Holds: "nothing"})
			return d
		}()}},
	})
}

// tlsDocument is a kubernetes.io/tls Secret with a CA: as istiod takes it, or as
// the certificate of a workload.
func (p *pki) tlsDocument(ca bool) material.Document {
	o := caObject()
	o.Type, o.Shape = "kubernetes.io/tls", material.ShapeTLS
	d := material.Document{
		Kind: material.KindSecret, Name: "istio-system/cacerts", Object: o, Line: 1,
		Certificates: []material.Certificate{p.c(p.inter, "tls.crt", 1)},
		Roots:        []material.Certificate{p.c(p.root, "ca.crt", 1)},
		Key:          keyOf(p.inter, "tls.key", 1, "PKCS#8", new(true)),
		Entries: []material.Entry{
			{Name: "ca.crt", Bytes: len(certs(p.root)), Holds: material.HoldsCertificates},
			{Name: "tls.crt", Bytes: len(certs(p.inter)), Holds: material.HoldsCertificates},
			{Name: "tls.key", Bytes: len(pkcs8(p.interKey)), Holds: material.HoldsKey},
		},
	}
	if ca {
		d.Kind, o.Shape = material.KindCACerts, material.ShapeCACertsTLS
		d.CACert, d.Certificates = d.Certificates, append(slices.Clone(d.Certificates), d.Roots...)
	}
	return d
}

func TestManifests(t *testing.T) {
	p := newPKI()
	tls := map[string]string{"tls.crt": certs(p.inter), "tls.key": pkcs8(p.interKey), "ca.crt": certs(p.root)}
	tlsHead := strings.NewReplacer("Opaque", "kubernetes.io/tls", "cacerts", "gateway").Replace(caHead)
	workload := func(change func(*material.Document)) []material.Document {
		d := p.tlsDocument(false)
		d.Name, d.Object.Name = "istio-system/gateway", "gateway"
		change(&d)
		return []material.Document{d}
	}
	annotated := strings.Replace(tlsHead, "  name: gateway", "  annotations:\n    cert-manager.io/certificate-name: x\n    cert-manager.io/issuer-name: root\n    cert-manager.io/issuer-kind: ClusterIssuer\n  name: gateway", 1)
	mapHead := "metadata:\n  name: istio-ca-root-cert\n  namespace: shop\n"
	rootMap := object("ConfigMap", mapHead, map[string]string{"root-cert.pem": certs(p.root)})
	rootDocument := func(line int) material.Document {
		return material.Document{
			Kind: material.KindConfigMap, Name: "shop/istio-ca-root-cert", Line: line,
			Object:  &material.Object{Kind: "ConfigMap", Namespace: "shop", Name: "istio-ca-root-cert", Shape: material.ShapeRootMap},
			Roots:   []material.Certificate{p.c(p.root, "root-cert.pem", 1)},
			Entries: []material.Entry{{Name: "root-cert.pem", Bytes: len(certs(p.root)) - 0, Holds: material.HoldsCertificates}},
		}
	}
	list := "apiVersion: v1\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(rootMap), "\n", "\n  ") + "\n- apiVersion: apps/v1\n  kind: Deployment\n- " +
		strings.ReplaceAll(strings.TrimSpace(object("Secret", tlsHead, tls)), "\n", "\n  ") + "\nkind: List\n"
	crlMap := object("ConfigMap", "metadata:\n  name: istio-ca-crl\n  namespace: shop\n", map[string]string{"ca-crl.pem": block("X509 CRL", p.crl)})
	check(t, []input{
		{name: "tls", content: object("Secret", tlsHead, tls), want: workload(func(*material.Document) {})},
		{name: "cert-manager", content: object("Secret", annotated, tls), want: workload(func(d *material.Document) {
			d.Object.Shape, d.Object.Issuer = material.ShapeCertManager, "ClusterIssuer/root"
		})},
		{name: "istio-csr", content: object("Secret", strings.ReplaceAll(annotated, "name: gateway", "name: istiod-tls"), tls), want: workload(func(d *material.Document) {
			d.Name, d.Object.Name, d.Object.Shape, d.Object.Issuer = "istio-system/istiod-tls", "istiod-tls", material.ShapeIstioCSR, "ClusterIssuer/root"
		})},
		{
			name: "string-data", content: "kind: Secret\napiVersion: v1\n" + tlsHead + "stringData:\n  tls.crt: |\n    " + strings.ReplaceAll(certs(p.inter), "\n", "\n    ") + "\n",
			want: workload(func(d *material.Document) {
				d.Roots, d.Key, d.Entries, d.Missing = nil, nil, d.Entries[1:2], []string{"tls.key"}
				d.Problems = []material.Problem{problem(material.CodeMissing, "tls.key", 0, 0)}
			}),
		},
		{name: "gateway-credential", content: object("Secret", strings.ReplaceAll(caHead, "cacerts", "gateway"), map[string]string{
			"cert": certs(p.inter), "key": pkcs8(p.interKey), "cacert": certs(p.root),
		}), want: workload(func(d *material.Document) {
			d.Object.Type, d.Object.Shape = "Opaque", material.ShapeCredential
			d.Certificates[0].Entry, d.Roots[0].Entry, d.Key.Entry = "cert", "cacert", "key"
			d.Entries[0].Name, d.Entries[1].Name, d.Entries[2].Name = "cacert", "cert", "key"
		})},
		{
			name: "opaque", content: object("Secret", strings.ReplaceAll(caHead, "cacerts", "gateway"), map[string]string{"password": "hunter2canary", "x.pem": certs(p.root)}),
			want: workload(func(d *material.Document) {
				d.Object.Type, d.Object.Shape = "Opaque", material.ShapeOther
				d.Certificates, d.Roots, d.Key = []material.Certificate{p.c(p.root, "x.pem", 1)}, nil, nil
				d.Entries = []material.Entry{{Name: "password", Bytes: 13, Holds: "other"}, {Name: "x.pem", Bytes: len(certs(p.root)), Holds: "certificates"}}
			}),
		},
		{name: "service-account-token", content: object("Secret", strings.NewReplacer("Opaque", "kubernetes.io/service-account-token", "cacerts", "gateway").Replace(caHead),
			map[string]string{"ca.crt": certs(p.root), "token": "hunter2canary"}), want: workload(func(d *material.Document) {
			d.Object.Type, d.Object.Shape = "kubernetes.io/service-account-token", material.ShapeToken
			d.Certificates, d.Key = nil, nil
			d.Entries = []material.Entry{d.Entries[0], {Name: "token", Bytes: 13, Holds: "other"}}
		})},
		{name: "root-map", content: rootMap, want: []material.Document{rootDocument(1)}},
		{name: "root-map-empty", content: object("ConfigMap", mapHead, map[string]string{"root-cert.pem": ""}), want: []material.Document{func() material.Document {
			d := rootDocument(1)
			d.Roots, d.Missing, d.Entries[0].Bytes, d.Entries[0].Holds = nil, []string{"root-cert.pem"}, 0, "nothing"
			d.Problems = []material.Problem{problem(material.CodeMissing, "root-cert.pem", 0, 0)}
			return d
		}()}},
		{name: "crl-map", content: crlMap, want: []material.Document{{
			Kind: material.KindConfigMap, Name: "shop/istio-ca-crl", Line: 1, CRLs: p.list("ca-crl.pem", 1),
			Object:  &material.Object{Kind: "ConfigMap", Namespace: "shop", Name: "istio-ca-crl", Shape: material.ShapeCRLMap},
			Entries: []material.Entry{{Name: "ca-crl.pem", Bytes: len(block("X509 CRL", p.crl)), Holds: material.HoldsCRL}},
		}}},
		{name: "several-documents", content: rootMap + "---\n" + rootMap, want: []material.Document{rootDocument(1), rootDocument(2 + nl(rootMap))}},
		{name: "list", content: list, want: append([]material.Document{rootDocument(3)}, workload(func(d *material.Document) { d.Line = 5 + nl(rootMap) })...)},
		{name: "list-bundles-only", content: list, opts: material.Options{Kind: material.KindConfigMap}, want: []material.Document{rootDocument(3)}},
		{name: "json-list", content: `{"kind":"List","apiVersion":"v1","items":[` + asJSON("ConfigMap", map[string]any{"name": "istio-ca-root-cert", "namespace": "shop"}, "",
			map[string]string{"root-cert.pem": certs(p.root)}) + `]}`, want: []material.Document{rootDocument(1)}},
		{name: "json-values", content: `{"kind":"Service","apiVersion":"v1","metadata":{}}` + "\n" + asJSON("ConfigMap",
			map[string]any{"name": "istio-ca-root-cert", "namespace": "shop"}, "", map[string]string{"root-cert.pem": certs(p.root)}), want: []material.Document{rootDocument(2)}},
		{name: "cluster-trust-bundle", content: "apiVersion: certificates.k8s.io/v1beta1\nkind: ClusterTrustBundle\nmetadata:\n  name: roots\nspec:\n  trustBundle: |\n    " +
			strings.ReplaceAll(strings.TrimSpace(certs(p.root)), "\n", "\n    ") + "\n", want: []material.Document{{
			Kind: material.KindBundle, Name: "roots", Line: 1, Roots: []material.Certificate{p.c(p.root, "trustBundle", 1)},
			Object:  &material.Object{Kind: "ClusterTrustBundle", Name: "roots", Shape: material.ShapeTrustMap},
			Entries: []material.Entry{{Name: "trustBundle", Bytes: len(certs(p.root)), Holds: material.HoldsCertificates}},
		}}},
		{name: "certificate-request", content: "apiVersion: cert-manager.io/v1\nkind: CertificateRequest\nmetadata:\n  name: r\n  namespace: n\nspec:\n  request: " +
			b64(block("CERTIFICATE REQUEST", p.csr)) + "\nstatus:\n  certificate: " + b64(certs(p.leaf)) + "\n", want: []material.Document{{
			Kind: material.KindCSR, Name: "n/r", Line: 1, Request: p.request(1), Certificates: []material.Certificate{p.c(p.leaf, "certificate", 1)},
			Object: &material.Object{Kind: "CertificateRequest", Namespace: "n", Name: "r", Shape: material.ShapeOther},
		}}},
		{name: "other-objects", content: "apiVersion: apps/v1\nkind: Deployment\n", refused: "holds no Secret"},
		{name: "yaml-syntax", content: "apiVersion: v1\nkind: Secret\ndata:\n  a: [hunter2canary\n", refused: "not valid YAML", line: 3},
		{name: "yaml-type", content: "apiVersion: v1\nkind: Secret\ndata:\n  a:\n    hunter2canary: b\n", refused: "another type", line: 5},
		{name: "yaml-alias-bomb", content: "kind: Secret\napiVersion: v1\n" + bomb("data"), refused: "more keys or aliases"},
		{name: "yaml-alias-bomb-of-a-dump", content: bomb("configs"), refused: "more keys or aliases"},
		{name: "json-syntax", content: "{\n\"kind\": \"Secret\", hunter2canary", refused: "not valid JSON", line: 2},
		{name: "json-type", content: `{"apiVersion":"v1","kind":"Secret","data":{"a":"hunter2canary","b":{}}}`, refused: "another type", line: 1},
		{name: "json-depth", content: strings.Repeat(`{"kind":"List","apiVersion":"v1","items":[`, 200) + strings.Repeat("]}", 200), refused: "lists in lists"},
		{name: "json-unknown", content: `{"hello":1}`, refused: "no kind known"},
	})
}

// bomb is a small YAML that grows when its aliases are followed, under a key.
func bomb(key string) string {
	var b strings.Builder
	b.WriteString("a: &a {x: y}\n")
	for c := 'b'; c < 't'; c++ {
		b.WriteString(string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+", ", 9) + "*" + string(c-1) + "]\n")
	}
	return b.String() + "filler:\n" + key + ":\n  x: *s\n"
}

func TestRemoteSecret(t *testing.T) {
	p := newPKI()
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1780308000,"sub":"x"}`))
	config := func(user, cluster string) string {
		return "apiVersion: v1\nkind: Config\nclusters:\n- name: west\n  cluster:\n    server: https://me:hunter2canary@10.0.0.1:6443/x\n" + cluster +
			"contexts:\n- name: west\n  context: {cluster: west, user: west}\ncurrent-context: west\nusers:\n- name: west\n  user:\n" + user
	}
	ca := "    certificate-authority-data: " + b64(certs(p.root)) + "\n"
	head := "metadata:\n  labels:\n    istio/multiCluster: \"true\"\n  name: istio-remote-secret-west\n  namespace: istio-system\ntype: Opaque\n"
	remote := func(text string, want material.Remote, problems ...material.Problem) input {
		want.Cluster = "west"
		return input{content: object("Secret", head, map[string]string{"west": text}), want: []material.Document{{
			Kind: material.KindSecret, Name: "istio-system/istio-remote-secret-west", Line: 1,
			Object: &material.Object{
				Kind: "Secret", Namespace: "istio-system", Name: "istio-remote-secret-west", Type: "Opaque", Shape: material.ShapeRemote,
			},
			Entries: []material.Entry{{Name: "west", Bytes: len(text), Holds: material.HoldsKubeconfig}},
			Remotes: []material.Remote{want}, Problems: problems,
		}}}
	}
	named := func(name string, i input) input { i.name = name; return i }
	root := []material.Certificate{p.c(p.root, "", 1)}
	const server = "https://10.0.0.1:6443"
	malformed := problem(material.CodeKubeconfig, "west", 0, 0)
	check(t, []input{
		named("token", remote(config("    token: eyJ."+claims+".hunter2canary\n", ca), material.Remote{
			Server: server, Auth: "token", CA: root, Expires: time.Unix(1780308000, 0).UTC(),
		})),
		named("client-certificate", remote(config("    client-certificate-data: "+b64(certs(p.leaf))+"\n    client-key-"+"data: "+b64(pkcs8(p.leafKey))+"\n", ca),
			material.Remote{Server: server, Auth: "client-certificate", CA: root})),
		named("exec", remote(config("    exec: {command: hunter2canary}\n", ca), material.Remote{Server: server, Auth: "exec", CA: root})),
		named("insecure", remote(config("    password: hunter2canary\n    username: me\n", "    insecure-skip-tls-verify: true\n"),
			material.Remote{Server: server, Auth: "basic", Insecure: true})),
		named("no-ca", remote(config("    token: hunter2canary\n", ""), material.Remote{Server: server, Auth: "token", Error: "it has no CA certificate for the API server"}, malformed)),
		named("no-context", remote("kind: Config\n", material.Remote{Error: "the kubeconfig has no current context"}, malformed)),
		named("many-keys", remote(strings.Repeat("a: hunter2canary\n", 20000), material.Remote{Error: "the kubeconfig is not valid YAML"}, malformed)),
		named("no-yaml", remote("hunter2canary: [", material.Remote{Error: "the kubeconfig is not valid YAML"}, malformed)),
	})
}
