// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

func TestNames(t *testing.T) {
	for name, want := range map[string][2]string{
		"meshprobe-mesh-east":     {"mesh", "east"},
		"meshprobe-mesh-us-east1": {"mesh", "us-east1"},
	} {
		mesh, member, ok := split(name)
		if got := [2]string{mesh, member}; !ok || got != want {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
		if again := clusterName(mesh, member); again != name {
			t.Errorf("%s becomes %s", name, again)
		}
	}
	for _, name := range []string{"kind", "meshprobe", "meshprobe-", "meshprobe-mesh", "meshprobe-mesh-", "meshprobe-Mesh-east", "my-meshprobe-mesh-east"} {
		if _, _, ok := split(name); ok {
			t.Errorf("%s is taken for ours", name)
		}
	}
	for name, good := range map[string]bool{"mesh": true, "r0123456": true, "": false, "my-mesh": false, "Mesh": false, strings.Repeat("m", 21): false} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
	long := cluster.Topology{Clusters: []cluster.ClusterSpec{{Name: strings.Repeat("e", 40)}}}
	if err := checkNames("mesh", long); err == nil {
		t.Error("a name that is too long for a host is accepted")
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const head = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"

func TestConfigMerges(t *testing.T) {
	got, nodes, err := clusterConfig([]string{write(t, head+"featureGates: {KubeletInUserNamespace: true}\nnodes:\n- role: control-plane\n  kubeadmConfigPatches: [one]\n- role: worker\n")})
	if err != nil {
		t.Fatal(err)
	}
	var have, want map[string]any
	wanted := head + "featureGates: {KubeletInUserNamespace: true}\nnodes:\n- {role: control-plane, kubeadmConfigPatches: [one]}\n- {role: worker}\n"
	if err := errors.Join(yaml.Unmarshal(got, &have), yaml.Unmarshal([]byte(wanted), &want)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" || nodes != 2 {
		t.Errorf("%d nodes (-want +got):\n%s", nodes, diff)
	}
	// Another file adds to the patches and mounts of those before it.
	one := write(t, head+"nodes:\n- role: control-plane\n  kubeadmConfigPatches: [one]\n  labels: {a: b}\n")
	two := write(t, head+"nodes:\n- role: control-plane\n  kubeadmConfigPatches: [two]\n  extraMounts: [{hostPath: /a, containerPath: /b}]\n")
	if got, _, err = clusterConfig([]string{one, two}); err != nil {
		t.Fatal(err)
	}
	wanted = head + "nodes:\n- {role: control-plane, labels: {a: b}, kubeadmConfigPatches: [one, two], extraMounts: [{hostPath: /a, containerPath: /b}]}\n"
	have, want = nil, nil
	if err := errors.Join(yaml.Unmarshal(got, &have), yaml.Unmarshal([]byte(wanted), &want)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("two files (-want +got):\n%s", diff)
	}
	// A file that says nothing of nodes leaves the generated one.
	if _, nodes, err := clusterConfig([]string{write(t, head+"networking: {ipFamily: ipv4}\n")}); err != nil || nodes != 1 {
		t.Errorf("%d nodes, %v", nodes, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"named":         {head + "name: mine\n", "meshprobe names its clusters itself"},
		"unknown field": {head + "nods: []\n", "nods"},
		"other kind":    {"kind: Pod\napiVersion: v1\n", "not Cluster"},
		"worker first":  {head + "nodes: [{role: worker}]\n", "begins with a worker"},
		"no yaml":       {"{", "file.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := clusterConfig([]string{write(t, tc.text)})
			e, ok := errors.AsType[*Error](err)
			if !ok || len(e.Hint) == 0 || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestCheckInput(t *testing.T) {
	top, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for name, tc := range map[string]struct {
		p    Provider
		want string // "" is no error
	}{
		"nothing":          {Provider{}, ""},
		"name":             {Provider{Mesh: "My-Mesh"}, "name of a mesh"},
		"config":           {Provider{Configs: []string{"/nowhere/kind.yaml"}}, "--kind-config"},
		"values":           {Provider{Values: []string{"/nowhere/values.yaml"}}, "--istio-values"},
		"values, no YAML":  {Provider{Values: []string{write(t, "[1, 2]\n")}}, "--istio-values"},
		"manifest":         {Provider{Manifests: []string{"/nowhere/more.yaml"}}, "--istio-manifest"},
		"manifest, no one": {Provider{Manifests: []string{write(t, "a: b\n")}}, "no apiVersion, kind or name"},
		"gateway API":      {Provider{GatewayAPI: "/nowhere"}, "--gateway-api"},
		"gateway API none": {Provider{GatewayAPI: empty}, "holds no manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.p.Check(top)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(err.Error(), tc.want) || len(e.Hint) == 0 {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestIstioctl(t *testing.T) {
	program := func(script string) string {
		path := filepath.Join(t.TempDir(), "istioctl")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	said := func(version string) string { return program(`echo '{"clientVersion":{"version":"` + version + `"}}'`) }
	for name, tc := range map[string]struct{ path, want string }{
		"new":       {said("1.31.2"), ""},
		"lab":       {said("1.31-local"), ""},
		"old":       {said("1.20.0"), "not supported"},
		"odd":       {said("unknown"), "none of Istio 1"},
		"breaks":    {program("echo broken >&2; exit 1"), "broken"},
		"babbles":   {program("echo hello"), "does not say its version"},
		"not there": {"/nowhere/istioctl", "--istioctl"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := findIstioctl(t.Context(), tc.path)
			if tc.want == "" {
				if err != nil || got.version == "" {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(err.Error(), tc.want) || len(e.Hint) == 0 {
				t.Errorf("%v", err)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := findIstioctl(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "not on PATH") {
		t.Errorf("without istioctl: %v", err)
	}
}

// TestDocker makes a docker command that fails as the real one does.
func TestDocker(t *testing.T) {
	for name, tc := range map[string]struct{ script, want, hint string }{
		"not running":   {"echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' >&2; exit 1", "does not answer", "systemctl start docker"},
		"no permission": {"echo 'Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock' >&2; exit 1", "refuses this user", "usermod"},
		"server error":  {`echo '{"ServerVersion":"","ServerErrors":["Cannot connect to the Docker daemon"]}'`, "does not answer", "systemctl"},
		"no room":       {`echo '{"ServerVersion":"29","MemTotal":536870912}'`, "no room", "memory"},
		"image missing": {`case "$*" in info*) echo '{"ServerVersion":"29","MemTotal":99999999999}';; *) echo 'Error: No such image: mine' >&2; exit 1;; esac`, "Docker has no image mine", "docker pull mine"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+tc.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", dir+":/usr/bin:/bin")
			top, err := cluster.Default(2)
			if err != nil {
				t.Fatal(err)
			}
			b := &builder{p: &Provider{LoadImages: []string{"mine"}}, mesh: "test", topology: top}
			err = b.preflight(t.Context())
			e, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(err.Error(), tc.want) || !strings.Contains(strings.Join(e.Hint, "; "), tc.hint) {
				t.Errorf("%v, hints %v", err, e)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := (docker{}).info(t.Context()); err == nil || !strings.Contains(err.Error(), "not there") {
		t.Errorf("without docker: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&Provider{}).Open(ctx, cluster.Topology{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled open: %v", err)
	}
}

func TestClean(t *testing.T) {
	log := strings.Join([]string{
		"\x1b[31mpod is \x07stuck\x1b[0m", "",
		"token: abcdef", `{"password":"x"}`, "Authorization: Bearer" + " abc", "-----BEGIN EC PRIVATE" + " KEY-----",
		"kubeadm join --token" + " abc.def --discovery-token-ca-cert-hash sha256:1",
		strings.Repeat("QUJD", 30), "last line", strings.Repeat("x ", 400),
	}, "\n")
	got := clean(log, 10)
	if len(got) != 3 || got[0] != "pod is stuck" || got[1] != "last line" || len(got[2]) > maxLine+4 {
		t.Errorf("%q", got)
	}
	if got := clean("a\nb\nc", 2); !cmp.Equal(got, []string{"b", "c"}) {
		t.Errorf("%q", got)
	}
}

// TestImage packs this very test and finds it again.
func TestImage(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux programs run in clusters")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	image, err := newAppImage(self)
	if err != nil {
		t.Fatal(err)
	}
	again, err := newAppImage(self)
	if err != nil || again.name != image.name || !bytes.Equal(again.archive, image.archive) {
		t.Errorf("the same program is %s, then %s: %v", image.name, again.name, err)
	}
	names, layer := contents(t, image.archive)
	if len(names) != 3 || names[0] != "manifest.json" || layer == nil {
		t.Fatalf("the archive holds %q", names)
	}
	files, _ := contents(t, layer)
	if !cmp.Equal(files[0], "meshprobe") {
		t.Errorf("the image holds %q", files)
	}
	if _, err := newAppImage(write(t, "no program")); err == nil {
		t.Error("a text is packed as a program")
	}
}

// contents names the files of an archive, and returns the last one.
func contents(t *testing.T, archive []byte) ([]string, []byte) {
	t.Helper()
	var names []string
	var last []byte
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, last
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if last, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWorkloads looks at the objects of the default topology.
func TestWorkloads(t *testing.T) {
	top, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	for ztunnel, want := range map[bool]map[string]string{
		false: {"sidecar": "enabled", "ambient": ""},
		true:  {"sidecar": "enabled", "ambient": "ambient"},
	} {
		var pods []string
		labels := map[string]string{}
		for _, o := range workloads(top.Clusters[1], "image", ztunnel) {
			switch o.GetKind() {
			case "Namespace":
				dp := "sidecar"
				if o.GetName() == cluster.DefaultAmbientNamespace {
					dp = "ambient"
				}
				labels[dp] = o.GetLabels()[injectionLabel] + o.GetLabels()[modeLabel]
			case "Service":
				if o.GetLabels()[labelGlobal] != "true" {
					t.Errorf("service %s is not shared", o.GetName())
				}
			case "Deployment":
				pods = append(pods, o.GetNamespace()+"/"+o.GetName())
			}
			if o.GetLabels()[labelManaged] != managedBy {
				t.Errorf("%s %s does not say who made it", o.GetKind(), o.GetName())
			}
		}
		if diff := cmp.Diff(want, labels); diff != "" {
			t.Errorf("ztunnel %v (-want +got):\n%s", ztunnel, diff)
		}
		wanted := []string{"bookinfo/reviews-v2", "bookinfo/reviews-v3", "bookinfo/ratings-v1", "bookinfo-ambient/reviews-v2", "bookinfo-ambient/reviews-v3", "bookinfo-ambient/ratings-v1"}
		if diff := cmp.Diff(wanted, pods); diff != "" {
			t.Errorf("deployments (-want +got):\n%s", diff)
		}
	}
}

// TestIn names the place of an error once.
func TestIn(t *testing.T) {
	err := in("create", "east", in("", "", errors.New("write: no space left on device")))
	want := &Error{Step: "create", Cluster: "east"}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Step != want.Step || e.Cluster != want.Cluster || len(e.Hints()) != 1 {
		t.Errorf("%+v", err)
	}
	if got := err.Error(); got != "kind: create: east: write: no space left on device" {
		t.Error(got)
	}
	if in("a", "b", nil) != nil {
		t.Error("nothing is an error")
	}
}
