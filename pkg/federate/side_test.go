// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/federate"
)

// wire keeps what passes over the streams to agents.
type wire struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (w *wire) keep(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.Write(p)
}

type tapped struct {
	net.Conn
	w *wire
}

func (t tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.w.keep(p[:n])
	return n, err
}

func (t tapped) Write(p []byte) (int, error) {
	t.w.keep(p)
	return t.Conn.Write(p)
}

// withAgents puts an agent beside each cluster; what it says and hears is kept.
func withAgents(t *testing.T, set *cluster.Set, o federate.Options) (federate.Options, *wire) {
	t.Helper()
	w := &wire{}
	o.Agents = map[string]func(context.Context) (net.Conn, error){}
	for _, c := range set.Clusters {
		srv := httptest.NewServer(federate.AgentCA(kubeOf(t, set, c.Name()).Dynamic(), "istio-system", c.Name(), "mesh"))
		t.Cleanup(srv.Close)
		o.Agents[c.Name()] = func(ctx context.Context) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", srv.Listener.Addr().String())
			return tapped{conn, w}, err
		}
	}
	return o, w
}

// With an agent the same comes about, and no key ever passes between it and
// whoever federates.
func TestAgentKeepsTheKey(t *testing.T) {
	t.Parallel()
	set := mesh(t)
	before := durable(t, snapshot(t, set))
	o, w := withAgents(t, set, options(t))
	p, err := federate.NewPlan(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.String(), "made by the agent in the cluster") {
		t.Errorf("the plan does not say who makes the keys:\n%s", p)
	}
	apply(t, set, o, nil)
	keys := caKeys(snapshot(t, set))
	if err := federate.Rotate(t.Context(), set, o, nil); err != nil {
		t.Fatal(err)
	}
	newKeys(t, set, keys)
	if p, err = federate.NewPlan(t.Context(), set, o); err != nil || !p.Empty() {
		t.Errorf("left to do (%v):\n%s", err, p)
	}
	secret := credentials(t, snapshot(t, set))
	if err := federate.Rollback(t.Context(), set, o, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, durable(t, snapshot(t, set))); diff != "" {
		t.Errorf("not as before (-before +after):\n%s", diff)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !bytes.Contains(w.seen.Bytes(), []byte(`"do":"install"`)) {
		t.Error("the agent was not asked")
	}
	for _, s := range append(secret, "PRIVATE KEY") {
		if bytes.Contains(w.seen.Bytes(), []byte(s)) {
			t.Errorf("a credential passed: %.12s…", s)
		}
	}
}

func TestAgentRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	set := mesh(t)
	h := federate.AgentCA(kubeOf(t, set, "east").Dynamic(), "istio-system", "east", "mesh")
	for name, c := range map[string]struct {
		method, path, body, want string
		status                   int
	}{
		"another method": {http.MethodGet, "/ca", "", "404", http.StatusNotFound},
		"another path":   {http.MethodPost, "/", "", "404", http.StatusNotFound},
		"no JSON":        {http.MethodPost, "/ca", "{", "cannot be read", http.StatusBadRequest},
		"too much":       {http.MethodPost, "/ca", `{"mark":"` + strings.Repeat("a", 1<<20) + `"}`, "cannot be read", http.StatusBadRequest},
		"another verb":   {http.MethodPost, "/ca", `{"do":"show-key"}`, `does not know`, http.StatusOK},
		"no certificate": {http.MethodPost, "/ca", `{"do":"install","chain":"AAAA"}`, "no certificate", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body)))
			if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.want) {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
	if got := caKeys(snapshot(t, set)); len(got) != 0 {
		t.Errorf("it wrote %d keys", len(got))
	}
}
