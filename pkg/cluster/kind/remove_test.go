// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestSweep removes what nobody holds, and nothing else.
func TestSweep(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process holds a directory there")
	}
	t.Setenv("TMPDIR", t.TempDir())
	held, err := newScratch("running")
	if err != nil {
		t.Fatal(err)
	}
	killed, err := newScratch("killed")
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.lock.Close(); err != nil { // as the system does
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(killed.dir, "east.kubeconfig"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(os.TempDir(), "somebody-elses")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	removed, err := Sweep()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{killed.dir}, removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{held.dir, other}; !slices.Equal(left, want) {
		t.Errorf("left: %q, want %q", left, want)
	}
	if err := held.remove(); err != nil {
		t.Error(err)
	}
}

// TestAbandon looks again: the daemon may make what a command asked for that is
// gone.
func TestAbandon(t *testing.T) {
	dir := t.TempDir()
	// The second container appears when the first is removed.
	fakeDocker(t, `cd `+dir+`
echo "$@" >>log
case "$1" in
ps) case "$*" in *=meshprobe-demo-east*) cat there 2>/dev/null || :;; esac;;
rm) if [ -e late ]; then mv late there; else rm -f there; fi;;
esac`)
	for file, id := range map[string]string{"there": "first", "late": "second"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(id+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := &builder{p: &Provider{}, mesh: "demo", topology: cluster.Topology{Clusters: []cluster.ClusterSpec{{Name: "east"}, {Name: "west"}}}}
	if err := b.abandon(t.Context()); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"rm --force --volumes first", "rm --force --volumes second"} {
		if !strings.Contains(string(log), want) {
			t.Errorf("docker was not told %q:\n%s", want, log)
		}
	}
}

// TestList finds every mesh of ours, whatever became of it.
func TestList(t *testing.T) {
	fakeDocker(t, `case "$1" in
info) echo '{"ServerVersion":"29"}';;
exec) echo '{"mesh":"demo","topology":{"clusters":[{"name":"east"},{"name":"west"}]},"image":"localhost/meshprobe:1","ready":true}';;
ps) cat <<END
meshprobe-demo-west|meshprobe-demo-west-control-plane|running|2026-11-21 10:47:49 +0000 UTC
meshprobe-demo-east|meshprobe-demo-east-control-plane|running|2026-11-21 10:47:48 +0000 UTC
meshprobe-demo-east|meshprobe-demo-east-worker|running|2026-11-21 10:47:47 +0000 UTC
meshprobe-broken-east|meshprobe-broken-east-control-plane|created|2026-11-21 10:00:00 +0000 UTC
meshprobe-odd-east|meshprobe-odd-east-worker|running|2026-11-21 10:00:00 +0000 UTC
kind|kind-control-plane|running|2026-11-21 10:00:00 +0000 UTC
END
;;
esac`)
	found, err := List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		for _, c := range f.Clusters {
			got = append(got, strings.Join([]string{f.Mesh, c.Name, c.State, map[bool]string{true: "ready"}[f.Ready && c.Ready]}, " "))
		}
	}
	want := []string{"broken east created ", "demo east running ready", "demo west running ready", "odd east no control plane "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("meshes (-want +got):\n%s", diff)
	}
	if len(found) == 3 && found[1].Created.Second() != 47 {
		t.Errorf("the mesh is from %s, want the oldest node's", found[1].Created)
	}
}
