// SPDX-License-Identifier: Apache-2.0

package livetest

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/meshprobe/meshprobe/pkg/agent/agentpod"
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

// Mesh is an embedded mesh, met through its API servers.
type Mesh struct {
	Kubeconfig string   // file with a context per cluster
	Contexts   []string // in the order of the set; "ctx-NAME"

	set *cluster.Set

	mu    sync.Mutex
	seen  map[string]int // "VERB RESOURCE" → requests
	rules map[string]rules
}

// rules are what requests may do; nil allows everything.
type rules struct{ wide, root, agents []rbacv1.PolicyRule }

// Serve puts port-forwards, permissions and an account of requests in front of
// the API servers of an embedded set, and writes a kubeconfig for them. The set
// stays the caller's.
func Serve(t testing.TB, set *cluster.Set) *Mesh {
	t.Helper()
	m := &Mesh{set: set, Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), seen: map[string]int{}, rules: map[string]rules{}}
	merged := clientcmdapi.NewConfig()
	for _, c := range set.Clusters {
		api, ok := cluster.As[embedded.API](c)
		if !ok {
			t.Fatalf("livetest: %s is not embedded", c.Name())
		}
		server, context := api.API(), "ctx-"+c.Name()
		raw, err := server.Kubeconfig("")
		if err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.Load(raw)
		if err != nil {
			t.Fatal(err)
		}
		merged.Clusters[context], merged.AuthInfos[context] = config.Clusters[c.Name()], config.AuthInfos[c.Name()]
		merged.Contexts[context] = &clientcmdapi.Context{Cluster: context, AuthInfo: context}
		m.Contexts = append(m.Contexts, context)
		f := &forwards{t: t, c: c, agents: newAgents(t, m, c)}
		server.SetInterceptor(func(next http.Handler) http.Handler { return m.front(c.Name(), f, next) })
		t.Cleanup(func() { server.SetInterceptor(nil); f.wait() })
	}
	text, err := clientcmd.Write(*merged)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.Kubeconfig, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// Allow restricts the requests to a cluster to RBAC rules: those of a
// ClusterRole, those of a Role in istio-system, and those of one in the namespace
// of agents.
func (m *Mesh) Allow(clusterName string, wide, root, agents []rbacv1.PolicyRule) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rules[clusterName] = rules{wide, root, agents}
}

// Requests lists what was asked since Forget, "VERB RESOURCE", sorted. The
// requests of the embedded control planes to each other are not among it.
func (m *Mesh) Requests() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for r := range m.seen {
		out = append(out, r)
	}
	slices.Sort(out)
	return out
}

// Forget begins the account anew.
func (m *Mesh) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.seen)
}

// Direct dials what other clusters reach: the outside addresses of gateways.
func (m *Mesh) Direct(ctx context.Context, addr string) (net.Conn, error) {
	return m.set.Clusters[0].Dial(ctx, cluster.Workload{}, addr)
}

// userAgent is what the provider calls itself.
const userAgent = "meshprobe"

// front answers what an API server of its own would.
func (m *Mesh) front(clusterName string, f *forwards, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := kubeapi.ParseRequest(r)
		if f.mine(r, q) {
			resource := q.Resource
			if q.Subresource != "" {
				resource += "/" + q.Subresource
			}
			if q.Resource != "" {
				m.mu.Lock()
				m.seen[q.Verb+" "+resource]++
				limits, limited := m.rules[clusterName]
				m.mu.Unlock()
				if limited && !limits.allow(q, resource) {
					kubeapi.Refuse(w, apierrors.NewForbidden(schema.GroupResource{Group: q.Group, Resource: resource}, q.Name, nil))
					return
				}
			}
		}
		if q.Resource == "pods" && q.Subresource == "portforward" {
			f.serve(w, r, q)
			return
		}
		next.ServeHTTP(w, r)
		switch {
		case q.Verb == "create" && q.Resource == "jobs":
			f.agents.employ(r.Context(), q.Namespace)
		case q.Verb == "delete" && q.Resource == "jobs":
			f.agents.dismiss(r.Context(), q.Namespace)
		}
	})
}

// allow evaluates the rules as RBAC does, as far as they are used here. Reviews
// of one's own permissions are everybody's (system:basic-user).
func (l rules) allow(q kubeapi.Request, resource string) bool {
	if q.Group == "authorization.k8s.io" {
		return true
	}
	fits := func(r rbacv1.PolicyRule) bool {
		return slices.Contains(r.APIGroups, q.Group) && slices.Contains(r.Resources, resource) && slices.Contains(r.Verbs, q.Verb) &&
			(len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, q.Name))
	}
	return slices.ContainsFunc(l.wide, fits) || q.Namespace == "istio-system" && slices.ContainsFunc(l.root, fits) ||
		q.Namespace == agentpod.Namespace && slices.ContainsFunc(l.agents, fits)
}

// mine says that a request comes from the provider under test: streams have no
// user agent of client-go's.
func (f *forwards) mine(r *http.Request, q kubeapi.Request) bool {
	return q.Subresource == "portforward" || strings.HasPrefix(r.UserAgent(), userAgent)
}
