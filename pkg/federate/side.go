// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// keySide is where the CA key of a cluster lives: here, through the cluster's
// API, or in an agent inside the cluster. No result holds a key.
type keySide interface {
	// request makes sure that there is a key, and returns a CSR for it.
	request(ctx context.Context, p issuer.Profile) ([]byte, error)
	// renew puts a new key beside the CA with that mark.
	renew(ctx context.Context, p issuer.Profile, mark string) error
	// install writes cacerts; with keep, the roots of before are trusted too.
	install(ctx context.Context, chain []*x509.Certificate, root *x509.Certificate, keep bool) error
	// trust adds a root to those of the CA in force, whose key stays the same; it
	// does nothing where that CA is not known. former says until when both are
	// trusted.
	trust(ctx context.Context, root *x509.Certificate, former string) error
	// retire ends the trust in all roots but one.
	retire(ctx context.Context, root *x509.Certificate) error
	// tidy removes the key's first place.
	tidy(ctx context.Context) error
	// inspect judges cacerts under a root.
	inspect(ctx context.Context, root *x509.Certificate, now time.Time) (caState, error)
	// restore puts cacerts back as it was before.
	restore(ctx context.Context) error
	// trusted is the root, in PEM, that istiod has without a federation; "" where
	// that is not known.
	trusted(ctx context.Context) (string, error)
}

var (
	_ keySide = caSide{}
	_ keySide = agentSide{}
)

// side is the one of a cluster.
func (m *member) side() keySide {
	if dial := m.f.opts.Agents[m.name]; dial != nil {
		return agentSide{dial}
	}
	return caSide{m}
}

// caCall is what an agent is asked; certificates are PEM.
type caCall struct {
	Do      string         `json:"do"`
	Profile issuer.Profile `json:"profile,omitzero"`
	Mark    string         `json:"mark,omitempty"`
	Chain   []byte         `json:"chain,omitempty"`
	Root    []byte         `json:"root,omitempty"`
	Now     time.Time      `json:"now,omitzero"`
	Keep    bool           `json:"keep,omitempty"`
	Former  string         `json:"former,omitempty"`
}

// caAnswer is what it says.
type caAnswer struct {
	Error        string `json:"error,omitempty"`
	CSR          []byte `json:"csr,omitempty"`
	Intermediate []byte `json:"intermediate,omitempty"`
	Root         []byte `json:"root,omitempty"`
	Problem      string `json:"problem,omitempty"`
	Bundle       []byte `json:"bundle,omitempty"`
	Former       string `json:"former,omitempty"`
	Present      bool   `json:"present,omitempty"`
	PendingKey   bool   `json:"pendingKey,omitempty"`
}

const (
	caPath  = "/ca"
	maxCall = 256 << 10
)

// AgentCA answers, inside a cluster, for its CA key: it makes the key, its CSR
// and Secret cacerts, so that the key never leaves the cluster. It works with
// the Secrets of that name in namespace, and with nothing else.
//
// Whoever may speak to it may replace the cluster's CA: it belongs behind a
// listener that only a port-forward reaches.
func AgentCA(dyn dynamic.Interface, namespace, clusterName, mesh string) http.Handler {
	f := &federation{opts: Options{Mesh: mesh}.complete()}
	side := caSide{&member{f: f, name: clusterName, ns: namespace, dyn: dyn}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != caPath {
			http.NotFound(w, r)
			return
		}
		var call caCall
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCall)).Decode(&call); err != nil {
			http.Error(w, "the call cannot be read", http.StatusBadRequest)
			return
		}
		answer, err := side.answer(r.Context(), call)
		if err != nil {
			answer = caAnswer{Error: err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // whoever asked is gone
	})
}

func (s caSide) answer(ctx context.Context, call caCall) (a caAnswer, err error) {
	switch call.Do {
	case "request":
		a.CSR, err = s.request(ctx, call.Profile)
	case "renew":
		err = s.renew(ctx, call.Profile, call.Mark)
	case "install":
		chain, root := certificates(call.Chain), firstCert(call.Root)
		if len(chain) == 0 || root == nil {
			return a, errors.New("there is no certificate to install")
		}
		err = s.install(ctx, chain, root, call.Keep)
	case "trust", "retire":
		root := firstCert(call.Root)
		switch {
		case root == nil:
			err = errors.New("there is no root to " + call.Do)
		case call.Do == "trust":
			err = s.trust(ctx, root, call.Former)
		default:
			err = s.retire(ctx, root)
		}
	case "tidy":
		err = s.tidy(ctx)
	case "inspect":
		var c caState
		if c, err = s.inspect(ctx, firstCert(call.Root), call.Now); err == nil {
			a = caAnswer{Intermediate: pemOf(c.Intermediate), Root: pemOf(c.Root), Problem: c.Problem, Bundle: c.Bundle, Former: c.Former, Present: c.present, PendingKey: c.pendingKey}
		}
	case "restore":
		err = s.restore(ctx)
	case "trusted":
		var root string
		root, err = s.trusted(ctx)
		a.Root = []byte(root)
	default:
		err = fmt.Errorf("the agent does not know %q; is it of another version?", call.Do)
	}
	return a, err
}

func pemOf(c *x509.Certificate) []byte {
	if c == nil {
		return nil
	}
	return issuer.EncodeCertificates(c)
}

func certificates(data []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil
		}
		out = append(out, c)
	}
}

// agentSide asks the agent of a cluster.
type agentSide struct {
	dial func(context.Context) (net.Conn, error)
}

func (s agentSide) ask(ctx context.Context, call caCall) (a caAnswer, err error) {
	body, err := json.Marshal(call)
	if err != nil {
		return a, err
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx) },
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://agent"+caPath, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return a, fmt.Errorf("agent: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("agent: it answers %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxCall)).Decode(&a); err != nil {
		return a, fmt.Errorf("agent: its answer cannot be read: %w", err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("agent: %s", a.Error)
	}
	return a, nil
}

func (s agentSide) request(ctx context.Context, p issuer.Profile) ([]byte, error) {
	a, err := s.ask(ctx, caCall{Do: "request", Profile: p})
	return a.CSR, err
}

func (s agentSide) renew(ctx context.Context, p issuer.Profile, mark string) error {
	_, err := s.ask(ctx, caCall{Do: "renew", Profile: p, Mark: mark})
	return err
}

func (s agentSide) install(ctx context.Context, chain []*x509.Certificate, root *x509.Certificate, keep bool) error {
	_, err := s.ask(ctx, caCall{Do: "install", Chain: issuer.EncodeCertificates(chain...), Root: pemOf(root), Keep: keep})
	return err
}

func (s agentSide) trust(ctx context.Context, root *x509.Certificate, former string) error {
	_, err := s.ask(ctx, caCall{Do: "trust", Root: pemOf(root), Former: former})
	return err
}

func (s agentSide) retire(ctx context.Context, root *x509.Certificate) error {
	_, err := s.ask(ctx, caCall{Do: "retire", Root: pemOf(root)})
	return err
}

func (s agentSide) tidy(ctx context.Context) error {
	_, err := s.ask(ctx, caCall{Do: "tidy"})
	return err
}

func (s agentSide) inspect(ctx context.Context, root *x509.Certificate, now time.Time) (caState, error) {
	a, err := s.ask(ctx, caCall{Do: "inspect", Root: pemOf(root), Now: now})
	return caState{
		Intermediate: firstCert(a.Intermediate), Root: firstCert(a.Root), Problem: a.Problem, Bundle: a.Bundle, Former: a.Former, present: a.Present, pendingKey: a.PendingKey,
	}, err
}

func (s agentSide) restore(ctx context.Context) error {
	_, err := s.ask(ctx, caCall{Do: "restore"})
	return err
}

func (s agentSide) trusted(ctx context.Context) (string, error) {
	a, err := s.ask(ctx, caCall{Do: "trusted"})
	return string(a.Root), err
}
