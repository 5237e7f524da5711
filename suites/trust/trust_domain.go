// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// TrustDomain checks that the trust domain that was asked for, the one that is
// configured and the one that certificates carry are one.
var TrustDomain = probe.Define(probe.Meta{
	ID:      "trust/trust-domain",
	Title:   "the trust domain is the one asked for, in configuration and certificates",
	About:   "meshConfig.trustDomain (ConfigMap istio of istiod's namespace) is the trust domain that the topology gives the cluster, and a certificate issued just now carries it. istiod reads it at start only.",
	Clause:  spec.IstioIdentityPath,
	Causes:  []probe.Cause{causeMeshConfig, causeNoAlias, causeAmbientDomain, causeOtherTrustDomain, causeNotApplied},
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap"},
	Applies: "clusters",
}, probe.Clusters, observeTrustDomain, judgeTrustDomain)

// restoreTrustDomain changes one line of the mesh configuration.
const restoreTrustDomain = "kubectl --context {{.Cluster}} -n istio-system get configmap istio -o yaml | sed 's/trustDomain: .*/trustDomain: {{.TrustDomain}}/' | kubectl --context {{.Cluster}} apply -f -"

var (
	causeMeshConfig = probe.Cause{
		Code: "mesh-config-unreadable", Title: "the mesh configuration is not valid YAML: istiod goes on with what it had, or with defaults",
		Try: []string{"kubectl --context {{.Cluster}} -n istio-system get configmap istio -o jsonpath='{.data.mesh}'"},
	}
	causeNoAlias = probe.Cause{
		Code: verifier.CauseTrustDomainSidecar, Title: "the cluster has another trust domain than it is meant to have, and other clusters do not admit it",
		Try: append([]string{
			restoreTrustDomain,
		}, cause.RestartMesh()...),
	}
	causeAmbientDomain = probe.Cause{
		Code: verifier.CauseTrustDomainAmbient, Title: "the cluster has another trust domain than it is meant to have; aliases admit it to sidecars, never to ztunnels",
		Try: append([]string{
			restoreTrustDomain,
		}, cause.RestartMesh()...),
	}
	causeOtherTrustDomain = probe.Cause{
		Code: "trust-domain-differs", Title: "the cluster is configured with another trust domain than it is meant to have",
		Try: []string{
			"set meshConfig.trustDomain in {{.Cluster}}, or name the trust domain that it has in the topology file",
			"kubectl --context {{.Cluster}} -n istio-system get configmap istio -o jsonpath='{.data.mesh}'",
		},
	}
	causeNotApplied = probe.Cause{
		Code: "trust-domain-not-applied", Title: "istiod still issues certificates with the trust domain that it had before",
		Try: []string{"kubectl --context {{.Cluster}} -n istio-system rollout restart deployment/istiod    # then the workloads"},
	}
)

// trustDomainSeen is a cluster's trust domain from three sides.
type trustDomainSeen struct {
	At      time.Time       `json:"at"`
	Cluster string          `json:"cluster"`
	Want    string          `json:"want"` // of the topology
	Config  seen.MeshConfig `json:"config"`
	Issued  []string        `json:"issued"` // URI SANs of a certificate issued just now

	// Where the configuration names another trust domain than was asked for:
	Others  []clusterTrust `json:"others,omitempty"`  // whom the other clusters admit
	Ambient bool           `json:"ambient,omitempty"` // a ztunnel serves workloads of the cluster
}

func observeTrustDomain(ctx context.Context, env *probe.Env, c probe.ClusterSubject) (trustDomainSeen, error) {
	o := trustDomainSeen{At: env.Now(), Cluster: c.Name(), Want: asked(env, c.Cluster)}
	var err error
	if o.Config, err = seen.ReadMeshConfig(ctx, c.Cluster); err != nil {
		return o, err
	}
	if o.Config.TrustDomain != o.Want {
		if err := o.compare(ctx, env); err != nil {
			return o, err
		}
	}
	i := slices.IndexFunc(env.Workloads, func(w cluster.Workload) bool { return w.Cluster == c.Name() && w.DataPlane != cluster.NoMesh })
	if i < 0 {
		return o, nil
	}
	id, err := seen.Identity(ctx, c.Cluster, env.Workloads[i])
	if err != nil {
		return o, err
	}
	if len(id.Certificates) > 0 {
		for _, u := range id.Certificates[0].URIs {
			o.Issued = append(o.Issued, u.String())
		}
	}
	return o, nil
}

// asked is the trust domain that the topology gives a cluster: the cluster
// itself may only know what it is configured with.
func asked(env *probe.Env, c cluster.Cluster) string {
	for _, spec := range env.Set.Topology.Clusters {
		if spec.Name == c.Name() && spec.TrustDomain != "" {
			return spec.TrustDomain
		}
	}
	return c.TrustDomain()
}

// compare looks at whom the other clusters admit.
func (o *trustDomainSeen) compare(ctx context.Context, env *probe.Env) error {
	for _, other := range env.Set.Clusters {
		if other.Name() == o.Cluster {
			continue
		}
		t, err := trustOf(ctx, other)
		if err != nil {
			return err
		}
		o.Others = append(o.Others, t)
	}
	o.Ambient = slices.ContainsFunc(env.Workloads, func(w cluster.Workload) bool {
		return w.Cluster == o.Cluster && w.DataPlane == cluster.Ambient
	})
	return nil
}

// differs is what is wrong with another trust domain than was asked for: whom
// it shuts out, if anybody.
func (o trustDomainSeen) differs(config probe.Evidence) probe.Finding {
	var evidence []probe.Evidence
	stranger, foreign := false, false
	for _, other := range o.Others {
		evidence = append(evidence, probe.WantGot("trust domains that "+other.Cluster+" admits", o.Config.TrustDomain+", of "+o.Cluster, strings.Join(other.Trust, ", ")).As(probe.KindObject))
		stranger = stranger || !slices.Contains(other.Trust, o.Config.TrustDomain)
		foreign = foreign || len(other.Trust) > 0 && other.Trust[0] != o.Config.TrustDomain
	}
	why := causeOtherTrustDomain
	switch {
	case stranger:
		why = causeNoAlias
	case foreign && o.Ambient:
		why = causeAmbientDomain
		evidence = append(evidence, probe.Text("ambient workloads of "+o.Cluster, "ztunnel expects its own trust domain of every peer, whatever the aliases say"))
	}
	return probe.Failing(why, config, evidence...).With("TrustDomain", o.Want)
}

func judgeTrustDomain(o trustDomainSeen) []probe.Finding {
	config := probe.WantGot("meshConfig.trustDomain of "+o.Cluster, o.Want, o.Config.TrustDomain).As(probe.KindObject)
	switch {
	case !o.Config.Found:
		return []probe.Finding{probe.Skipping("istiod has no ConfigMap with a mesh configuration")}
	case o.Config.Error != "":
		return []probe.Finding{probe.Failing(causeMeshConfig,
			probe.WantGot("key mesh of ConfigMap istio in "+o.Cluster, "YAML", o.Config.Error).As(probe.KindObject))}
	case o.Config.TrustDomain != o.Want:
		return []probe.Finding{o.differs(config)}
	}
	for _, id := range o.Issued {
		if rest, ok := strings.CutPrefix(id, "spiffe://"); !ok || !strings.HasPrefix(rest, o.Want+"/") {
			return []probe.Finding{probe.Failing(causeNotApplied,
				probe.WantGot("identity that istiod of "+o.Cluster+" issues", "spiffe://"+o.Want+"/…", id), config)}
		}
	}
	return []probe.Finding{probe.Passing(config, probe.Text("identity issued", o.Issued...))}
}
