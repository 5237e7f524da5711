// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// rootNamespace is where Istio is installed.
const rootNamespace = "istio-system"

// oldestIstio is the first minor version whose ambient mode spans networks.
const oldestIstio = 27

// istioctl is the program that installs Istio.
type istioctl struct {
	path    string
	version string
}

var istioVersion = regexp.MustCompile(`^v?1\.(\d+)`)

// findIstioctl finds the program and asks it for its version.
func findIstioctl(ctx context.Context, path string) (istioctl, error) {
	name := path
	if name == "" {
		name = "istioctl"
	}
	found, err := exec.LookPath(name)
	if err != nil {
		if path != "" {
			return istioctl{}, failure("name the program: --istioctl PATH", "--istioctl: %w", err)
		}
		return istioctl{}, failure("install it from https://istio.io/latest/docs/setup/getting-started, or name it: --istioctl PATH", "istioctl is not on PATH")
	}
	out, err := command(ctx, nil, found, "version", "--remote=false", "--output", "json")
	if err != nil {
		return istioctl{}, failure("name another one: --istioctl PATH", "%s does not say its version: %w", found, err)
	}
	var said struct {
		ClientVersion struct {
			Version string `json:"version"`
		} `json:"clientVersion"`
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		return istioctl{}, failure("name another one: --istioctl PATH", "%s does not say its version", found)
	}
	version := said.ClientVersion.Version
	m := istioVersion.FindStringSubmatch(version)
	if m == nil {
		return istioctl{}, failure("name a released one: --istioctl PATH", "%s is of version %q, which is none of Istio 1", found, printable(version))
	}
	if minor, err := strconv.Atoi(m[1]); err != nil || minor < oldestIstio {
		return istioctl{}, failure(fmt.Sprintf("name one of Istio 1.%d or later: --istioctl PATH", oldestIstio), "%s is of version %s, which is not supported", found, printable(version))
	}
	return istioctl{path: found, version: printable(version)}, nil
}

// operator is an IstioOperator file.
func operator(spec map[string]any) ([]byte, error) {
	return yaml.Marshal(map[string]any{"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "spec": spec})
}

// baseValues is what every mesh of this package asks of Istio: multi-network
// ambient, and small requests, because a machine holds several clusters.
func baseValues() map[string]any {
	small := func(memory string) map[string]any {
		return map[string]any{"requests": map[string]any{"cpu": "10m", "memory": memory}}
	}
	return map[string]any{
		"profile": "minimal",
		"values": map[string]any{
			"global": map[string]any{"imagePullPolicy": "IfNotPresent", "proxy": map[string]any{"resources": small("40Mi")}},
			"pilot": map[string]any{
				"autoscaleEnabled": false,
				"resources":        small("64Mi"),
				"env":              map[string]any{"PILOT_ENABLE_AMBIENT": "true", "AMBIENT_ENABLE_MULTI_NETWORK": "true"},
			},
		},
		"meshConfig": map[string]any{
			"serviceScopeConfigs": []any{map[string]any{
				"servicesSelector": map[string]any{"matchExpressions": []any{map[string]any{"key": labelGlobal, "operator": "In", "values": []any{"true"}}}},
				"scope":            "GLOBAL",
			}},
		},
	}
}

// ownValues is what the topology says of one cluster; nothing overrides it.
func ownValues(mesh string, spec cluster.ClusterSpec) map[string]any {
	config := map[string]any{"trustDomain": spec.TrustDomain}
	if len(spec.TrustDomainAliases) > 0 {
		config["trustDomainAliases"] = spec.TrustDomainAliases
	}
	return map[string]any{
		"values": map[string]any{"global": map[string]any{
			"meshID": mesh, "network": spec.Network, "multiCluster": map[string]any{"clusterName": spec.Name},
		}},
		"meshConfig": config,
	}
}

// install brings a cluster's control plane up.
func (b *builder) install(ctx context.Context, a *api, spec cluster.ClusterSpec, kubeconfig string) error {
	if err := a.apply(ctx, slices.Concat(b.gateways, []*unstructured.Unstructured{root(spec)})); err != nil {
		return fmt.Errorf("gateway API: %w", err)
	}
	files := map[string]map[string]any{"base": baseValues(), "own": ownValues(b.mesh, spec)}
	paths := map[string]string{}
	for name, values := range files {
		data, err := operator(values)
		if err != nil {
			return err
		}
		paths[name] = filepath.Join(b.scratch.dir, spec.Name+"-"+name+".yaml")
		if err := os.WriteFile(paths[name], data, 0o600); err != nil {
			return err
		}
	}
	config := filepath.Join(b.scratch.dir, spec.Name+"-istioctl.kubeconfig")
	if err := os.WriteFile(config, []byte(kubeconfig), 0o600); err != nil {
		return err
	}
	args := []string{"install", "--skip-confirmation", "--kubeconfig", config, "--readiness-timeout", b.p.timeout().String(), "--filename", paths["base"]}
	for _, file := range b.p.Values {
		args = append(args, "--filename", file)
	}
	args = append(args, "--filename", paths["own"])
	if _, err := command(ctx, nil, b.istioctl.path, args...); err != nil {
		return err
	}
	return a.apply(ctx, b.manifests)
}

// hasZtunnel reports whether the installation brought a ztunnel.
func (a *api) hasZtunnel(ctx context.Context) (bool, error) {
	_, err := a.kube.AppsV1().DaemonSets(rootNamespace).Get(ctx, "ztunnel", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
