// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/agent/agentpod"
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
	"github.com/meshprobe/meshprobe/pkg/cluster/live/livetest"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// anAgent is what a test allows.
func anAgent() *live.Agent { return &live.Agent{Image: "meshprobe:test"} }

// namespaces names those of each cluster.
func namespaces(t *testing.T, set *cluster.Set) []string {
	t.Helper()
	var out []string
	for _, c := range set.Clusters {
		k, _ := cluster.As[cluster.Kube](c)
		list, err := k.Kubernetes().CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, ns := range list.Items {
			out = append(out, c.Name()+"/"+ns.Name)
		}
	}
	return out
}

// TestLiveAgentSaysTheSame holds what is seen through agents to what is seen
// from inside: nothing is out of reach, nothing differs, and nothing is left.
func TestLiveAgentSaysTheSame(t *testing.T) {
	set := open(t)
	federation(t, set)
	inside := summed(run(t, set, nil))
	before := namespaces(t, set)
	m := livetest.Serve(t, set)
	attached := attachWith(t, m, set.Topology.Edges, anAgent())
	found := run(t, attached, nil)
	through := summed(found)
	unasked(found, through, inside)
	if diff := cmp.Diff(inside, through); diff != "" {
		t.Errorf("findings (-inside +through agents):\n%s", diff)
	}
	for _, f := range found {
		if f.Denied && strings.Contains(f.Reason, "out of reach") {
			t.Errorf("%s %s: %s", f.ID, f.Subject, f.Reason)
		}
	}
	if err := attached.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, namespaces(t, set)); diff != "" {
		t.Errorf("namespaces (-before +after):\n%s", diff)
	}
	changes := []string{"create jobs", "create namespaces", "delete namespaces"}
	for _, r := range m.Requests() {
		verb, resource, _ := strings.Cut(r, " ")
		read := slices.Contains([]string{"get", "list", "watch"}, verb)
		asked := verb == "create" && slices.Contains([]string{"serviceaccounts/token", "pods/portforward", "selfsubjectaccessreviews"}, resource)
		if i := slices.Index(changes, r); i >= 0 {
			changes = slices.Delete(changes, i, i+1)
		} else if !read && !asked {
			t.Errorf("the check asked to %s", r)
		}
	}
	if len(changes) > 0 {
		t.Errorf("it did not %q", changes)
	}
}

// TestLiveAgentPermissions shows that the permissions that check prints with
// --allow-agent suffice where the namespace is there, and that without them the
// check goes on, and says what it lacks.
func TestLiveAgentPermissions(t *testing.T) {
	set := open(t)
	federation(t, set)
	for _, c := range set.Clusters {
		k, _ := cluster.As[cluster.Kube](c)
		if _, err := k.Kubernetes().CoreV1().Namespaces().Create(t.Context(), agentpod.Ground(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	before := namespaces(t, set)
	m := livetest.Serve(t, set)
	wide, root := live.Rules()
	look := func(agents []rbacv1.PolicyRule) (lacking int) {
		for _, c := range set.Clusters {
			m.Allow(c.Name(), wide, root, agents)
		}
		attached := attachWith(t, m, set.Topology.Edges, anAgent())
		for _, f := range run(t, attached, nil) {
			switch {
			case f.Status == probe.Fail, f.Status == probe.Broken:
				t.Errorf("%s %s: %s %s", f.ID, f.Subject, f.Status, f.Reason)
			case f.Denied && strings.Contains(f.Reason, "out of reach"):
				lacking++
				if !strings.Contains(f.Reason, "its agent was not let in: ") {
					t.Errorf("%s %s does not say what it lacks: %s", f.ID, f.Subject, f.Reason)
				}
			}
		}
		if err := attached.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		return lacking
	}
	if n := look(agentpod.Rules()); n != 0 {
		t.Errorf("with all that is printed %d findings lack something", n)
	}
	if n := look(nil); n == 0 {
		t.Error("without the permissions of the agent nothing is out of reach")
	}
	if diff := cmp.Diff(before, namespaces(t, set)); diff != "" {
		t.Errorf("namespaces (-before +after):\n%s", diff)
	}
	for _, c := range set.Clusters {
		k, _ := cluster.As[cluster.Kube](c)
		jobs, err := k.Kubernetes().BatchV1().Jobs(agentpod.Namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(jobs.Items) != 0 {
			t.Errorf("%s: %d jobs are left, %v", c.Name(), len(jobs.Items), err)
		}
	}
}
