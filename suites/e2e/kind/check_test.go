// SPDX-License-Identifier: Apache-2.0

//go:build unix

package kind_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/suites/e2e/kindtest"
)

// The service account of deploy/rbac.yaml.
const (
	checkNamespace = "meshprobe"
	checkAccount   = "meshprobe-check"
	checkUser      = "system:serviceaccount:" + checkNamespace + ":" + checkAccount
	agentNamespace = "meshprobe-check"
)

// TestCheck runs meshprobe check on real clusters as the service account that it
// prints: from outside, with agents, and as the Job of deploy. What it did is read
// from the audit logs of the API servers.
func TestCheck(t *testing.T) {
	set := kindtest.Open(t)
	kindtest.Federate(t, set)
	c := &checks{set: set, program: kindtest.Program(t)}
	t.Run("outside", func(t *testing.T) {
		c.permit(t, "--print-rbac")
		begun := time.Now()
		fs := c.check(t)
		t.Logf("%s in %s", tally(fs), time.Since(begun).Round(time.Millisecond))
		for what := range c.asked(t) {
			if !reads(what) {
				t.Errorf("a check that only reads asked to %s", what)
			}
		}
	})
	t.Run("agents", func(t *testing.T) {
		c.permit(t, "--print-rbac", "--allow-agent")
		fs := c.check(t, "--allow-agent", "--agent-image", c.image(t))
		t.Log(tally(fs))
		for _, f := range fs {
			if f.Status == "skip" && strings.Contains(f.Reason, "out of reach") {
				t.Errorf("%s %s is out of reach of an agent: %s", f.ID, f.Subject, f.Reason)
			}
		}
		for what := range c.asked(t) {
			if !reads(what) && !strings.HasSuffix(what, " in "+agentNamespace) && !strings.HasSuffix(what, " namespaces") {
				t.Errorf("a check with agents asked to %s", what)
			}
		}
		c.agentsGone(t)
	})
	t.Run("Job", func(t *testing.T) {
		c.permit(t, "--print-rbac")
		c.job(t)
	})
}

// reads says that what was asked for changes nothing.
func reads(what string) bool {
	verb, resource, _ := strings.Cut(what, " ")
	resource, _, _ = strings.Cut(resource, " ")
	switch verb {
	case "get", "list", "watch":
		return true
	case "create":
		return slices.Contains([]string{"serviceaccounts/token", "selfsubjectaccessreviews", "pods/portforward"}, resource)
	}
	return false
}

// checks is meshprobe check on real clusters.
type checks struct {
	set        *cluster.Set
	program    string
	kubeconfig string
	since      time.Time
}

// checked is what a test needs of a finding.
type checked struct {
	ID       string          `json:"id"`
	Subject  string          `json:"subject"`
	Status   string          `json:"status"`
	Reason   string          `json:"reason"`
	Evidence json.RawMessage `json:"evidence"`
}

// permit applies what the program prints, to all clusters, and writes a
// kubeconfig with tokens of that service account. What was asked for before is
// not counted.
func (c *checks) permit(t *testing.T, args ...string) {
	t.Helper()
	manifests, err := exec.CommandContext(t.Context(), c.program, append([]string{"check"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range c.set.Clusters {
		kubectl(t, in, manifests, "apply", "-f", "-")
		t.Cleanup(func() {
			// The namespace meshprobe stays: the provider's own agent lives there.
			kubectl(t, in, nil, "delete", "serviceaccounts,clusterroles,clusterrolebindings,roles,rolebindings", "-A", "-l", "app.kubernetes.io/component=check")
			kubectl(t, in, nil, "delete", "namespace", agentNamespace, "--ignore-not-found")
		})
	}
	c.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	c.write(t, c.kubeconfig, c.set.Clusters)
	c.since = time.Now()
}

// write makes a kubeconfig whose contexts are called as the clusters are.
func (c *checks) write(t *testing.T, path string, clusters []cluster.Cluster) {
	t.Helper()
	config := clientcmdapi.NewConfig()
	for _, in := range clusters {
		k, name := api(t, in), in.Name()
		token, err := k.Kubernetes().CoreV1().ServiceAccounts(checkNamespace).CreateToken(t.Context(), checkAccount,
			&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		config.Clusters[name] = &clientcmdapi.Cluster{Server: k.APIServer().URL, CertificateAuthorityData: k.APIServer().CA}
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
		config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
}

// check runs the program to a good end and returns what it found.
func (c *checks) check(t *testing.T, args ...string) []checked {
	t.Helper()
	var contexts []string
	for _, in := range c.set.Clusters {
		contexts = append(contexts, in.Name())
	}
	cmd := exec.CommandContext(t.Context(), c.program,
		append([]string{"check", "--contexts", strings.Join(contexts, ","), "--kubeconfig", c.kubeconfig, "-o", "json"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("check: %v\n%s", err, &said)
	}
	var report struct {
		Findings []checked `json:"findings"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	for _, f := range report.Findings {
		if f.Status == "fail" || f.Status == "broken" || strings.Contains(f.Reason, "missing permission") {
			t.Errorf("%s %s: %s: %s %s", f.ID, f.Subject, f.Status, f.Reason, f.Evidence)
		}
	}
	return report.Findings
}

// asked is what the service account asked the API servers for, and how often:
// verb, resource and, for agents, the namespace.
func (c *checks) asked(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, in := range c.set.Clusters {
		here := 0
		for _, e := range kindtest.Audited(t, in, checkUser) {
			if e.Received.Before(c.since) {
				continue
			}
			here++
			what := e.Verb + " " + e.Resource
			if e.Namespace == agentNamespace {
				what += " in " + agentNamespace
			}
			all[what]++
			if e.Code == 401 || e.Code == 403 {
				t.Errorf("%s: %s in %q is not allowed", in.Name(), what, e.Namespace)
			}
		}
		if here < 10 {
			t.Errorf("%s: the audit log has %d requests of a whole check", in.Name(), here)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(all)) {
		t.Logf("%4d %s", all[what], what)
	}
	return all
}

// agentsGone waits until nothing runs in the namespace of the agents, which
// whoever applied the permissions made.
func (c *checks) agentsGone(t *testing.T) {
	t.Helper()
	for _, in := range c.set.Clusters {
		until(t, endsSoon, func() bool {
			k := api(t, in).Kubernetes()
			jobs, err := k.BatchV1().Jobs(agentNamespace).List(t.Context(), metav1.ListOptions{})
			pods, more := k.CoreV1().Pods(agentNamespace).List(t.Context(), metav1.ListOptions{})
			return err == nil && more == nil && len(jobs.Items)+len(pods.Items) == 0
		})
	}
}

// image is that of the program, as the nodes have it.
func (c *checks) image(t *testing.T) string {
	t.Helper()
	for _, ns := range c.set.Topology.Clusters[0].Namespaces {
		for _, w := range ns.Workloads {
			d, err := api(t, c.set.Clusters[0]).Kubernetes().AppsV1().Deployments(ns.Name).Get(t.Context(), w.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, in := range d.Spec.Template.Spec.Containers {
				if strings.Contains(in.Image, "meshprobe") {
					return in.Image
				}
			}
		}
	}
	t.Fatal("no workload has the image of meshprobe")
	return ""
}

// job runs deploy/check-job.yaml in the first cluster, as its comment says.
func (c *checks) job(t *testing.T) {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "check-job.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	here, others := c.set.Clusters[0], c.set.Clusters[1:]
	names := "in-cluster"
	for _, in := range others {
		names += "," + in.Name()
	}
	for from, to := range map[string]string{"meshprobe:latest": c.image(t), "in-cluster,west": names} {
		if !bytes.Contains(manifest, []byte(from)) {
			t.Fatalf("deploy/check-job.yaml does not say %q", from)
		}
		manifest = bytes.ReplaceAll(manifest, []byte(from), []byte(to))
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	c.write(t, path, others)
	kubeconfig, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secrets := api(t, here).Kubernetes().CoreV1().Secrets(checkNamespace)
	if _, err := secrets.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "meshprobe-kubeconfig"}, Data: map[string][]byte{"kubeconfig": kubeconfig},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kubectl(t, here, nil, "-n", checkNamespace, "delete", "--ignore-not-found", "secret/meshprobe-kubeconfig", "job/meshprobe-check")
	})
	kubectl(t, here, manifest, "apply", "-f", "-")
	jobs := api(t, here).Kubernetes().BatchV1().Jobs(checkNamespace)
	until(t, wholeCheck, func() bool {
		job, err := jobs.Get(t.Context(), "meshprobe-check", metav1.GetOptions{})
		return err == nil && job.Status.Succeeded+job.Status.Failed > 0
	})
	said := string(kubectl(t, here, nil, "-n", checkNamespace, "logs", "job/meshprobe-check"))
	job, err := jobs.Get(t.Context(), "meshprobe-check", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if job.Status.Succeeded != 1 || !strings.Contains(said, "trust each other") {
		t.Errorf("the Job says:\n%s", said)
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	t.Log(strings.TrimSpace(lines[len(lines)-1]))
}

// wholeCheck is longer than the Job's own deadline.
const wholeCheck = 6 * time.Minute

// tally counts findings by status.
func tally(fs []checked) string {
	n := map[string]int{}
	for _, f := range fs {
		n[f.Status]++
	}
	var b strings.Builder
	for _, status := range slices.Sorted(maps.Keys(n)) {
		fmt.Fprintf(&b, "%d %s, ", n[status], status)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

func api(t *testing.T, c cluster.Cluster) cluster.Kube {
	t.Helper()
	k, ok := cluster.As[cluster.Kube](c)
	if !ok {
		t.Fatalf("%s has no API", c.Name())
	}
	return k
}

// kubectl runs that of the node.
func kubectl(t *testing.T, in cluster.Cluster, stdin []byte, args ...string) []byte {
	t.Helper()
	out, err := kindtest.NodeOf(t, in).Kubectl(stdin, args...)
	if err != nil {
		t.Fatalf("%s: kubectl %q: %v\n%s", in.Name(), args, err, out)
	}
	return out
}
