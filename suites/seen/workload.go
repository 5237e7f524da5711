// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Workload is the identity that a workload presents, beside what it should be.
type Workload struct {
	At        time.Time        `json:"at"`
	Workload  cluster.Workload `json:"workload"`
	Trust     []string         `json:"trust"`     // trust domain of its cluster, then aliases
	Roots     Certs            `json:"roots"`     // istio-ca-root-cert of its namespace
	Signer    Certs            `json:"signer"`    // certificate that the cluster's CA should sign with; empty where unknown
	Handshake Handshake        `json:"handshake"` // with a client of the mesh
	Control   string           `json:"control,omitempty"`
}

// Presented observes the certificate that each workload of the mesh presents to
// whoever calls it: all that serve a port, and all that take HBONE.
func Presented() probe.Observation[cluster.Workload, Workload] {
	return probe.Observation[cluster.Workload, Workload]{
		Name: "workload",
		Over: probe.Workloads(func(w cluster.Workload) bool {
			return w.DataPlane != cluster.NoMesh && (w.Service != nil || w.TakesHBONE()) && w.MTLS != cluster.Disable
		}),
		Observe: observePresented,
	}
}

func observePresented(ctx context.Context, env *probe.Env, w cluster.Workload) (Workload, error) {
	o := Workload{At: env.Now(), Workload: w}
	c, ok := env.Set.Cluster(w.Cluster)
	if !ok {
		return o, fmt.Errorf("no cluster %s", w.Cluster)
	}
	o.Trust = TrustDomains(c)
	var err error
	if o.Roots, err = Bundle(ctx, c, w.Namespace); err != nil {
		return o, err
	}
	if o.Signer, err = signer(ctx, c); err != nil {
		return o, err
	}
	source := neighbour(env, w)
	id, err := Identity(ctx, c, source)
	if err != nil {
		return o, err
	}
	look, cancel := Short(ctx)
	defer cancel()
	if err := o.look(look, env, c, source, id); err != nil {
		return o, err
	}
	switch {
	case o.Handshake.Outcome == Unreachable:
		o.Control = Control(ctx, c, source)
	case o.Handshake.Outcome.cutOff() && len(o.Handshake.Chain) == 0:
		return o, alive(ctx, c, source)
	}
	return o, nil
}

// look shakes hands with the workload: HBONE where that is its data plane, or
// where it takes it and its own port is out of reach; else sidecar mTLS.
func (o *Workload) look(ctx context.Context, env *probe.Env, c cluster.Cluster, source cluster.Workload, id *cluster.Identity) error {
	w := o.Workload
	app := ""
	if w.Service != nil {
		app = netip.AddrPortFrom(w.Address, w.Service.PodPort()).String()
	}
	if w.DataPlane == cluster.Ambient || w.HBONE && (app == "" || reach(ctx, c, source, app) != nil) {
		addr := netip.AddrPortFrom(w.Address, cluster.PortHBONE).String()
		if err := reach(ctx, c, source, addr); err != nil {
			return err
		}
		o.Handshake = hboneHandshake(ctx, env, id, addr, DialFrom(c, source, addr))
		return nil
	}
	way, err := wayInto(ctx, c, source, w)
	if err != nil {
		return err
	}
	o.Handshake = Try(ctx, env, DialFrom(c, source, way.Address), Hello{
		Address: way.Address, SNI: way.SNI, ALPN: cluster.SidecarALPN(), Identity: id,
	})
	if way.Gateway && len(o.Handshake.Chain) == 0 {
		return reach(ctx, c, source, app)
	}
	return nil
}

// signer reads the certificate of the cluster's CA from its Secrets.
func signer(ctx context.Context, c cluster.Cluster) (Certs, error) {
	k, err := Kube(c)
	if err != nil {
		return nil, nil //nolint:nilerr // without an API it is unknown, which is an answer
	}
	for _, name := range []string{PluginSecret, SelfSignedSecret} {
		s, err := Secret(ctx, k, cluster.ControlPlaneOf(c).Namespace(), name)
		if err != nil {
			return nil, err
		}
		if s != nil {
			certs := FromPEM(s.Data["ca-cert.pem"])
			return certs[:min(1, len(certs))], nil
		}
	}
	return nil, nil
}
