// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/fault"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/e2e/kindtest"
)

// realFault is a fault of the table, done to real clusters.
type realFault struct {
	name string // in the table
	how  string // where there are several ways; empty otherwise

	// inject breaks the mesh where the way of the embedded one does not serve.
	// What it changes beside objects that mesh.keep knows, it has undone when the
	// test ends.
	inject func(t *testing.T, m *realMesh)
}

// realFaults are ordered so that those that take restarts come last.
func realFaults() []realFault {
	return []realFault{
		{name: "network-label-missing"},
		{name: "remote-secret-missing-or-broken"},
		{name: "remote-secret-unlabelled"},
		{name: "remote-secret-bad-ca"},
		{name: "remote-secret-expired-token"},
		{name: "ew-unreachable", how: "reject", inject: gatewaysFiltered("REJECT", "--reject-with", "tcp-reset")},
		{name: "ew-unreachable", how: "drop", inject: gatewaysFiltered("DROP")},
		{name: "ew-sni-no-match", inject: othersExposed},
		{name: "root-configmap-stale", inject: rootsHeld},
		{name: "permissive-when-strict", inject: policyMissed},
		{name: "istiod-unreachable"},
		{name: "cacerts-after-istiod"},
		{name: "td-mismatch-sidecar-no-alias"},
		{name: "workload-stale-leaf"},
	}
}

// realMesh is a federated mesh of real clusters.
type realMesh struct {
	*mesh
	hit  string // the cluster that faults hit
	rows []row
}

// row is what came of one fault.
type row struct {
	fault, first           string
	findings, differ       int
	breaking, named, whole time.Duration
}

// converge bounds how long real proxies may take to say what they are told.
const converge = 90 * time.Second

// TestReal breaks real clusters in the ways of the table, and holds what is then
// said to the table and to what is said of the embedded mesh.
func TestReal(t *testing.T) {
	m := openReal(t)
	defer m.tell(t)
	t.Run("no fault", func(t *testing.T) {
		healthy := row{fault: "none"}
		defer func() { m.rows = append(m.rows, healthy) }()
		m.says(t, &healthy, modelled(t, newMesh(t)), unclean)
	})
	if t.Failed() {
		t.Fatal("nothing can be learnt of faults in a mesh that is not healthy")
	}
	for _, f := range realFaults() {
		t.Run(strings.TrimSuffix(f.name+"/"+f.how, "/"), func(t *testing.T) { m.fault(t, f) })
	}
}

func openReal(t *testing.T) *realMesh {
	t.Helper()
	set := kindtest.Open(t)
	kindtest.Federate(t, set)
	clusters := set.Topology.Clusters
	return &realMesh{mesh: &mesh{set: set}, hit: clusters[len(clusters)-1].Name}
}

// fault breaks both meshes in one way, compares what is said, and heals the real
// one.
func (m *realMesh) fault(t *testing.T, f realFault) {
	order, err := fault.Parse(f.name)
	if err != nil {
		t.Fatal(err)
	}
	want, known := wants[f.name]
	if !known {
		t.Fatal("the table does not say what is to be found")
	}
	model := newMesh(t)
	if err := order.Apply(t.Context(), model.set); err != nil {
		t.Fatal(err)
	}
	emb := modelled(t, model)

	before := m.keep(t)
	begun := time.Now()
	broken := row{fault: strings.TrimSuffix(f.name+" "+f.how, " ")}
	defer func() { m.rows = append(m.rows, broken) }()
	t.Run("broken", func(t *testing.T) {
		defer func() {
			healing := time.Now()
			m.restore(t, before)
			t.Logf("restored in %s", time.Since(healing).Round(time.Second))
		}()
		if f.inject != nil {
			f.inject(t, m)
		} else if err := order.Apply(t.Context(), m.set); err != nil {
			t.Fatal(err)
		}
		broken.breaking = time.Since(begun)
		m.says(t, &broken, emb, func(got result) []string { return blamed(order.Code(), want, got) })
	})
	t.Run("healed", func(t *testing.T) { m.says(t, &row{}, modelled(t, newMesh(t)), unclean) })
	broken.whole = time.Since(begun)
}

// says runs the suites until nothing is to be complained of, and until what is
// said is what is said of the embedded mesh; or until real proxies have had the
// time to do what they were told.
func (m *realMesh) says(t *testing.T, r *row, emb result, complaints func(result) []string) {
	t.Helper()
	begun, runs := time.Now(), 0
	for {
		begin := time.Now()
		got := m.run(t, nil)
		runs++
		all := complaints(got)
		table, differing, findings := compared(emb, got)
		all = append(all, differing...)
		if len(all) > 0 && time.Since(begun) < converge && t.Context().Err() == nil {
			continue
		}
		r.findings, r.differ, r.first, r.named = findings, len(differing), firstOf(got), time.Since(begun)
		t.Logf("run %d took %s, %s after the first began\n%s", runs, time.Since(begin).Round(time.Second), time.Since(begun).Round(time.Second), table)
		for _, c := range all {
			t.Error(c)
		}
		return
	}
}

// modelled is what is said of an embedded mesh. What could not be looked at in
// time, on a machine that real clusters keep busy, is looked at once more.
func modelled(t *testing.T, m *mesh) result {
	t.Helper()
	got := m.run(t, nil)
	for range 2 {
		if !slices.ContainsFunc(got.findings, func(f probe.Finding) bool { return f.Status == probe.Broken }) {
			break
		}
		got = m.run(t, nil)
	}
	return got
}

// gatewaysFiltered has the node of the cluster treat what comes from other
// clusters for the gateways like a firewall in between.
func gatewaysFiltered(target ...string) func(*testing.T, *realMesh) {
	return func(t *testing.T, m *realMesh) {
		t.Helper()
		m.iptables(t, append([]string{"-i", "eth0", "-p", "tcp", "-m", "multiport", "--dports", "15443,15008", "-j"}, target...)...)
	}
}

// iptables puts a rule before all that forwards packets of pods, until the test
// ends.
func (m *realMesh) iptables(t *testing.T, rule ...string) {
	t.Helper()
	c, _ := m.set.Cluster(m.hit)
	node := kindtest.NodeOf(t, c)
	if out, err := node.Exec(t.Context(), append([]string{"iptables", "-w", "-I", "FORWARD"}, rule...)...); err != nil {
		t.Fatalf("iptables: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := node.Exec(context.WithoutCancel(t.Context()), append([]string{"iptables", "-w", "-D", "FORWARD"}, rule...)...); err != nil {
			t.Errorf("iptables: %v: %s", err, out)
		}
	})
}

// compared lines up what two meshes say, probe by probe, and lists the
// differences that nothing explains.
func compared(emb, got result) (table string, differing []string, findings int) {
	one, two := lines(emb), lines(got)
	keys := map[string]bool{}
	for k := range one {
		keys[k] = true
	}
	for k := range two {
		keys[k] = true
	}
	sorted := make([]string, 0, len(keys))
	for k := range keys {
		sorted = append(sorted, k)
	}
	slices.Sort(sorted)
	var b strings.Builder
	same := 0
	for _, k := range sorted {
		a, c := one[k], two[k]
		if id, _, _ := strings.Cut(k, " "); kindtest.Agree(id, a, c) {
			same++
			continue
		}
		differing = append(differing, fmt.Sprintf("%s: embedded says %s, kind %s", k, a, c))
		fmt.Fprintf(&b, "%-100s embedded: %-40s kind: %-40s DIFFERS\n", k, a, c)
	}
	return fmt.Sprintf("%d of %d findings are the same\n%s", same, len(sorted), b.String()), differing, len(sorted)
}

// firstOf is the finding that a report begins with.
func firstOf(r result) string {
	for _, f := range r.findings {
		if f.Status == probe.Fail || f.Status == probe.Warn || f.Status == probe.Broken {
			return fmt.Sprintf("%s %s %s %s", f.Status, f.ID, f.Subject, f.Cause.Code)
		}
	}
	return "nothing is wrong"
}

// tell prints the table of all faults: what was said first of the real mesh, and
// how many findings differ from those of the embedded one.
func (m *realMesh) tell(t *testing.T) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "FAULT\tFIRST FINDING\tFINDINGS\tDIFFER\tBREAK\tNAMED\tALL")
	for _, r := range m.rows {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", r.fault, r.first, r.findings, r.differ,
			r.breaking.Round(time.Second), r.named.Round(time.Second), r.whole.Round(time.Second))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("embedded and real clusters, fault by fault:\n%s", b.String())
}

// lines are status and cause by probe and subject.
func lines(r result) map[string]string {
	out := map[string]string{}
	for _, f := range r.findings {
		said := f.Status.String()
		if f.Cause.Code != "" {
			said += " " + f.Cause.Code
		}
		out[f.ID+" "+f.Subject] = said
	}
	return out
}
