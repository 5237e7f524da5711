// SPDX-License-Identifier: Apache-2.0

package live_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
	"github.com/meshprobe/meshprobe/pkg/cluster/live/livetest"
)

// A stream that comes in while its connection closes may hold up the closing for
// good (moby/spdystream v0.5.1, Connection.shutdown).
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}

// mesh is an embedded mesh, not federated, behind API servers.
func mesh(t *testing.T) (*livetest.Mesh, *cluster.Set) {
	t.Helper()
	topology, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&embedded.Provider{ConnectTimeout: time.Second}).Open(t.Context(), topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return livetest.Serve(t, set), set
}

func openLive(t *testing.T, m *livetest.Mesh, options live.Options, events cluster.Events) *cluster.Set {
	t.Helper()
	topology, err := live.Contexts([]string{m.Kubeconfig}, m.Contexts)
	if err != nil {
		t.Fatal(err)
	}
	options.Kubeconfigs, options.Direct = []string{m.Kubeconfig}, m.Direct
	set, err := (&live.Provider{Options: options}).Open(t.Context(), topology, events)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return set
}

func TestOpen(t *testing.T) {
	m, embedded := mesh(t)
	var said []string
	set := openLive(t, m, live.Options{}, func(e cluster.Event) { said = append(said, e.Cluster+" "+e.Step+": "+e.Detail) })
	if len(said) != 2 || !strings.Contains(strings.Join(said, "\n"), "context ctx-west, network none, trust domain cluster.local, istiod") {
		t.Errorf("what it found: %q", said)
	}
	for i, c := range set.Clusters {
		if c.Name() != embedded.Clusters[i].Name() || set.Topology.Clusters[i].Context != m.Contexts[i] {
			t.Errorf("cluster %q of context %q", c.Name(), set.Topology.Clusters[i].Context)
		}
		want, err := embedded.Clusters[i].Workloads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Workloads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
			t.Errorf("workloads of %s (-embedded +live):\n%s", c.Name(), diff)
		}
	}
	var edges []string
	for _, e := range set.Topology.Edges {
		edges = append(edges, string(e.DataPlane)+" "+e.From.Cluster+" → "+e.To.Cluster)
	}
	if diff := cmp.Diff([]string{"sidecar east → west", "ambient east → west", "sidecar west → east", "ambient west → east"}, edges); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	if kube, _ := cluster.As[cluster.Kube](set.Clusters[0]); kube != nil {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
		_, err := kube.Kubernetes().CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{})
		if _, refused := errors.AsType[*live.RefusedError](err); !refused {
			t.Errorf("creating a namespace: %v, want a *RefusedError", err)
		}
	}
}

// lines describes workloads without what only one side can know.
func lines(ws []cluster.Workload) map[string]string {
	out := map[string]string{}
	for _, w := range ws {
		if w.DataPlane != cluster.NoMesh {
			out[w.String()] = strings.Join([]string{w.ServiceAccount, string(w.DataPlane), string(w.MTLS), w.Address.String(), w.Service.Host}, " ")
		}
	}
	return out
}

func TestOverrides(t *testing.T) {
	m, _ := mesh(t)
	set := openLive(t, m, live.Options{MaxWorkloads: 2, Overrides: map[string]live.Override{
		"": {Network: "one"}, "ctx-west": {Name: "occident", TrustDomain: "west.example", Network: "two"},
	}}, nil)
	for i, want := range []cluster.ClusterSpec{
		{Name: "east", Context: "ctx-east", Network: "one", TrustDomain: "cluster.local"},
		{Name: "occident", Context: "ctx-west", Network: "two", TrustDomain: "west.example"},
	} {
		if diff := cmp.Diff(want, set.Topology.Clusters[i]); diff != "" {
			t.Errorf("cluster (-want +got):\n%s", diff)
		}
		if ws, err := set.Clusters[i].Workloads(t.Context()); err != nil || len(ws) != 2 {
			t.Errorf("%d workloads, %v; want 2", len(ws), err)
		}
	}
}

func TestDial(t *testing.T) {
	m, _ := mesh(t)
	set := openLive(t, m, live.Options{}, nil)
	east, west := set.Clusters[0], set.Clusters[1]
	at := func(c cluster.Cluster, dp cluster.DataPlane) cluster.Workload {
		ws, err := c.Workloads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range ws {
			if w.DataPlane == dp {
				return w
			}
		}
		t.Fatalf("no %s in %s", dp, c.Name())
		return cluster.Workload{}
	}
	sidecar, ambient := at(east, cluster.Sidecar), at(east, cluster.Ambient)
	pod := func(w cluster.Workload, port string) string { return net.JoinHostPort(w.Address.String(), port) }
	for name, tc := range map[string]struct {
		addr string
		is   func(error) bool
	}{
		"istiod":             {"istiod.istio-system.svc:15012", nil},
		"hbone":              {pod(ambient, "15008"), nil},
		"nobody listens":     {pod(ambient, "15021"), func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		"behind the sidecar": {pod(sidecar, "9080"), outOfReach},
		"service behind one": {net.JoinHostPort(sidecar.Service.Host, "9080"), outOfReach},
		"another network":    {pod(at(west, cluster.Sidecar), "9080"), outOfReach},
		"anywhere else":      {"198.51.100.1:443", outOfReach},
		"no such service":    {"nobody.shop.svc:80", func(err error) bool { d, ok := errors.AsType[*net.DNSError](err); return ok && d.IsNotFound }},
		"no such port":       {"istiod.istio-system.svc:1", func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		"no port":            {"istiod", func(err error) bool { return err != nil }},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			conn, err := east.Dial(t.Context(), sidecar, tc.addr)
			if err == nil {
				_ = conn.Close()
			}
			if tc.is == nil && err != nil || tc.is != nil && !tc.is(err) {
				t.Errorf("dial %s: %v", tc.addr, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := east.Dial(ctx, sidecar, "istiod.istio-system.svc:15012"); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled dial: %v", err)
	}
}

func outOfReach(err error) bool { _, ok := errors.AsType[*cluster.OutOfReachError](err); return ok }

// TestStreams holds many streams over one port-forward to what net.Conn promises.
func TestStreams(t *testing.T) {
	m, _ := mesh(t)
	c := openLive(t, m, live.Options{}, nil).Clusters[0]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), cluster.Workload{}, "istiod.istio-system.svc:15012")
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("reading from a TLS server that waits: %v", err)
			}
			_ = conn.SetReadDeadline(time.Time{})
			// It is no TLS, and the server says so before it closes.
			if _, err := conn.Write(bytes.Repeat([]byte("x"), 64)); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the end of a stream: %v", err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("reading after closing: %v", err)
			}
		})
	}
	wg.Wait()
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Dial(t.Context(), cluster.Workload{}, "istiod.istio-system.svc:15012"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dialing a closed cluster: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	m, _ := mesh(t)
	set := openLive(t, m, live.Options{}, nil)
	ids, _ := cluster.As[cluster.Identities](set.Clusters[0])
	first, err := ids.Identity(t.Context(), cluster.DefaultSidecarNamespace, "reviews")
	if err != nil {
		t.Fatal(err)
	}
	if want := "spiffe://cluster.local/ns/bookinfo/sa/reviews"; first.Certificates[0].URIs[0].String() != want {
		t.Errorf("it says %v, want %s", first.Certificates[0].URIs, want)
	}
	if again, err := ids.Identity(t.Context(), cluster.DefaultSidecarNamespace, "reviews"); err != nil || again != first {
		t.Errorf("asked again at once: %v, another %t", err, again != first)
	}
	if _, err := ids.Identity(t.Context(), cluster.DefaultSidecarNamespace, "nobody"); err == nil {
		t.Error("a service account that does not exist has an identity")
	}
	given := cluster.NewIdentity("spiffe://cluster.local/ns/a/sa/b", nil, nil, nil)
	shown := openLive(t, m, live.Options{Identity: given}, nil)
	ids, _ = cluster.As[cluster.Identities](shown.Clusters[0])
	if got, err := ids.Identity(t.Context(), "x", "y"); err != nil || got != given {
		t.Errorf("the identity that was given: %v, %v", got, err)
	}
}

func TestContextErrors(t *testing.T) {
	m, _ := mesh(t)
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("apiVersion: [\ntoken: hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		files, contexts []string
		msg, hint       string
	}{
		"none":       {[]string{m.Kubeconfig}, nil, "0 contexts; trust across clusters needs 2 to 100", "there are: ctx-east, ctx-west"},
		"one":        {[]string{m.Kubeconfig}, []string{"ctx-east"}, "1 contexts;", "there are: ctx-east, ctx-west"},
		"twice":      {[]string{m.Kubeconfig}, []string{"ctx-east", "ctx-east"}, `context "ctx-east" is named twice`, "once"},
		"unknown":    {[]string{m.Kubeconfig}, []string{"ctx-east", "ctx-wset"}, `there is no context "ctx-wset"`, `did you mean "ctx-west"?`},
		"no-file":    {[]string{"/does/not/exist"}, []string{"a", "b"}, `cannot read the kubeconfig "/does/not/exist"`, "name a readable file"},
		"not-parsed": {[]string{broken}, []string{"a", "b"}, "the kubeconfig cannot be parsed", "kubectl config view"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := live.Contexts(tc.files, tc.contexts)
			ce, ok := errors.AsType[*live.ContextError](err)
			if !ok || !strings.Contains(ce.Msg, tc.msg) || !strings.Contains(ce.Hint, tc.hint) || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %v, hint %q", err, ce.Hint)
			}
		})
	}
}

// TestNotAttached: what a topology or a kubeconfig has wrong is said before
// anything is judged by it.
func TestNotAttached(t *testing.T) {
	m, _ := mesh(t)
	api, err := os.ReadFile(m.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(t.TempDir(), "dead")
	moved := regexp.MustCompile(`server: .*`).ReplaceAll(api, []byte("server: https://127.0.0.1:1"))
	if err := os.WriteFile(dead, moved, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		kubeconfig, called string
		msg, hint          string
	}{
		"misnamed": {m.Kubeconfig, "orient", `"ctx-east" "orient", and its istiod calls it "east"`, "{name: east, context: ctx-east}"},
		"dead":     {dead, "east", "connection refused", "kubectl --context ctx-"},
	} {
		t.Run(name, func(t *testing.T) {
			topology := cluster.Topology{Clusters: []cluster.ClusterSpec{{Name: tc.called, Context: "ctx-east"}, {Name: "west", Context: "ctx-west"}}}
			set, err := (&live.Provider{Options: live.Options{Kubeconfigs: []string{tc.kubeconfig}, Direct: m.Direct}}).Open(t.Context(), topology, nil)
			if err == nil {
				_ = set.Close(t.Context())
				t.Fatal("it was opened")
			}
			said, ok := errors.AsType[cluster.Hinted](err)
			if !ok || !strings.Contains(err.Error(), tc.msg) || !strings.Contains(strings.Join(said.Hints(), "\n"), tc.hint) {
				t.Errorf("error %v with the hints of %v", err, said)
			}
		})
	}
}

// TestNamedOnPurpose: whoever overrides the name of a cluster may call it so in
// the topology, too.
func TestNamedOnPurpose(t *testing.T) {
	m, _ := mesh(t)
	topology := cluster.Topology{Clusters: []cluster.ClusterSpec{{Name: "orient", Context: "ctx-east"}, {Name: "west", Context: "ctx-west"}}}
	o := live.Options{Kubeconfigs: []string{m.Kubeconfig}, Direct: m.Direct, Overrides: map[string]live.Override{"ctx-east": {Name: "orient"}}}
	set, err := (&live.Provider{Options: o}).Open(t.Context(), topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := set.Cluster("orient"); !ok {
		t.Error("no cluster is called orient")
	}
	if err := set.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNoMesh(t *testing.T) {
	m, set := mesh(t)
	api, _ := cluster.As[embedded.API](set.Clusters[0])
	for _, tc := range []struct {
		override  live.Override
		why, hint string
	}{
		{live.Override{Revision: "canary"}, `no istiod of revision "canary" runs; there is default`, "--revision default"},
		{live.Override{RootNamespace: "default"}, "no istiod runs in the cluster", "--root-namespace"},
	} {
		c, err := live.Attach(t.Context(), live.Config{
			Spec: cluster.ClusterSpec{Context: "ctx-east"}, REST: api.API().RESTConfig(),
			Revision: tc.override.Revision, RootNamespace: tc.override.RootNamespace,
		})
		if err == nil {
			t.Errorf("%+v: attached to %s", tc.override, c.Name())
			continue
		}
		nm, ok := errors.AsType[*live.NoMeshError](err)
		if !ok || nm.Why != tc.why || !strings.Contains(nm.Hint, tc.hint) {
			t.Errorf("%+v: %v", tc.override, err)
		}
	}
	_ = m
}
