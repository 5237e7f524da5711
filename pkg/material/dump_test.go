// SPDX-License-Identifier: Apache-2.0

package material_test

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/material"
)

// fixture is a file of fixtures/material.
func fixture(t testing.TB, name string) string {
	t.Helper()
	text, err := fs.ReadFile(fixtures.FS, "material/"+name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// stored is the good chain of fixtures/pki, by the names that newPKI gives its own.
func stored(t testing.TB) *pki {
	t.Helper()
	text, err := fs.ReadFile(fixtures.FS, "pki/good.pem")
	if err != nil {
		t.Fatal(err)
	}
	var list []*x509.Certificate
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		list = append(list, must(x509.ParseCertificate(b.Bytes)))
	}
	return &pki{leaf: list[0], inter: list[1], root: list[2], other: list[2]}
}

// at are certificates that stand one behind the other in an entry.
func (p *pki) at(entry string, list ...*x509.Certificate) (out []material.Certificate) {
	line := 1
	for _, c := range list {
		out = append(out, p.c(c, entry, line))
		line += nl(certs(c))
	}
	return out
}

func dumped(kind material.Kind, name string, sds material.SDS) material.Document {
	return material.Document{Kind: kind, Name: name, SDS: &sds}
}

// proxySecrets are the secrets of the fixtures as read.
func (p *pki) proxySecrets(kind material.Kind, version string) []material.Document {
	at := time.Date(2026, time.June, 1, 10, 0, 1, 250_000_000, time.UTC)
	own := dumped(kind, "default", material.SDS{State: material.StateActive, Version: version, Updated: at, Holds: "certificate"})
	own.Certificates = p.at("certificate_chain", p.leaf, p.inter, p.root)
	own.Key = &material.Key{Entry: "private_key", Encoding: "redacted", Redacted: true}
	roots := dumped(kind, "ROOTCA", material.SDS{State: material.StateActive, Version: version, Updated: at, Holds: "validation-context"})
	roots.Roots = p.at("trusted_ca", p.root)
	return []material.Document{own, roots, dumped(kind, "kubernetes://shop-credential", material.SDS{
		State: material.StateWarming, Version: "uninitialized", Updated: at, Holds: "nothing",
	})}
}

func contexts() []material.Context {
	both := material.Context{
		State: material.StateActive, CertificateSecrets: []string{"default"}, ValidationSecret: "ROOTCA", MinVersion: "TLSv1_2", Verifies: true,
		SANMatchers: []material.SANMatcher{
			{Type: "URI", Match: "prefix", Value: "spiffe://cluster.local/"},
			{Type: "URI", Match: "exact", Value: "spiffe://west.example/ns/shop/sa/ratings", IgnoreCase: true},
		},
	}
	out, in := both, both
	out.Where, out.ALPN = "cluster outbound|9080||ratings.shop.svc.cluster.local, match tlsMode-istio", []string{"istio-peer-exchange", "istio"}
	out.SNI = "outbound_.9080_._.ratings.shop.svc.cluster.local"
	in.Where, in.ALPN = "listener virtualInbound, filter chain 0.0.0.0_9080", []string{"istio-peer-exchange", "h2", "http/1.1"}
	in.Downstream, in.RequireClientCert = true, true
	return []material.Context{out, in}
}

// checkFixture is check for a file of fixtures/material.
func checkFixture(t *testing.T, p *pki, name, content string, want []material.Document) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		docs, err := material.Parse("input", []byte(content), material.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			want[i].Source = "input"
		}
		if diff := cmp.Diff(want, docs, p.alike()); diff != "" {
			t.Errorf("documents (-want +got):\n%s", diff)
		}
		wellFormed(t, docs)
		roundTrip(t, docs)
	})
}

func TestEnvoyDumps(t *testing.T) {
	p := stored(t)
	full := append(p.proxySecrets(material.KindEnvoyDump, ""), material.Document{Kind: material.KindEnvoyDump, Contexts: contexts()})
	checkFixture(t, p, "full", fixture(t, "envoy-config_dump.json"), full)
	checkFixture(t, p, "section", fixture(t, "envoy-secrets-section.json"), p.proxySecrets(material.KindEnvoyDump, ""))
	checkFixture(t, p, "resource", fixture(t, "envoy-dynamic-secrets.json"), p.proxySecrets(material.KindEnvoyDump, ""))
	istioctl := p.proxySecrets(material.KindProxySecret, "7")
	istioctl[2].SDS.Version = "uninitialized"
	checkFixture(t, p, "istioctl", fixture(t, "proxy-config-secret.json"), istioctl)
	spire := p.proxySecrets(material.KindEnvoyDump, "")[1:2]
	spire[0].Roots = nil
	spire[0].TrustDomains = []material.TrustDomain{
		{Name: "east.example", Roots: p.at("trust_bundle", p.root)}, {Name: "west.example", Roots: p.at("trust_bundle", p.root)},
	}
	spire[0].CRLs = storedList(t, "crl", 1)
	checkFixture(t, p, "spire", fixture(t, "envoy-spire-config_dump.json"), spire)
}

func storedList(t testing.TB, entry string, line int) []material.RevocationList {
	der := fixture(t, "crl.der")
	return []material.RevocationList{{
		DER: []byte(der), Bytes: len(der), Entry: entry, Line: line, Issuer: "CN=Revoking CA,O=meshprobe", AKI: "01020304", Number: "12",
		ThisUpdate: fixtures.PKITime(), NextUpdate: fixtures.PKITime().AddDate(0, 0, 30), Signature: "Ed25519", Revoked: 1, Serials: []string{"3"},
	}}
}

func TestZtunnelDumps(t *testing.T) {
	p := stored(t)
	own := dumped(material.KindZtunnelDump, "spiffe://cluster.local/ns/shop/sa/ratings", material.SDS{State: material.StateAvailable, Holds: "certificate"})
	own.Certificates = []material.Certificate{p.c(p.leaf, "certChain", 1), p.c(p.inter, "certChain", 1)}
	own.Roots = []material.Certificate{p.c(p.root, "rootCerts", 1)}
	listed := []material.Document{
		own,
		dumped(material.KindZtunnelDump, "spiffe://cluster.local/ns/shop/sa/reviews", material.SDS{State: material.StateInitializing, Holds: "nothing"}),
		dumped(material.KindZtunnelDump, "spiffe://cluster.local/ns/shop/sa/details", material.SDS{
			State: material.StateUnavailable, Error: "signing gRPC error: UnknownIssuer", Holds: "nothing",
		}),
	}
	ratings := material.Workload{
		UID: "east//Pod/shop/ratings-7d", Name: "ratings-7d", Namespace: "shop", ServiceAccount: "ratings", TrustDomain: "cluster.local",
		Identity: "spiffe://cluster.local/ns/shop/sa/ratings", Cluster: "east", Network: "east", Addresses: []string{"10.0.0.7"},
		Protocol: "HBONE", Waypoint: "shop/waypoint.shop.svc.cluster.local", Status: "Healthy",
	}
	gateway := material.Workload{
		UID: "NetworkGateway/west/172.18.0.9/0", Name: "NetworkGateway/west/172.18.0.9/0", Namespace: "istio-system", ServiceAccount: "eastwest",
		Cluster: "west", Network: "west", Protocol: "TCP", NetworkGateway: "west/172.18.0.9", Status: "Healthy",
	}
	full := append(listed[:3:3], material.Document{
		Kind: material.KindZtunnelDump, Workloads: []material.Workload{ratings, gateway},
		Services: []material.Service{{
			Name: "ratings", Namespace: "shop", Hostname: "ratings.shop.svc.cluster.local", SubjectAltNames: []string{"spiffe://cluster.local/ns/shop/sa/ratings"},
		}},
	})
	checkFixture(t, p, "full", fixture(t, "ztunnel-config_dump.json"), full)
	checkFixture(t, p, "istioctl", fixture(t, "ztunnel-certificates.json"), listed[:3:3])
	old := own
	old.SDS = &material.SDS{State: material.StateAvailable, Holds: "certificate", Legacy: true}
	old.Roots = []material.Certificate{p.c(p.root, "certChain", 1)}
	checkFixture(t, p, "old", fixture(t, "ztunnel-old-config_dump.json"), []material.Document{
		old, {Kind: material.KindZtunnelDump, Workloads: []material.Workload{ratings}},
	})
}

// TestOddDumps is dumps that a proxy would not write, or that people cut.
func TestOddDumps(t *testing.T) {
	p := newPKI()
	secret := func(content string) string {
		return `{"dynamic_active_secrets":[{"name":"default","secret":` + content + `}]}`
	}
	active := func(holds string, change func(*material.Document)) []material.Document {
		d := dumped(material.KindEnvoyDump, "default", material.SDS{State: material.StateActive, Holds: holds})
		change(&d)
		return []material.Document{d}
	}
	withKey := `{"tls_certificate":{"certificate_chain":{"inline_bytes":"` + b64(certs(p.leaf)) + `"},"private_key":{"inline_bytes":"` + b64(pkcs8(p.leafKey)) + `"}}}`
	check(t, []input{
		{name: "key-not-redacted", content: secret(withKey), want: active("certificate", func(d *material.Document) {
			d.Certificates = p.at("certificate_chain", p.leaf)
			d.Key = keyOf(p.leaf, "private_key", 1, "PKCS#8", new(true))
		})},
		{name: "key-of-the-wrong-type", content: secret(`{"tls_certificate":{"private_key":{"inline_string":"hunter2canary"}}}`), want: active("certificate", func(d *material.Document) {
			d.Key = &material.Key{Entry: "private_key", Encoding: "unknown"}
		})},
		{name: "certificate-in-a-file", content: secret(`{"tls_certificate":{"certificate_chain":{"filename":"/etc/certs/cert-chain.pem"}}}`), want: active("certificate", func(d *material.Document) {
			d.Problems = []material.Problem{problem(material.CodeEmpty, "certificate_chain", 0, 0)}
		})},
		{name: "certificate-is-no-base64", content: secret(`{"tls_certificate":{"certificate_chain":{"inline_bytes":"-"}}}`), want: active("certificate", func(d *material.Document) {
			d.Problems = []material.Problem{problem(material.CodeBase64, "certificate_chain", 0, 0)}
		})},
		{name: "roots-are-text", content: secret(`{"validation_context":{"trusted_ca":{"inline_string":"hello"}}}`), want: active("validation-context", func(d *material.Document) {
			d.Problems = []material.Problem{problem(material.CodeNotPEM, "trusted_ca", 0, 0)}
		})},
		{name: "generic-secret", content: secret(`{"generic_secret":{"secret":{"inline_string":"hunter2canary"}}}`), want: active("generic-secret", func(*material.Document) {})},
		{name: "error-state", content: `{"dynamic_warming_secrets":[{"name":"default","error_state":{"details":"no such secret"}}]}`, want: active("nothing", func(d *material.Document) {
			d.SDS.State, d.SDS.Error = material.StateWarming, "no such secret"
		})},
		{
			name: "yaml", content: "dynamicActiveSecrets:\n- name: default\n  secret:\n    validationContext:\n      trustedCa:\n        inlineBytes: " + b64(certs(p.root)) + "\n",
			want: []material.Document{func() material.Document {
				d := dumped(material.KindProxySecret, "default", material.SDS{State: material.StateActive, Holds: "validation-context"})
				d.Roots = p.at("trusted_ca", p.root)
				return d
			}()},
		},
		{name: "listeners-of-istioctl", content: `[{"name":"virtualInbound","filterChains":[{"transportSocket":{"typedConfig":{"@type":"x.DownstreamTlsContext",
			"commonTlsContext":{"validationContext":{"trustedCa":{"inlineString":` + string(must(jsonText(certs(p.root)))) + `}}}}}}]}]`, want: []material.Document{{
			Kind: material.KindEnvoyDump,
			Contexts: []material.Context{{
				Where: "listener virtualInbound, filter chain 0", Downstream: true, State: material.StateActive, Verifies: true, Roots: p.at("trusted_ca", p.root),
			}},
		}}},
		{name: "no-secrets", content: `{"configs":[]}`, refused: "without secrets"},
		{name: "configs-no-list", content: `{"configs":7}`, refused: "no list"},
		{name: "too-deep", content: secret(strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200)), refused: "deeper nesting"},
		{name: "certs-of-envoy", content: `{"certificates":[{"ca_cert":[],"cert_chain":[]}]}`, refused: "no kind known"},
		{name: "ztunnel-mistyped", content: `{"certificates":[{"identity":7}],"workloads":[]}`, refused: "another type"},
		{
			name: "ztunnel-odd-parts", content: `{"certificates":[{"identity":"a","state":"Available","certChain":[{"pem":"?"},{"pem":"aGVsbG8="}]}],"workloads":7,"services":{"a":1}}`,
			want: []material.Document{func() material.Document {
				d := dumped(material.KindZtunnelDump, "a", material.SDS{State: material.StateAvailable, Holds: "nothing"})
				d.Problems = []material.Problem{problem(material.CodeBase64, "certChain", 0, 1), problem(material.CodeNotPEM, "certChain", 0, 2)}
				return d
			}(), {Kind: material.KindZtunnelDump, Problems: []material.Problem{problem(material.CodeDump, "workloads", 0, 0), problem(material.CodeDump, "services", 0, 0)}}},
		},
	})
}
