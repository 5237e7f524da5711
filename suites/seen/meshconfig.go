// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"cmp"
	"context"

	"go.yaml.in/yaml/v3"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// DefaultTrustDomain is Istio's where the mesh configuration names none.
const DefaultTrustDomain = "cluster.local"

// MeshConfig is the part of istiod's mesh configuration that matters to trust:
// key mesh of its ConfigMap, istio where there are no revisions.
type MeshConfig struct {
	Found              bool     `json:"found"`
	Error              string   `json:"error,omitempty"` // why it cannot be read
	TrustDomain        string   `json:"trustDomain"`
	TrustDomainAliases []string `json:"trustDomainAliases,omitempty"`
	CACertificates     int      `json:"caCertificates,omitempty"` // entries of caCertificates: roots beside the mesh's own
}

// ReadMeshConfig reads the mesh configuration of a cluster's control plane.
func ReadMeshConfig(ctx context.Context, c cluster.Cluster) (MeshConfig, error) {
	k, err := Kube(c)
	if err != nil {
		return MeshConfig{}, err
	}
	in := cluster.ControlPlaneOf(c)
	cm, err := ConfigMap(ctx, k, in.Namespace(), in.Named("istio"))
	if cm == nil || err != nil {
		return MeshConfig{}, err
	}
	var mesh struct {
		TrustDomain        string   `yaml:"trustDomain"`
		TrustDomainAliases []string `yaml:"trustDomainAliases"`
		CACertificates     []any    `yaml:"caCertificates"`
	}
	if err := yaml.Unmarshal([]byte(cm.Data["mesh"]), &mesh); err != nil {
		return MeshConfig{Found: true, Error: err.Error()}, nil //nolint:nilerr // that it cannot be read is what was observed
	}
	return MeshConfig{
		Found: true, TrustDomain: cmp.Or(mesh.TrustDomain, DefaultTrustDomain), TrustDomainAliases: mesh.TrustDomainAliases,
		CACertificates: len(mesh.CACertificates),
	}, nil
}

// Trust is the trust domain, then its aliases.
func (m MeshConfig) Trust() []string { return append([]string{m.TrustDomain}, m.TrustDomainAliases...) }
