// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
	"github.com/meshprobe/meshprobe/pkg/cluster/live/livetest"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// attach opens the clusters of an embedded mesh a second time, through their
// API servers, as somebody who knows nothing but a kubeconfig.
func attach(t *testing.T, m *livetest.Mesh, edges []cluster.Edge) *cluster.Set {
	t.Helper()
	return attachWith(t, m, edges, nil)
}

// attachWith is attach, with an agent in each cluster where one is given.
func attachWith(t *testing.T, m *livetest.Mesh, edges []cluster.Edge, agent *live.Agent) *cluster.Set {
	t.Helper()
	topology, err := live.Contexts([]string{m.Kubeconfig}, m.Contexts)
	if err != nil {
		t.Fatal(err)
	}
	topology.Edges = edges
	p := &live.Provider{Options: live.Options{Kubeconfigs: []string{m.Kubeconfig}, Direct: m.Direct, Agent: agent}}
	set, err := p.Open(t.Context(), topology, nil)
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

// summed is what findings say of each probe and subject.
func summed(fs []probe.Finding) map[string]string {
	out := map[string]string{}
	for _, f := range fs {
		out[f.ID+" "+f.Subject] = strings.TrimSpace(f.Status.String() + " " + f.Cause.Code)
	}
	return out
}

// TestLiveSaysTheSame holds what is seen through contexts and port-forwards to
// what is seen from inside: the same finding for each probe and subject, but for
// what is skipped because it takes a place in the pod network.
func TestLiveSaysTheSame(t *testing.T) { saysTheSame(t, open(t)) }

// TestLiveSaysTheSameOfWaypoints is TestLiveSaysTheSame with every kind of
// workload; where calls go is worked out from objects.
func TestLiveSaysTheSameOfWaypoints(t *testing.T) { saysTheSame(t, dataPlanes(t)) }

func saysTheSame(t *testing.T, set *cluster.Set) {
	t.Helper()
	federation(t, set)
	inside := summed(run(t, set, nil))
	m := livetest.Serve(t, set)
	found := run(t, attach(t, m, set.Topology.Edges), nil)
	outside := summed(found)

	skipped := 0
	for _, f := range found {
		key := f.ID + " " + f.Subject
		if f.Status == probe.Broken {
			t.Logf("%s is broken: %s", key, f.Reason)
		}
		if f.Status == probe.Skip && f.Denied {
			if !strings.Contains(f.Reason, "out of reach") || len(f.Hint) == 0 {
				t.Errorf("%s is skipped without saying what would reach it: %s", key, f.Reason)
			}
			skipped++
			outside[key] = inside[key]
		}
	}
	unasked(found, outside, inside)
	if diff := cmp.Diff(inside, outside); diff != "" {
		t.Errorf("findings (-inside +outside):\n%s", diff)
	}
	if len(found) < 100 || skipped > len(found)/4 {
		t.Errorf("%d of %d findings are out of reach", skipped, len(found))
	}
}

// unasked takes what takes an admin or debug interface for the same: embedded
// proxies and control planes have none that listens on a port.
func unasked(found []probe.Finding, outside, inside map[string]string) {
	for _, f := range found {
		if key := f.ID + " " + f.Subject; f.Status == probe.Skip && (strings.Contains(f.Reason, "does not answer") || strings.Contains(f.Reason, "nobody can be asked")) {
			outside[key] = inside[key]
		}
	}
}

// TestLiveReadsOnly shows every request of a whole check.
func TestLiveReadsOnly(t *testing.T) {
	set := open(t)
	federation(t, set)
	m := livetest.Serve(t, set)
	run(t, attach(t, m, set.Topology.Edges), nil)
	for _, r := range m.Requests() {
		verb, resource, _ := strings.Cut(r, " ")
		switch {
		case verb == "get", verb == "list", verb == "watch":
		case verb == "create" && (resource == "serviceaccounts/token" || resource == "pods/portforward" || resource == "selfsubjectaccessreviews"):
		default:
			t.Errorf("the check asked to %s", r)
		}
	}
	if len(m.Requests()) < 8 {
		t.Errorf("only %q were seen", m.Requests())
	}
}

// TestLivePermissions shows that the permissions that check prints suffice, and
// what each of them is for: without it, what needs it is skipped by name, and
// nothing fails.
func TestLivePermissions(t *testing.T) {
	set := open(t)
	federation(t, set)
	m := livetest.Serve(t, set)
	wide, root := live.Rules()
	allow := func(wide, root []rbacv1.PolicyRule) {
		for _, c := range set.Clusters {
			m.Allow(c.Name(), wide, root, nil)
		}
	}
	allow(wide, root)
	for _, f := range run(t, attach(t, m, set.Topology.Edges), nil) {
		if f.Status == probe.Fail || f.Status == probe.Broken || strings.Contains(f.Reason, "missing permission") {
			t.Errorf("with all that is printed: %s %s: %s %s", f.ID, f.Subject, f.Status, f.Reason)
		}
	}
	for _, less := range lesser(wide, root) {
		t.Run(strings.ReplaceAll(less.without, "/", "-"), func(t *testing.T) {
			allow(less.wide, less.root)
			named := false
			for _, f := range run(t, attach(t, m, set.Topology.Edges), nil) {
				switch {
				case f.Status == probe.Fail, f.Status == probe.Broken:
					t.Errorf("%s %s: %s %s %s %v", f.ID, f.Subject, f.Status, f.Reason, f.Cause.Code, f.Evidence)
				case strings.Contains(f.Reason, "missing permission: "):
					named = named || strings.Contains(f.Reason, less.without)
				}
			}
			if !named {
				t.Errorf("no finding names %q", less.without)
			}
		})
	}
}

// fewer is the rules without one verb of one resource.
type fewer struct {
	without    string // "VERB RESOURCE"
	wide, root []rbacv1.PolicyRule
}

// lesser takes each verb of each resource away in turn.
func lesser(wide, root []rbacv1.PolicyRule) []fewer {
	var out []fewer
	for i, rules := range [][]rbacv1.PolicyRule{wide, root} {
		for j, rule := range rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if resource == "pods/portforward" && verb == "get" {
						continue // the other half of a pair: either suffices
					}
					f := fewer{without: verb + " " + resource, wide: wide, root: root}
					kept := append(slices.Clone(rules[:j]), without(rule, resource, verb)...)
					kept = append(kept, rules[j+1:]...)
					if i == 0 {
						f.wide = kept
					} else {
						f.root = kept
					}
					out = append(out, f)
				}
			}
		}
	}
	return out
}

// without splits a rule so that it lacks one verb of one resource.
func without(r rbacv1.PolicyRule, resource, verb string) []rbacv1.PolicyRule {
	others, same := r, r
	others.Resources = slices.DeleteFunc(slices.Clone(r.Resources), func(s string) bool { return s == resource })
	same.Resources = []string{resource}
	same.Verbs = slices.DeleteFunc(slices.Clone(r.Verbs), func(s string) bool { return s == verb || resource == "pods/portforward" })
	return []rbacv1.PolicyRule{others, same}
}
