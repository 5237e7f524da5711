// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

const (
	probeServer  = "spiffe://cluster.local/ns/shop/sa/ratings"
	probeClient  = "spiffe://cluster.local/ns/shop/sa/reviews"
	probeGateway = "spiffe://cluster.local/ns/istio-system/sa/istio-eastwestgateway"
)

// serveEndpoints starts what the scripts of probe look at, and writes what they
// show. The result is their environment.
func serveEndpoints(t *testing.T) map[string]string {
	t.Helper()
	ca := hbonetest.NewCA(t, "cluster.local")
	pki := writeProbePKI(t, ca)
	env := map[string]string{"PKI": pki, "SPIFFE_SOCKET": serveWorkloadAPI(t, ca)}
	mtls := ca.ServerTLS(ca.Issue(t, probeServer))
	env["MTLS"] = hbonetest.Listen(t, func(ctx context.Context, conn net.Conn) {
		c := tls.Server(conn, mtls)
		if c.HandshakeContext(ctx) == nil {
			_, _ = io.Copy(c, c)
		}
	})
	env["HTTP"] = hbonetest.Listen(t, func(_ context.Context, conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nServer: \x1b[31mevil\r\nConnection: close\r\n\r\n")
	})
	env["CLOSES"] = hbonetest.Listen(t, func(_ context.Context, conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) })
	inside := &hbone.Server{TLS: mtls, Handler: func(_ context.Context, r *hbone.Request) hbone.Answer {
		if !strings.HasSuffix(r.Authority, ":9080") {
			return hbone.Answer{Status: 401}
		}
		return hbone.Answer{Serve: func(_ context.Context, c *hbone.Conn) { _, _ = io.Copy(c, c); _ = c.CloseWrite() }}
	}}
	outside := &hbone.Server{TLS: ca.ServerTLS(ca.Issue(t, probeGateway)), Handler: func(context.Context, *hbone.Request) hbone.Answer {
		return hbone.Answer{Serve: func(ctx context.Context, c *hbone.Conn) { _ = inside.ServeConn(ctx, c) }}
	}}
	t.Cleanup(func() { _, _ = outside.Close(), inside.Close() })
	env["HBONE"] = hbonetest.Listen(t, func(ctx context.Context, conn net.Conn) { _ = inside.ServeConn(ctx, conn) })
	env["DOUBLE"] = hbonetest.Listen(t, func(ctx context.Context, conn net.Conn) { _ = outside.ServeConn(ctx, conn) })
	env["DEAD"] = deadAddress(t)
	return env
}

// deadAddress is where nobody listens while the test runs: the client's end of a
// connection holds the port, so that no listener gets it meanwhile.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}

// writeProbePKI writes certificates and keys in every form in which people have
// them, right and wrong.
func writeProbePKI(t *testing.T, ca *hbonetest.CA) (dir string) {
	t.Helper()
	dir = t.TempDir()
	client := ca.Issue(t, probeClient)
	key, err := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(client.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(ca.Issue(t, probeClient).PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	cert, root := block("CERTIFICATE", client.Certificate[0]), block("CERTIFICATE", ca.Cert.Raw)
	expired, expiredKey := expiredClient(t)
	spiffe, err := x509bundleJSON(ca.Cert)
	if err != nil {
		t.Fatal(err)
	}
	inYAML := strings.ReplaceAll(strings.TrimSuffix(string(root), "\n"), "\n", "\n    ")
	for name, content := range map[string][]byte{
		"cert.pem": cert, "key.pem": block("PRIVATE KEY", key), "root.pem": root,
		"cert.der": client.Certificate[0], "key.der": key, "sec1.pem": block("EC PRIVATE KEY", sec1), "root.der": ca.Cert.Raw,
		"both.pem": append(append([]byte{}, cert...), block("PRIVATE KEY", key)...), "root-first.pem": append(append([]byte{}, root...), cert...),
		"other-key.pem": block("PRIVATE KEY", other), "encrypted.pem": block("ENCRYPTED PRIVATE KEY", []byte{1, 2, 3}),
		"broken-key.pem": block("PRIVATE KEY", []byte{1, 2, 3}), "broken-cert.pem": block("CERTIFICATE", []byte{1, 2, 3}),
		"empty.pem": nil, "text.txt": []byte("nothing of the kind\n"), "csr.pem": block("CERTIFICATE REQUEST", []byte{1}),
		"glued.pem":   append([]byte(string(cert[:len(cert)-1])), root...),
		"expired.pem": expired, "expired-key.pem": expiredKey,
		"spiffe.json":    spiffe,
		"configmap.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio-ca-root-cert\ndata:\n  root-cert.pem: |\n    " + inYAML + "\n"),
		"secret.yaml":    []byte("apiVersion: v1\nkind: Secret\nmetadata:\n  name: cacerts\ndata:\n  root-cert.pem: " + base64.StdEncoding.EncodeToString(root) + "\n"),
		"other.yaml":     []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: other\ndata:\n  colour: blue\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// expiredClient is a certificate that ended an hour ago, and its key.
func expiredClient(t *testing.T) (cert, key []byte) {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(probeClient)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), URIs: []*url.URL{uri},
		NotBefore: time.Now().Add(-3 * time.Hour), NotAfter: time.Now().Add(-150 * time.Minute),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, crypto.Signer(signer).Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

func FuzzInput(f *testing.F) {
	for _, s := range []string{
		"10.0.0.1\n", "# comment\n\nhost.example:443,name,spiffe://cluster.local/ns/a/sa/b\n", "[::1]:15443", "\"a\",b", "a,b,c,d",
		"https://x", "fe80::1%eth0", "::1", "a:99999", ",,", "\ufeff10.0.0.1",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, sidecar bool) {
		flags := &probeFlags{kind: "tls", input: "-", chosen: func(string) bool { return false }}
		if sidecar {
			flags.kind = "sidecar"
		}
		names := map[string]bool{}
		_ = flags.readInput(strings.NewReader(text), func(e entry) bool {
			if names[e.name] {
				t.Errorf("%q is there twice", e.name)
			}
			names[e.name] = true
			if host, port, err := net.SplitHostPort(e.address); err != nil || host == "" || port == "" {
				t.Errorf("address %q of %q", e.address, text)
			}
			if again, bad := parseAddress(flags.kind, e.address); bad != nil || again != e.address {
				t.Errorf("%q is read back as %q, %v", e.address, again, bad)
			}
			return true
		})
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if key, why, _ := parseKey(raw); (key == nil) == (why == "") {
			t.Errorf("key %t, reason %q", key != nil, why)
		}
		if certs, err := parseCertificates("--cert", "FILE", raw); (err == nil) != (len(certs) > 0) {
			t.Errorf("%d certificates, %v", len(certs), err)
		}
	})
}

// x509bundleJSON is a SPIFFE bundle, as a bundle endpoint serves it.
func x509bundleJSON(root *x509.Certificate) ([]byte, error) {
	return spiffebundle.FromX509Authorities(spiffeid.RequireTrustDomainFromString("cluster.local"), []*x509.Certificate{root}).Marshal()
}
