// SPDX-License-Identifier: Apache-2.0

package citadel_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/citadel"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// issue makes a certificate under parent, or a self-signed one.
func issue(t *testing.T, name string, ca bool, ttl time.Duration, parent *authority) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ttl),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent = &authority{cert: template, key: a.key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, a.key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func plugin(t *testing.T, root, ca *authority) map[string][]byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		citadel.CACertKey:    ca.pem(),
		citadel.CAKeyKey:     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		citadel.CertChainKey: append(ca.pem(), root.pem()...),
		citadel.RootCertKey:  root.pem(),
	}
}

func csr(t *testing.T, uri string) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key := newKey(t)
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{u}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), key
}

func TestPluginChecks(t *testing.T) {
	year := 365 * 24 * time.Hour
	root := issue(t, "root", true, year, nil)
	good := plugin(t, root, issue(t, "intermediate", true, year, root))
	with := func(key string, value []byte) map[string][]byte {
		m := maps.Clone(good)
		m[key] = value
		return m
	}
	tls := map[string][]byte{"tls.crt": good[citadel.CACertKey], "tls.key": good[citadel.CAKeyKey], "ca.crt": good[citadel.RootCertKey]}
	both := maps.Clone(good)
	both["tls.crt"] = nil
	for name, tc := range map[string]struct {
		data map[string][]byte
		want string
	}{
		"good":           {good, ""},
		"tls":            {tls, ""},
		"tls-preferred":  {both, "incomplete signing CA bundle detected: tls.crt is missing"},
		"empty-chain":    {with(citadel.CertChainKey, nil), "incomplete signing CA bundle detected: cert-chain.pem is missing"},
		"no-root":        {with(citadel.RootCertKey, nil), "incomplete signing CA bundle detected: root-cert.pem is missing"},
		"foreign-key":    {with(citadel.CAKeyKey, plugin(t, root, issue(t, "x", true, year, root))[citadel.CAKeyKey]), "private key does not match public key"},
		"foreign-root":   {with(citadel.RootCertKey, issue(t, "root", true, year, nil).pem()), "cannot verify the cert with the provided root chain"},
		"not-a-ca":       {plugin(t, root, issue(t, "leaf", false, year, root)), "certificate is not authorized to sign other certificates"},
		"expired":        {plugin(t, root, issue(t, "old", true, -time.Minute, root)), "certificate has expired"},
		"damaged-base64": {with(citadel.CACertKey, []byte("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n")), "the cert does not match the key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := citadel.FromPlugin(tc.data, now)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("\n got %v\nwant %s", err, tc.want)
			}
		})
	}
}

// TestTLSFormComesFirst: where there is a tls.crt, istiod reads no ca-cert.pem.
func TestTLSFormComesFirst(t *testing.T) {
	root, other := issue(t, "root", true, 10*time.Hour, nil), issue(t, "other", true, 10*time.Hour, nil)
	data, tls := plugin(t, root, issue(t, "ignored", true, 5*time.Hour, root)), plugin(t, other, issue(t, "read", true, 5*time.Hour, other))
	data["tls.crt"], data["tls.key"], data["ca.crt"] = tls[citadel.CACertKey], tls[citadel.CAKeyKey], tls[citadel.RootCertKey]
	ca, err := citadel.FromPlugin(data, now)
	if err != nil {
		t.Fatal(err)
	}
	request, _ := csr(t, "spiffe://cluster.local/ns/shop/sa/reviews")
	response, err := ca.Sign(request, []string{"spiffe://cluster.local/ns/shop/sa/reviews"}, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, text := range response {
		certs, err := citadel.ParseCertificates([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range certs {
			names = append(names, c.Issuer.CommonName)
		}
	}
	if diff := cmp.Diff([]string{"read", "other", "other", "other"}, names); diff != "" {
		t.Errorf("issuers of leaf, tls.crt, ca.crt and root: %s", diff)
	}
}

func TestSign(t *testing.T) {
	root := issue(t, "root", true, 10*time.Hour, nil)
	ca, err := citadel.FromPlugin(plugin(t, root, issue(t, "intermediate", true, 5*time.Hour, root)), now)
	if err != nil {
		t.Fatal(err)
	}
	const id = "spiffe://cluster.local/ns/shop/sa/reviews"
	request, key := csr(t, "spiffe://cluster.local/ns/kube-system/sa/admin")
	response, err := ca.Sign(request, []string{id}, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(response) != 4 || response[3] != string(ca.RootPEM()) {
		t.Fatalf("want leaf, two of cert-chain.pem and the root, got %d elements", len(response))
	}
	certs, err := citadel.ParseCertificates([]byte(response[0]))
	if err != nil || len(certs) != 1 {
		t.Fatal(certs, err)
	}
	leaf := certs[0]
	type shape struct {
		URIs                []string
		Subject             string
		NotBefore, NotAfter time.Time
		KeyUsage            x509.KeyUsage
		EKU                 []x509.ExtKeyUsage
		IsCA, OwnKey        bool
		SANCritical         bool
	}
	got := shape{
		Subject: leaf.Subject.String(), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		KeyUsage: leaf.KeyUsage, EKU: leaf.ExtKeyUsage, IsCA: leaf.IsCA, OwnKey: key.PublicKey.Equal(leaf.PublicKey),
	}
	for _, u := range leaf.URIs {
		got.URIs = append(got.URIs, u.String())
	}
	for _, e := range leaf.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			got.SANCritical = e.Critical
		}
	}
	want := shape{
		URIs: []string{id}, NotBefore: now.Add(-2 * time.Minute), NotAfter: now.Add(5 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		EKU:      []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		OwnKey:   true, SANCritical: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("leaf (-want +got):\n%s", diff)
	}
}

func TestSignRefuses(t *testing.T) {
	data, err := citadel.SelfSigned("cluster.local", now)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := citadel.FromSecret(data, now)
	if err != nil {
		t.Fatal(err)
	}
	good, _ := csr(t, "spiffe://cluster.local/ns/a/sa/b")
	if _, err := ca.Sign(good, []string{"spiffe://a/ns/b/sa/c"}, citadel.MaxTTL+time.Second, now); !errors.Is(err, citadel.ErrCSR) {
		t.Errorf("more than the longest lifetime: %v", err)
	}
	block, _ := pem.Decode(good)
	block.Bytes[len(block.Bytes)-1] ^= 1
	for name, in := range map[string][]byte{"not-pem": []byte("x"), "bad-signature": pem.EncodeToMemory(block), "empty": nil} {
		if _, err := ca.Sign(in, []string{"spiffe://a/ns/b/sa/c"}, 0, now); !errors.Is(err, citadel.ErrCSR) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSelfSignedRootsShareADNOnly(t *testing.T) {
	var subjects, keys []string
	for range 2 {
		data, err := citadel.SelfSigned("cluster.local", now)
		if err != nil {
			t.Fatal(err)
		}
		certs, err := citadel.ParseCertificates(data[citadel.RootCertKey])
		if err != nil {
			t.Fatal(err)
		}
		subjects = append(subjects, certs[0].Subject.String())
		keys = append(keys, string(certs[0].SubjectKeyId))
		if certs[0].KeyUsage != x509.KeyUsageCertSign {
			t.Errorf("key usage %v", certs[0].KeyUsage)
		}
	}
	if subjects[0] != "O=cluster.local" || subjects[0] != subjects[1] || keys[0] == keys[1] {
		t.Errorf("subjects %q, equal keys %v", subjects, keys[0] == keys[1])
	}
}

func FuzzSign(f *testing.F) {
	data, err := citadel.SelfSigned("cluster.local", now)
	if err != nil {
		f.Fatal(err)
	}
	ca, err := citadel.FromSecret(data, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, request []byte) {
		if out, err := ca.Sign(request, []string{"spiffe://a/ns/b/sa/c"}, 0, now); err == nil && len(out) != 2 {
			t.Errorf("signed %q into %d elements", request, len(out))
		}
	})
}
