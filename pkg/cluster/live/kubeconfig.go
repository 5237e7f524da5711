// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// InCluster is the name by which a context stands for the cluster in whose pod
// this process runs.
const InCluster = "in-cluster"

// ContextError says that a context or a kubeconfig cannot be used.
type ContextError struct{ Msg, Hint string }

// Error says what is wrong with it.
func (e *ContextError) Error() string { return e.Msg }

// Hints says what to write instead.
func (e *ContextError) Hints() []string {
	if e.Hint == "" {
		return nil
	}
	return []string{e.Hint}
}

// Contexts is the topology of clusters that only their contexts name; Open
// discovers the rest. The errors are *ContextError and *cluster.TopologyError.
func Contexts(kubeconfigs, contexts []string) (cluster.Topology, error) {
	t := cluster.Topology{Version: cluster.TopologyVersion}
	config, err := loadKubeconfig(kubeconfigs)
	if err != nil {
		return t, err
	}
	if n := len(contexts); n < 2 || n > cluster.MaxClusters {
		return t, &ContextError{
			Msg:  fmt.Sprintf("%d contexts; trust across clusters needs 2 to %d", n, cluster.MaxClusters),
			Hint: "there are: " + strings.Join(names(config), ", "),
		}
	}
	for i, name := range contexts {
		if slices.Contains(contexts[:i], name) {
			return t, &ContextError{Msg: fmt.Sprintf("context %q is named twice", name), Hint: "name each cluster once"}
		}
		if _, err := restConfig(config, name); err != nil {
			return t, err
		}
		t.Clusters = append(t.Clusters, cluster.ClusterSpec{Context: name})
	}
	return t, nil
}

// loadKubeconfig merges files as kubectl does, without its fallback to
// localhost.
func loadKubeconfig(files []string) (*clientcmdapi.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if len(files) > 0 {
		for _, f := range files {
			file, err := os.Open(f)
			if err == nil {
				_ = file.Close() // only read, by the library
			} else {
				return nil, &ContextError{Msg: fmt.Sprintf("cannot read the kubeconfig %q: %v", f, errors.Unwrap(err)), Hint: "name a readable file, or leave it out for the one that kubectl uses"}
			}
		}
		rules.ExplicitPath, rules.Precedence = "", files
	}
	rules.WarnIfAllMissing = false
	config, err := rules.Load()
	if err != nil {
		// The library quotes what it could not parse, and that may be a credential.
		return nil, &ContextError{Msg: "the kubeconfig cannot be parsed", Hint: "try: kubectl config view"}
	}
	return config, nil
}

// restConfig is the way to the API of a context.
func restConfig(config *clientcmdapi.Config, name string) (*rest.Config, error) {
	if _, there := config.Contexts[name]; !there {
		if inside, err := rest.InClusterConfig(); err == nil && name == InCluster {
			return inside, nil
		}
		return nil, &ContextError{Msg: fmt.Sprintf("there is no context %q", name), Hint: cmp.Or(cluster.DidYouMean(name, names(config)), "the kubeconfig names no context; try: kubectl config get-contexts")}
	}
	out, err := clientcmd.NewNonInteractiveClientConfig(*config, name, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, &ContextError{Msg: fmt.Sprintf("context %q is incomplete", name), Hint: "try: kubectl --context " + name + " cluster-info"}
	}
	return out, nil
}

func names(config *clientcmdapi.Config) []string { return slices.Sorted(maps.Keys(config.Contexts)) }

// config joins what the topology, the overrides and the kubeconfig say of one
// cluster.
func (p *Provider) config(kubeconfig *clientcmdapi.Config, spec cluster.ClusterSpec) (Config, error) {
	name := cmp.Or(spec.Context, spec.Name)
	way, err := restConfig(kubeconfig, name)
	if err != nil {
		return Config{}, fmt.Errorf("live: %w", err)
	}
	all, own := p.Options.Overrides[""], p.Options.Overrides[name]
	spec.Context = name
	spec.Name = cmp.Or(own.Name, spec.Name)
	spec.Network = cmp.Or(own.Network, all.Network, spec.Network)
	spec.TrustDomain = cmp.Or(own.TrustDomain, all.TrustDomain, spec.TrustDomain)
	return Config{
		Spec: spec, REST: way, Inside: inside(way), Options: p.Options,
		Revision: cmp.Or(own.Revision, all.Revision), RootNamespace: cmp.Or(own.RootNamespace, all.RootNamespace),
	}, nil
}

// misnamed refuses a name of a topology that is not what istiod calls its cluster:
// remote secrets and its CA go by that.
func misnamed(name string, f Facts) error {
	if name == "" || f.ClusterID == "" || f.ClusterID == name {
		return nil
	}
	return &ContextError{
		Msg:  fmt.Sprintf("live: the topology calls the cluster of the context %q %q, and its istiod calls it %q", f.Context, name, f.ClusterID),
		Hint: fmt.Sprintf("call it so in the topology, also in its edges: {name: %s, context: %s}; or, where its remote secrets do call it %[3]s: --cluster-name %[2]s=%[3]s", f.ClusterID, f.Context, name),
	}
}

// notAttached says what to try where an API does not answer, or not this user.
func notAttached(err error, context string) error {
	if _, ok := errors.AsType[cluster.Hinted](err); ok {
		return err
	}
	return &unattachedError{error: err, context: context}
}

// unattachedError is that a cluster could not be looked at at all.
type unattachedError struct {
	error

	context string
}

// Unwrap is what its API said.
func (e *unattachedError) Unwrap() error { return e.error }

// Hints says how to find out.
func (e *unattachedError) Hints() []string {
	return []string{"kubectl --context " + e.context + " get namespaces    # does its API answer from here, and let you look?"}
}

// inside says that an API is the one of the cluster in whose pod this runs.
func inside(way *rest.Config) bool {
	here, err := rest.InClusterConfig()
	return err == nil && here.Host == way.Host
}

// Check says whether every cluster of a topology has a context that can be used,
// without asking any API. The error is a *ContextError.
func (p *Provider) Check(t cluster.Topology) error {
	config, err := loadKubeconfig(p.Options.Kubeconfigs)
	if err != nil {
		return err
	}
	for _, spec := range t.Clusters {
		if _, err := restConfig(config, cmp.Or(spec.Context, spec.Name)); err != nil {
			return err
		}
	}
	return nil
}
