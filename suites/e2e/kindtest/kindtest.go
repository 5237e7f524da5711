// SPDX-License-Identifier: Apache-2.0

// Package kindtest opens real clusters for the tests of suites/e2e:
//
//	go test ./suites/e2e/... -args -provider kind                a mesh of its own
//	go test ./suites/e2e/... -args -provider kind -reuse NAME    the mesh that clusters create made
//	MESHPROBE_KIND=require go test ./suites/e2e/...              a mesh of its own, or a failure
//
// Without these, or where the machine cannot run clusters, such tests are
// skipped with the reason.
package kindtest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/kind"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
)

// Variables of the environment.
const (
	envWanted = "MESHPROBE_KIND"      // require: a failure where clusters cannot be had; anything else: a skip
	envLab    = "MESHPROBE_LAB"       // directory of a lab that needs no registry; default beside the checkout
	envCache  = "MESHPROBE_LAB_CACHE" // where that lab keeps what it built
)

// module is the root of the repository, from the test packages below suites/e2e.
const module = "../../.."

// openTime bounds a set-up, also on a machine that does other things besides.
const openTime = 15 * time.Minute

// Wanted says whether real clusters were asked for. Flags must be parsed.
func Wanted() bool { return os.Getenv(envWanted) != "" || probetest.Provider() == kind.Name }

// Open opens the mesh that the flags ask for and closes it when the test ends.
// It is not federated, unless somebody did that to a mesh that is reused.
func Open(t *testing.T) *cluster.Set {
	t.Helper()
	p, topology := Provider(t)
	set, err := p.Open(t.Context(), topology, func(e cluster.Event) {
		if e.Elapsed > 0 {
			t.Logf("%s %s: %s (%s)", e.Cluster, e.Step, e.Detail, e.Elapsed.Round(time.Second))
		}
	})
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

// Provider is what opens the mesh that the flags ask for, and its topology.
// Without such flags the test is skipped.
func Provider(t *testing.T) (*kind.Provider, cluster.Topology) {
	t.Helper()
	wanted := os.Getenv(envWanted)
	if !Wanted() {
		t.Skipf("real clusters are asked for with: -args -provider %s, or %s=require", kind.Name, envWanted)
	}
	return provider(t, func(why string, args ...any) {
		t.Helper()
		if wanted == "require" {
			t.Fatalf(why, args...)
		}
		t.Skipf(why, args...)
	})
}

// provider says how the clusters are had; cannot ends the test.
func provider(t *testing.T, cannot func(why string, args ...any)) (*kind.Provider, cluster.Topology) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "docker", "info", "--format", "{{.ServerVersion}}").CombinedOutput(); err != nil {
		cannot("there is no Docker: %v: %s", err, strings.TrimSpace(string(out)))
	}
	if name := probetest.Reuse(); name != "" {
		found, err := kind.Find(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return &kind.Provider{Reuse: name}, found.Topology
	}
	p := &kind.Provider{Timeout: openTime}
	lab(t, p)
	p.Configs = append(p.Configs, audited(t))
	if p.Istioctl == "" {
		if _, err := exec.LookPath("istioctl"); err != nil {
			cannot("there is neither istioctl on PATH nor a lab: %v", err)
		}
	}
	p.AppBinary = Program(t)
	return p, Topology(t)
}

// Topology is the one that the flags name, or the default one of two clusters.
func Topology(t *testing.T) cluster.Topology {
	t.Helper()
	path := probetest.Topology()
	if path == "" {
		top, err := cluster.Default(2)
		if err != nil {
			t.Fatal(err)
		}
		return top
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	top, err := cluster.ParseTopology(file)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return top
}

// lab takes what a lab built from sources: a node image, an Istio and what its
// proxies need. Without a lab everything comes from where everybody has it.
func lab(t *testing.T, p *kind.Provider) {
	t.Helper()
	dir := os.Getenv(envLab)
	if dir == "" {
		dir = filepath.Join(module, "..", "shared", "lab")
	}
	pins, err := os.ReadFile(filepath.Join(dir, "versions.env"))
	if err != nil {
		return
	}
	cache := os.Getenv(envCache)
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(user, "meshprobe-lab")
	}
	istioctl := filepath.Join(cache, "bin", "istioctl")
	if _, err := os.Stat(istioctl); err != nil {
		return
	}
	p.Istioctl = istioctl
	p.NodeImage = "meshprobe/node:" + pin(t, pins, "KUBERNETES_VERSION")
	tag := pin(t, pins, "ISTIO_TAG")
	p.LoadImages = []string{"localhost/istio/pilot:" + tag, "localhost/istio/proxyv2:" + tag}
	p.Configs = []string{filepath.Join(dir, "kind.yaml")}
	p.Values = []string{filepath.Join(dir, "istio-values.yaml")}
	p.Manifests = []string{filepath.Join(dir, "stock-envoy.yaml")}
}

// pin is one line NAME=VALUE.
func pin(t *testing.T, pins []byte, name string) string {
	t.Helper()
	for line := range strings.Lines(string(pins)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return value
		}
	}
	t.Fatalf("the lab pins no %s", name)
	return ""
}

// Program makes the program, as pods run it too.
func Program(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "meshprobe")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", out, "./cmd/meshprobe")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, said)
	}
	return out
}

// Node is the container of a cluster of a mesh, in which Exec runs commands.
type Node string

// NodeOf finds it by the address of its API server.
func NodeOf(t *testing.T, c cluster.Cluster) Node {
	t.Helper()
	k, ok := cluster.As[cluster.Kube](c)
	if !ok {
		t.Fatalf("%s has no API", c.Name())
	}
	ctx := context.WithoutCancel(t.Context()) // cleaning up needs nodes, too
	out, err := exec.CommandContext(ctx, "docker", "ps", "--filter", "label=io.x-k8s.kind.cluster",
		"--format", "{{.Names}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(out)) {
		at, err := exec.CommandContext(ctx, "docker", "inspect", "--format",
			"{{range .NetworkSettings.Networks}}https://{{.IPAddress}}:{{end}}", name).Output()
		if err == nil && strings.HasPrefix(k.APIServer().URL, strings.TrimSpace(string(at))) {
			return Node(name)
		}
	}
	t.Fatalf("no container is the node of %s", c.Name())
	return ""
}

// Exec runs a command in the node.
func (n Node) Exec(ctx context.Context, args ...string) ([]byte, error) {
	return exec.CommandContext(ctx, "docker", append([]string{"exec", string(n)}, args...)...).CombinedOutput()
}

// Kubectl runs kubectl in the node, as an administrator. Its output is what it
// said in all. A test that cleans up runs it too, so it takes no context.
func (n Node) Kubectl(stdin []byte, args ...string) ([]byte, error) {
	cmd := exec.Command("docker", append([]string{"exec", "-i", string(n), "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	return cmd.CombinedOutput()
}

// Federate gives the clusters one shared root, which stays in the first of them,
// so that a mesh that is reused is not federated anew.
func Federate(t *testing.T, set *cluster.Set) {
	t.Helper()
	first := set.Clusters[0]
	k, ok := cluster.As[cluster.Kube](first)
	if !ok {
		t.Fatalf("%s has no API", first.Name())
	}
	root, err := issuer.NewBuiltin(issuer.Secret{
		Kube: k.Kubernetes(), Ref: cluster.Ref{Cluster: first.Name(), Namespace: "istio-system", Name: "meshprobe-root"},
	}, issuer.Options{KeyType: issuer.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := federate.NewPlan(t.Context(), set, federate.Options{Issuer: root, VerifyTimeout: 5 * time.Minute})
	if err == nil {
		err = federate.Apply(t.Context(), plan, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}
