// SPDX-License-Identifier: Apache-2.0

// Package interop_test lets the probes of one endpoint meet real counterparts
// (OpenSSL, Envoy, nginx, crypto/tls, Istio's own HBONE server) and hostile
// ones, and holds for each what must be said of it.
package interop_test

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/fixtures/corpus"
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	_ "github.com/meshprobe/meshprobe/pkg/probe/probetest" // takes the flags that all suites are given
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told is what was seen of an endpoint and what was said of it.
type told struct {
	endpoint.Met
	verdict  probe.Verdict
	findings []probe.Finding
}

// Emit takes the events of a run.
func (x *told) Emit(e probe.Event) error {
	switch e := e.(type) {
	case probe.Exhibit:
		if m, ok := e.Value.(endpoint.Met); ok {
			x.Met = m
		}
	case probe.FindingDone:
		x.findings = append(x.findings, e.Finding)
	case probe.RunDone:
		x.verdict = e.Verdict
	}
	return nil
}

// Close does nothing.
func (x *told) Close() error { return nil }

// ask probes one endpoint as `meshprobe probe` does.
func ask(t testing.TB, o *wire.Observer, target wire.Target, asked endpoint.Asked) *told {
	t.Helper()
	plan, err := probe.Select(endpoint.For(target.Kind, asked.Expect != nil), probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	x := new(told)
	look := endpoint.Look{Name: target.Address, Target: target, Asked: asked, Observer: o}
	runner := &probe.Runner{Sink: x, Timeout: 2 * time.Minute}
	_, err = runner.Run(t.Context(), probe.RunStarted{}, plan, func(context.Context, func(probe.Progress)) (*probe.Env, error) {
		return probe.EnvOf(slices.Values([]probe.Subject{look}), nil), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// cause is that of the first failure, empty for none.
func (x *told) cause() string {
	for _, f := range x.findings {
		if f.Status == probe.Fail {
			return f.Cause.Code
		}
	}
	return ""
}

// last says how the last layer ended: its outcome, and the alert with its
// sender where there was one.
func (x *told) last() string {
	l := x.Last()
	switch {
	case x.TCP.Outcome != wire.TCPConnected && x.TCP.Outcome != wire.TCPReset:
		return "tcp " + string(x.TCP.Outcome)
	case l == nil:
		return "tcp " + string(x.TCP.Outcome)
	case l.AlertBy == wire.Peer:
		return string(l.Outcome) + " " + l.Alert
	case l.AlertBy == wire.Us:
		return strings.TrimSpace(string(l.Outcome) + " " + l.OwnAlert)
	default:
		return string(l.Outcome)
	}
}

// want is what must be said of a counterpart. Empty fields say nothing, but for
// cause, which is then none.
type want struct {
	protocol wire.Protocol
	last     string // see told.last; several, of which one must be, joined by " | "
	status   int
	cause    string // several, of which one must be, joined by " | "
	verdict  probe.Verdict
}

func (x *told) check(t *testing.T, w want) {
	t.Helper()
	if w.protocol != "" && x.Answer.Protocol != w.protocol {
		t.Errorf("it speaks %q, want %q", x.Answer.Protocol, w.protocol)
	}
	if w.last != "" && !slices.Contains(strings.Split(w.last, " | "), x.last()) {
		t.Errorf("it was %q, want %q", x.last(), w.last)
	}
	if l := x.Last(); w.status != 0 && (l == nil || l.Status != w.status) {
		t.Errorf("want status %d", w.status)
	}
	if !slices.Contains(strings.Split(w.cause, " | "), x.cause()) {
		t.Errorf("the cause is %q, want %q", x.cause(), w.cause)
	}
	if w.verdict != "" && x.verdict != w.verdict {
		t.Errorf("the verdict is %s, want %s", x.verdict, w.verdict)
	}
	if t.Failed() {
		t.Logf("seen: %s", gocmp.Diff(wire.Seen{}, x.Seen))
		for _, f := range x.findings {
			t.Logf("%s %s %s %s %v", f.ID, f.Status, f.Cause.Code, f.Reason, f.Evidence)
		}
	}
}

// row is one way to meet a counterpart, and what must be said of it.
type row struct {
	client string          // case of the corpus whose identity is shown, empty for none
	show   wire.ClientCert // "own" where empty
	target wire.Target     // Address, Identity and Timeout are filled in
	asked  endpoint.Asked  // Bundle is filled in
	want   want
}

// ample is the time that a counterpart gets which answers at once, on a machine
// that does not.
const ample = 30 * time.Second

// meets runs the rows against addr, all at once.
func (p pki) meets(t *testing.T, addr string, rows map[string]row) {
	t.Helper()
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.target.Address, r.target.Client = addr, r.show
			if r.client != "" {
				r.target.Identity = p.identity(t, r.client)
			}
			r.target.Timeout = cmp.Or(r.target.Timeout, ample)
			r.asked.Bundle = p.bundle()
			r.asked.Negative = r.show == wire.None || r.show == wire.Foreign
			ask(t, &wire.Observer{}, r.target, r.asked).check(t, r.want)
		})
	}
}

// now is the time for which certificates are made: all of one run are the same.
var now = time.Now().Truncate(time.Second)

// pki is the corpus as real programs want it.
type pki struct {
	cases map[string]corpus.Case
	root  []byte
}

// newPKI makes the corpus once: some of its keys take their time.
var newPKI = sync.OnceValue(func() pki {
	p := pki{cases: map[string]corpus.Case{}, root: corpus.Root(now)}
	for _, c := range corpus.Cases(now) {
		p.cases[c.Name] = c
	}
	return p
})

// of is a case that must be there.
func (p pki) of(t testing.TB, name string) corpus.Case {
	t.Helper()
	c, ok := p.cases[name]
	if !ok {
		t.Fatalf("the corpus has no case %s", name)
	}
	return c
}

// identity is a case as a client shows it.
func (p pki) identity(t testing.TB, name string) *cluster.Identity {
	t.Helper()
	c := p.of(t, name)
	var certs []*x509.Certificate
	for _, der := range c.Chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		certs = append(certs, cert)
	}
	return cluster.NewIdentity(c.Name, certs, nil, c.Key)
}

// bundle is the good root, for a client.
func (p pki) bundle() seen.Certs { return seen.Certs{p.root} }

// files are a case as PEM files: leaf, the rest of the chain, key, root.
type files struct{ dir, cert, rest, chain, key, root string }

func (p pki) write(t testing.TB, name string) files {
	t.Helper()
	c := p.of(t, name)
	dir := t.TempDir()
	write := func(name, kind string, ders ...[]byte) string {
		var text []byte
		for _, der := range ders {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return files{
		dir: dir, cert: write("cert.pem", "CERTIFICATE", c.Chain[0]), rest: write("rest.pem", "CERTIFICATE", c.Chain[1:]...),
		chain: write("chain.pem", "CERTIFICATE", c.Chain...), key: write("key.pem", "PRIVATE KEY", pkcs8(t, c.Key)),
		root: write("root.pem", "CERTIFICATE", p.root),
	}
}

func pkcs8(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	var plain any = key
	// The corpus wraps its EC keys, to sign without randomness.
	if ec, ok := key.(interface {
		ECDH() (*ecdh.PrivateKey, error)
	}); ok {
		inner, err := ec.ECDH()
		if err != nil {
			t.Fatal(err)
		}
		plain = inner
	}
	der, err := x509.MarshalPKCS8PrivateKey(plain)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// certificate is a case as crypto/tls wants it.
func (p pki) certificate(t testing.TB, name string) tls.Certificate {
	t.Helper()
	c := p.of(t, name)
	return tls.Certificate{Certificate: c.Chain, PrivateKey: c.Key}
}

// pool is the good root.
func (p pki) pool(t testing.TB) *x509.CertPool {
	t.Helper()
	root, err := x509.ParseCertificate(p.root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return pool
}

// clusterIdentity is a certificate as an observer takes it.
func clusterIdentity(cert tls.Certificate) *cluster.Identity {
	key, _ := cert.PrivateKey.(crypto.Signer)
	return cluster.NewIdentity(cert.Leaf.URIs[0].String(), []*x509.Certificate{cert.Leaf}, nil, key)
}
