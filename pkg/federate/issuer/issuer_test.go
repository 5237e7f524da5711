// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

func ecdsa() issuer.Options {
	return issuer.Options{KeyType: issuer.ECDSAP256, Now: clock}
}

func builtin(t *testing.T, s issuer.Store, o issuer.Options) *issuer.Builtin {
	t.Helper()
	b, err := issuer.NewBuiltin(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// request plays the cluster's side.
func request(t *testing.T, p issuer.Profile, name string) []byte {
	t.Helper()
	key, err := p.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := p.Request(key, name)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func TestSign(t *testing.T) {
	for name, o := range map[string]issuer.Options{
		"ecdsa-p256": {KeyType: issuer.ECDSAP256},
		"ecdsa-p384": {KeyType: issuer.ECDSAP384, Org: "acme"},
		"rsa":        {KeyType: issuer.RSA, KeySize: 2048},
		"dns-san":    {KeyType: issuer.ECDSAP256, DNSNames: []string{"istiod.istio-system.svc"}},
		"long":       {KeyType: issuer.ECDSAP256, TTL: time.Hour, IntermediateTTL: 100 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			o.Now = clock
			b := builtin(t, &issuer.Memory{}, o)
			if got, err := b.Current(t.Context()); got != nil || err != nil {
				t.Fatalf("a root before it was asked for: %v, %v", got, err)
			}
			root, err := b.Root(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			chain, err := b.Sign(t.Context(), request(t, b.Profile(), "east"), "east")
			if err != nil {
				t.Fatal(err)
			}
			checkIntermediate(t, chain[0], root, o)
		})
	}
}

func checkIntermediate(t *testing.T, c, root *x509.Certificate, o issuer.Options) {
	t.Helper()
	type facts struct {
		CA, ZeroPath, Nested, Linked, OwnDN bool
		PathLen                             int
		Usage                               x509.KeyUsage
		Locality                            []string
		URIs, EKUs                          int
		DNS                                 []string
	}
	got := facts{
		CA: c.IsCA, ZeroPath: c.MaxPathLenZero, PathLen: c.MaxPathLen, Usage: c.KeyUsage,
		Nested:   !c.NotAfter.After(root.NotAfter) && !c.NotBefore.Before(root.NotBefore),
		Linked:   len(c.AuthorityKeyId) == 20 && bytes.Equal(c.AuthorityKeyId, root.SubjectKeyId) && !bytes.Equal(c.SubjectKeyId, root.SubjectKeyId),
		OwnDN:    !bytes.Equal(c.RawSubject, root.RawSubject),
		Locality: c.Subject.Locality, URIs: len(c.URIs), EKUs: len(c.ExtKeyUsage), DNS: c.DNSNames,
	}
	want := facts{
		CA: true, ZeroPath: true, Nested: true, Linked: true, OwnDN: true,
		Usage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, Locality: []string{"east"}, DNS: o.DNSNames,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("intermediate (-want +got):\n%s", diff)
	}
	for _, e := range c.Extensions {
		if e.Id.String() == "2.5.29.15" && !e.Critical {
			t.Error("key usage is not critical")
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	if _, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Errorf("does not verify by the root: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	b := builtin(t, &issuer.Memory{}, issuer.Options{})
	want := issuer.Profile{Org: "meshprobe", KeyType: issuer.RSA, Bits: 2048}
	if diff := cmp.Diff(want, b.Profile()); diff != "" {
		t.Error(diff)
	}
	if want := "builtin root (O=meshprobe, rsa 4096, valid 8760h0m0s) in memory"; b.String() != want {
		t.Errorf("got %q, want %q", b, want)
	}
}

func TestRootsHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		root, err := builtin(t, &issuer.Memory{}, ecdsa()).Root(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen[root.Subject.String()] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d names for 3 roots: %v", len(seen), seen)
	}
}

func TestOptionErrors(t *testing.T) {
	for name, o := range map[string]issuer.Options{
		"key-type":   {KeyType: "ed25519"},
		"short-rsa":  {KeySize: 1024},
		"ecdsa-bits": {KeyType: issuer.ECDSAP256, KeySize: 4096},
		"short-ttl":  {TTL: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := issuer.NewBuiltin(&issuer.Memory{}, o)
			if _, ok := errors.AsType[*issuer.OptionError](err); !ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCheckRequestRefuses(t *testing.T) {
	p := issuer.Profile{Org: "meshprobe", KeyType: issuer.ECDSAP256}
	good := request(t, p, "east")
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	other := issuer.Profile{Org: "other", KeyType: issuer.ECDSAP256}
	for name, tc := range map[string]struct {
		csr  []byte
		want string
	}{
		"bad-signature": {forged, "does not prove possession"},
		"other-cluster": {request(t, p, "west"), `L=west`},
		"other-org":     {request(t, other, "east"), `O=other`},
		"other-key":     {request(t, issuer.Profile{Org: "meshprobe", KeyType: issuer.ECDSAP384}, "east"), "the key is ECDSA P-384"},
		"rsa-key":       {request(t, issuer.Profile{Org: "meshprobe", KeyType: issuer.RSA, Bits: 2048}, "east"), "the key is RSA"},
		"huge":          {make([]byte, 20<<10), "at most"},
		"trailing":      {append(bytes.Clone(good), 0), "cannot be read"},
		"garbage":       {[]byte("hello"), "cannot be read"},
		"wrong-block":   {issuer.EncodeCertificates(&x509.Certificate{Raw: good}), "not one PEM block"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.CheckRequest(tc.csr, "east")
			re, ok := errors.AsType[*issuer.RequestError](err)
			if !ok || re.Cluster != "east" || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := p.CheckRequest(good, "east"); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// What a CSR asks beyond key and name has no say in the certificate.
func TestSignerDecides(t *testing.T) {
	b := builtin(t, &issuer.Memory{}, ecdsa())
	key, err := b.Profile().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	greedy := csrWith(t, key, &x509.CertificateRequest{
		Subject:         b.Profile().Name("east"),
		DNSNames:        []string{"evil.example"},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x09}}},
	})
	chain, err := b.Sign(t.Context(), greedy, "east")
	if err != nil {
		t.Fatal(err)
	}
	root, err := b.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkIntermediate(t, chain[0], root, ecdsa())
}

func TestProvidedRoot(t *testing.T) {
	good, key := rootPEM(t, func(*x509.Certificate) {})
	_, otherKey := rootPEM(t, func(*x509.Certificate) {})
	expired, expiredKey := rootPEM(t, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) })
	future, futureKey := rootPEM(t, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) })
	leaf, leafKey := rootPEM(t, func(c *x509.Certificate) { c.IsCA = false })
	noSign, noSignKey := rootPEM(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	short, shortKey := rootPEM(t, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	for name, tc := range map[string]struct {
		cert, key []byte
		want      issuer.Problem
	}{
		"good":          {good, key, ""},
		"without-key":   {good, nil, issuer.RootWithoutKey},
		"key-only":      {nil, key, issuer.KeyWithoutRoot},
		"wrong-key":     {good, otherKey, issuer.RootKeyMismatch},
		"expired":       {expired, expiredKey, issuer.RootExpired},
		"not-yet-valid": {future, futureKey, issuer.RootNotYetValid},
		"not-a-ca":      {leaf, leafKey, issuer.RootNotCA},
		"no-cert-sign":  {noSign, noSignKey, issuer.RootNotCA},
		"path-length":   {short, shortKey, issuer.RootPathLen},
		"garbage":       {[]byte("x"), key, issuer.RootUnreadable},
		"garbage-key":   {good, good, issuer.RootUnreadable},
		"two-certs":     {append(bytes.Clone(good), good...), key, issuer.RootUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := issuer.NewProvided(tc.cert, tc.key, ecdsa())
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.Sign(t.Context(), request(t, b.Profile(), "east"), "east"); err != nil {
					t.Error(err)
				}
				return
			}
			re, ok := errors.AsType[*issuer.RootError](err)
			if !ok || re.Problem != tc.want || re.Hint == "" {
				t.Fatalf("got %#v (%v), want %s with a hint", re, err, tc.want)
			}
			if strings.Contains(err.Error(), "PRIVATE KEY") {
				t.Error("the error holds a key")
			}
		})
	}
}

func TestStores(t *testing.T) {
	kube := fake.NewClientset()
	for name, store := range map[string]issuer.Store{
		"memory": &issuer.Memory{},
		"dir":    issuer.Dir{Path: filepath.Join(t.TempDir(), "a", "root")},
		"secret": issuer.Secret{Kube: kube, Ref: cluster.Ref{Cluster: "kind/east", Namespace: "istio-system", Name: "root"}},
	} {
		t.Run(name, func(t *testing.T) {
			first, err := builtin(t, store, ecdsa()).Root(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			again := builtin(t, store, ecdsa())
			root, err := again.Root(t.Context())
			if err != nil || !root.Equal(first) {
				t.Errorf("another root after a restart: %v", err)
			}
			if _, err := again.Sign(t.Context(), request(t, again.Profile(), "east"), "east"); err != nil {
				t.Error(err)
			}
			loaded, err := store.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Save(t.Context(), loaded); !errors.Is(err, issuer.ErrRootExists) {
				t.Errorf("saved over a root: %v", err)
			}
			if s := fmt.Sprintf("%v %+v %#v %s", loaded, loaded, loaded, loaded); strings.Contains(s, "0x") || strings.Contains(s, "Curve") {
				t.Errorf("a verb reaches the key: %s", s)
			}
		})
	}
}

func TestDirGoesOnWithTheKeyItHas(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	first, err := builtin(t, issuer.Dir{Path: dir}, ecdsa()).Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, issuer.RootCertName)); err != nil {
		t.Fatal(err)
	}
	again, err := builtin(t, issuer.Dir{Path: dir}, ecdsa()).Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if issuer.SPKI(again) != issuer.SPKI(first) || again.Subject.String() != first.Subject.String() {
		t.Errorf("a new root %s after %s", again.Subject, first.Subject)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", e.Name(), info.Mode(), err)
		}
	}
	if len(entries) != 2 {
		t.Errorf("%d files, want 2: %v", len(entries), entries)
	}
}

func TestDirRefuses(t *testing.T) {
	fresh := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "root")
		if _, err := builtin(t, issuer.Dir{Path: dir}, ecdsa()).Root(t.Context()); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, tc := range map[string]struct {
		spoil func(dir string) error
		want  issuer.Problem
	}{
		"wide-dir":    {func(dir string) error { return os.Chmod(dir, 0o750) }, issuer.StoreUnsafe},
		"wide-key":    {func(dir string) error { return os.Chmod(filepath.Join(dir, issuer.RootKeyName), 0o644) }, issuer.StoreUnsafe},
		"without-key": {func(dir string) error { return os.Remove(filepath.Join(dir, issuer.RootKeyName)) }, issuer.RootWithoutKey},
		"a-file": {func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		}, issuer.StoreFailed},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fresh(t)
			if err := tc.spoil(dir); err != nil {
				t.Fatal(err)
			}
			_, err := builtin(t, issuer.Dir{Path: dir}, ecdsa()).Root(t.Context())
			re, ok := errors.AsType[*issuer.RootError](err)
			if !ok || re.Problem != tc.want || re.Hint == "" {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func FuzzCheckRequest(f *testing.F) {
	p := issuer.Profile{Org: "meshprobe", KeyType: issuer.ECDSAP256}
	key, err := p.GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	good, err := p.Request(key, "east")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, csr []byte) {
		req, err := p.CheckRequest(csr, "east")
		if err != nil {
			if _, ok := errors.AsType[*issuer.RequestError](err); !ok {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if req.CheckSignature() != nil || !p.Fits(req.PublicKey) || req.Subject.String() != "CN=Intermediate CA,L=east,O=meshprobe" && req.Subject.String() != "CN=Intermediate CA,O=meshprobe,L=east" {
			t.Errorf("accepted %q", req.Subject)
		}
	})
}
