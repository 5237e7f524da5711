// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// RootConfigMap checks that the CA's root reached every namespace: it is what
// workloads verify istiod with, and what they are handed as trust anchor.
var RootConfigMap = probe.Define(probe.Meta{
	ID:      "trust/root-configmap",
	Title:   "every namespace holds the root of the cluster's CA",
	About:   "ConfigMap istio-ca-root-cert of every namespace holds exactly the certificates of root-cert.pem of the CA. Left out are the namespaces that istiod leaves out: kube-public, kube-node-lease, local-path-storage.",
	Clause:  spec.IstioRootDistribution,
	Causes:  []probe.Cause{causeStaleConfigMap},
	After:   []string{"ca/istiod-serves-cacerts"},
	Applies: "clusters",
}, probe.Clusters, observeRootConfigMaps, judgeRootConfigMaps)

var causeStaleConfigMap = probe.Cause{
	Code: "root-configmap-stale", Title: "istio-ca-root-cert is missing or holds another root in some namespaces",
	Try: []string{
		"kubectl --context {{.Cluster}} -n {{.Namespace}} delete configmap istio-ca-root-cert    # istiod writes it again",
		"kubectl --context {{.Cluster}} -n istio-system logs deployment/istiod | grep -i 'istio-ca-root-cert\\|namespace controller'",
		"kubectl --context {{.Cluster}} -n {{.Namespace}} get configmap istio-ca-root-cert --show-managed-fields -o yaml    # who else writes it?",
	},
}

// rootsDistributed is what the namespaces of a cluster trust, those with equal
// content together.
type rootsDistributed struct {
	At      time.Time    `json:"at"`
	Cluster string       `json:"cluster"`
	Want    seen.Certs   `json:"want"` // root-cert.pem of the CA, empty where unknown
	Bundles []bundleSeen `json:"bundles"`
}

type bundleSeen struct {
	Missing    bool       `json:"missing,omitempty"` // there is no such ConfigMap
	Roots      seen.Certs `json:"roots"`
	Namespaces []string   `json:"namespaces"`
}

func observeRootConfigMaps(ctx context.Context, env *probe.Env, c probe.ClusterSubject) (rootsDistributed, error) {
	o := rootsDistributed{At: env.Now(), Cluster: c.Name()}
	k, err := seen.Kube(c.Cluster)
	if err != nil {
		return o, err
	}
	if o.Want, err = seen.CARoots(ctx, c.Cluster); err != nil {
		return o, err
	}
	namespaces, err := k.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return o, seen.APIError(err, "list", "namespaces")
	}
	maps, err := k.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + seen.RootConfigMap})
	if err != nil {
		return o, seen.APIError(err, "list", "configmaps")
	}
	content := map[string]string{}
	for _, cm := range maps.Items {
		content[cm.Namespace] = cm.Data[seen.RootKey]
	}
	index := map[string]int{}
	for _, ns := range namespaces.Items {
		if leftOut(ns) {
			continue
		}
		text, found := content[ns.Name]
		key := fmt.Sprint(found, text)
		i, known := index[key]
		if !known {
			i = len(o.Bundles)
			index[key] = i
			o.Bundles = append(o.Bundles, bundleSeen{Missing: !found, Roots: seen.FromPEM([]byte(text))})
		}
		o.Bundles[i].Namespaces = append(o.Bundles[i].Namespaces, ns.Name)
	}
	return o, nil
}

// leftOut names the namespaces that istiod does not write to
// (istio pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go,
// inject.IgnoredNamespaces without kube-system), and those on their way out.
func leftOut(ns corev1.Namespace) bool {
	switch ns.Name {
	case "kube-public", "kube-node-lease", "local-path-storage":
		return true
	}
	return ns.Status.Phase == corev1.NamespaceTerminating
}

func judgeRootConfigMaps(o rootsDistributed) []probe.Finding {
	if len(o.Want) == 0 {
		return []probe.Finding{probe.Skipping("the root of the cluster's CA is not known: neither cacerts nor istio-ca-secret")}
	}
	var wrong []probe.Evidence
	first, good := "", 0
	for _, b := range o.Bundles {
		got := b.Roots.Describe(o.At)
		switch {
		case b.Missing:
			got = "no such ConfigMap"
		case same(b.Roots, o.Want):
			good += len(b.Namespaces)
			continue
		}
		if first == "" && len(b.Namespaces) > 0 {
			first = b.Namespaces[0]
		}
		wrong = append(wrong, probe.WantGot("istio-ca-root-cert in "+strings.Join(b.Namespaces, ", ")+" of "+o.Cluster, o.Want.Describe(o.At), got).As(probe.KindBundle))
	}
	if len(wrong) > 0 {
		return []probe.Finding{probe.Failing(causeStaleConfigMap, wrong[0], wrong[1:]...).With("Namespace", first)}
	}
	return []probe.Finding{probe.Passing(probe.Text(fmt.Sprintf("root in %d namespaces of %s", good, o.Cluster), o.Want.Describe(o.At)))}
}

// same compares certificates, whatever their order and number.
func same(a, b seen.Certs) bool {
	return slices.Equal(distinct(a), distinct(b))
}

func distinct(certs seen.Certs) []string {
	var out []string
	for _, der := range certs {
		out = append(out, string(der))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
