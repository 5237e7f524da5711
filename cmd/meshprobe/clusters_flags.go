// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/kind"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// kindFlags say how clusters are made in Docker.
type kindFlags struct {
	image               string
	configs             []string
	load                []string
	istioctl            string
	values, manifests   []string
	gatewayAPI          string
	appImage, appBinary string
	timeout             time.Duration
	kubeconfig          string
	name, reuse         string
	keep                bool
	names               []string // of the flags above that a command has
	chosen              func(flag string) bool
}

// addSetUp adds what making clusters can be told.
func (f *kindFlags) addSetUp(cmd *cobra.Command) {
	fl := cmd.Flags()
	before := flagNames(fl)
	fl.StringVar(&f.image, "kind-image", "", "node `IMAGE` (default: that of the kind release built in)")
	fl.StringArrayVar(&f.configs, "kind-config", nil, "kind configuration `FILE`, merged into the generated one; repeatable")
	fl.StringArrayVar(&f.load, "load-image", nil, "give the nodes this `IMAGE` of the local Docker; repeatable")
	fl.StringVar(&f.istioctl, "istioctl", "", "install Istio with the istioctl at `PATH` (default: the one on PATH)")
	fl.StringArrayVar(&f.values, "istio-values", nil, "IstioOperator `FILE` for istioctl install; repeatable")
	fl.StringArrayVar(&f.manifests, "istio-manifest", nil, "apply the manifests in `FILE` after Istio; repeatable")
	fl.StringVar(&f.gatewayAPI, "gateway-api", "", "install the Gateway API from the manifests in `DIR` (default: the kinds that are needed)")
	fl.StringVar(&f.appImage, "app-image", "", "`IMAGE` of meshprobe that the workloads run (default: made of this program)")
	fl.StringVar(&f.appBinary, "app-binary", "", "make that image of `FILE`, a meshprobe for Linux")
	fl.DurationVar(&f.timeout, "setup-timeout", kind.DefaultTimeout, "time for making the clusters")
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "write the contexts of kept clusters to `FILE` (default: what kubectl uses)")
	f.remember(fl, before)
}

// addRun adds what a run can be told beside it.
func (f *kindFlags) addRun(cmd *cobra.Command) {
	f.addSetUp(cmd)
	fl := cmd.Flags()
	before := flagNames(fl)
	fl.StringVar(&f.name, "name", "", "`NAME` of the mesh (default: a new one)")
	fl.StringVar(&f.reuse, "reuse", "", "work on the mesh `NAME` that clusters create or --keep left")
	fl.BoolVar(&f.keep, "keep", false, "leave the clusters running, to --reuse them")
	f.remember(fl, before)
}

func (f *kindFlags) remember(fl *pflag.FlagSet, before map[string]bool) {
	f.chosen = fl.Changed
	for name := range flagNames(fl) {
		if !before[name] {
			f.names = append(f.names, name)
		}
	}
}

func flagNames(fl *pflag.FlagSet) map[string]bool {
	names := map[string]bool{}
	fl.VisitAll(func(flag *pflag.Flag) { names[flag.Name] = true })
	return names
}

// only refuses these flags on another provider.
func (f *kindFlags) only(provider string) error {
	if provider == kind.Name || f.chosen == nil {
		return nil
	}
	for _, name := range f.names {
		if f.chosen(name) {
			return &usageError{msg: fmt.Sprintf("--%s is for clusters in Docker, the provider is %s", name, provider), hint: "add: --provider " + kind.Name}
		}
	}
	return nil
}

// provider is the one that the flags describe.
func (f *kindFlags) provider(t cluster.Topology) (*kind.Provider, error) {
	if err := f.contradiction(); err != nil {
		return nil, err
	}
	p := &kind.Provider{
		Mesh: f.name, Reuse: f.reuse, Keep: f.keep, Kubeconfig: f.kubeconfig,
		NodeImage: f.image, Configs: f.configs, LoadImages: f.load,
		Istioctl: f.istioctl, Values: f.values, Manifests: f.manifests, GatewayAPI: f.gatewayAPI,
		AppImage: f.appImage, AppBinary: f.appBinary, Timeout: f.timeout,
	}
	err := p.Check(t)
	if ke, ok := errors.AsType[*kind.Error](err); ok {
		return nil, &usageError{msg: strings.TrimPrefix(ke.Error(), "kind: "), hint: strings.Join(ke.Hint, "; ")}
	}
	return p, err
}

// contradiction refuses flags that exclude each other.
func (f *kindFlags) contradiction() error {
	switch {
	case f.timeout <= 0:
		return &usageError{msg: fmt.Sprintf("--setup-timeout %s: making clusters needs some time", f.timeout), hint: "for example: --setup-timeout 10m"}
	case f.appImage != "" && f.appBinary != "":
		return &usageError{msg: "--app-image and --app-binary contradict each other", hint: "give one of them"}
	case f.reuse != "" && (f.name != "" || f.keep):
		return &usageError{msg: "--reuse names a mesh that is there, and leaves it there", hint: "leave out --name and --keep"}
	}
	if f.reuse != "" {
		for _, name := range f.names {
			if name != "reuse" && f.chosen(name) {
				return &usageError{msg: "--" + name + " is for making clusters, --reuse makes none", hint: "leave out --" + name}
			}
		}
	}
	return nil
}

// reused is the topology of the mesh of --reuse.
func (f *kindFlags) reused(ctx context.Context) (cluster.Topology, error) {
	found, err := kind.Find(ctx, f.reuse)
	if err != nil {
		return cluster.Topology{}, err
	}
	return found.Topology, nil
}

// rootOfKept is the Secret, in the first cluster, that keeps the root of clusters
// which outlive a run: with a new root, the next one would federate them anew.
const rootOfKept = "meshprobe-root"

// keepRoot keeps the root in the clusters, where they stay and no flag says
// otherwise.
func (f *kindFlags) keepRoot(fed *federation, t cluster.Topology) {
	if f.chosen == nil || f.reuse == "" && !f.keep || fed.placed {
		return
	}
	fed.secret = cluster.Ref{Cluster: t.Clusters[0].Name, Namespace: "istio-system", Name: rootOfKept}
}

func toProgress(e cluster.Event) probe.Progress {
	return probe.Progress{Time: e.Time, Cluster: e.Cluster, Step: e.Step, Detail: e.Detail}
}
