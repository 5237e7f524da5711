// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

// maxFile bounds a file that a user names.
const maxFile = 4 << 20

// readFile reads what a flag names.
func readFile(flag, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, failure("name a readable file", "%s: %w", flag, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, failure("name a readable file", "%s: %w", flag, err)
	case len(data) > maxFile:
		return nil, failure("", "%s: %s is larger than 4 MiB", flag, path)
	}
	return data, nil
}

// generatedConfig is what every cluster needs: one node.
const generatedConfig = `
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
`

// clusterConfig is the generated configuration with the user's files merged
// into it, in their order: maps by key, nodes by position, patches, mounts and
// ports added to those before, everything else replaced. The name is not the
// user's to choose, because clusters are found by it. It also returns the number
// of nodes.
func clusterConfig(paths []string) ([]byte, int, error) {
	var config map[string]any
	if err := yaml.Unmarshal([]byte(generatedConfig), &config); err != nil {
		return nil, 0, err
	}
	for _, path := range paths {
		data, err := readFile("--kind-config", path)
		if err != nil {
			return nil, 0, err
		}
		if err := checkConfig(path, data); err != nil {
			return nil, 0, err
		}
		var user map[string]any
		if err := yaml.Unmarshal(data, &user); err != nil {
			return nil, 0, err
		}
		config = mergeMaps(config, user)
	}
	nodes, _ := config["nodes"].([]any)
	out, err := yaml.Marshal(config)
	return out, len(nodes), err
}

// checkConfig reads a configuration as strictly as kind does.
func checkConfig(path string, data []byte) error {
	const hint = "see: https://kind.sigs.k8s.io/docs/user/configuration"
	var c v1alpha4.Cluster
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		return failure(hint, "--kind-config: %s: %s", path, strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:")), " "))
	}
	switch {
	case c.APIVersion != "kind.x-k8s.io/v1alpha4" || c.Kind != "Cluster":
		return failure(hint, "--kind-config: %s holds %q of %q, not Cluster of kind.x-k8s.io/v1alpha4", path, c.Kind, c.APIVersion)
	case c.Name != "":
		return failure("leave name out", "--kind-config: %s names the cluster %q, but meshprobe names its clusters itself", path, c.Name)
	}
	if n := len(c.Nodes); n > 0 && c.Nodes[0].Role == v1alpha4.WorkerRole {
		return failure("put the control plane first", "--kind-config: %s begins with a worker", path)
	}
	return nil
}

// mergeMaps lays over upon under.
func mergeMaps(under, over map[string]any) map[string]any {
	for key, value := range over {
		switch value := value.(type) {
		case map[string]any:
			if below, ok := under[key].(map[string]any); ok {
				under[key] = mergeMaps(below, value)
				continue
			}
			under[key] = value
		case []any:
			under[key] = mergeLists(key, under[key], value)
		default:
			under[key] = value
		}
	}
	return under
}

// mergeLists lays the list over of a key upon what was there.
func mergeLists(key string, under any, over []any) []any {
	below, _ := under.([]any)
	switch key {
	case "nodes":
		return mergeNodes(below, over)
	case "extraMounts", "extraPortMappings", "containerdConfigPatches", "containerdConfigPatchesJSON6902", "kubeadmConfigPatches", "kubeadmConfigPatchesJSON6902":
		return append(append([]any(nil), below...), over...)
	}
	return over
}

func mergeNodes(under, over []any) []any {
	out := append([]any(nil), over...)
	for i := range min(len(under), len(over)) {
		below, okBelow := under[i].(map[string]any)
		above, okAbove := over[i].(map[string]any)
		if okBelow && okAbove {
			out[i] = mergeMaps(below, above)
		}
	}
	if len(under) > len(over) {
		out = append(out, under[len(over):]...)
	}
	return out
}

// checkYAML makes sure that the files of a repeatable flag can be read.
func checkYAML(flag string, paths []string) error {
	for _, path := range paths {
		data, err := readFile(flag, path)
		if err != nil {
			return err
		}
		var document map[string]any
		if err := yaml.Unmarshal(data, &document); err != nil || len(document) == 0 {
			return failure("the file must hold an IstioOperator in YAML", "%s: %s holds none", flag, path)
		}
	}
	return nil
}

func mustBeDirectory(flag, path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", path)
	}
	if err != nil {
		return failure("name a directory of manifests", "%s: %w", flag, err)
	}
	return nil
}
