// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// Options say how clusters are federated. Only Issuer is required, and only by
// [NewPlan], [Apply] and [Status].
type Options struct {
	// Issuer is where root and intermediates come from.
	Issuer issuer.Issuer

	// Mesh is the name of what is federated, which every object that is written
	// bears as a label; default mesh.
	Mesh string

	// Namespace of the control planes; default istio-system.
	Namespace string

	// Namespaces are those of the control planes of single clusters, by cluster,
	// where they are not in Namespace.
	Namespaces map[string]string

	// Servers are where the other clusters' control planes reach the API of a
	// cluster, by cluster: an https URL. Default is the address that the
	// provider itself uses.
	Servers map[string]string

	// GatewayAddresses are where other networks reach the east-west gateways of a
	// cluster, by cluster, for clusters without a load balancer: gateways that
	// Apply makes are given it.
	GatewayAddresses map[string]string

	// Revisions are those of the control planes, by cluster, where a gateway
	// that Apply makes has to name one.
	Revisions map[string]string

	// Agents open a stream to the agent ([AgentCA]) in a cluster, by cluster: its
	// CA key is then made and kept there. Elsewhere this process makes the key
	// in memory and writes it straight to the cluster's Secret.
	Agents map[string]func(context.Context) (net.Conn, error)

	// Parallel bounds the clusters worked at once; default 8.
	Parallel int

	// StepTimeout bounds each wait for a control plane or a rollout; default 5
	// minutes.
	StepTimeout time.Duration

	// RequestTimeout bounds each request to an API, which is tried again after
	// it; default 30 seconds.
	RequestTimeout time.Duration

	// Overlap moves a cluster that has another root without a call that fails for
	// want of trust: everybody trusts both roots before the first certificate of
	// the new one is signed, and the former ones are trusted until the handshakes
	// of Verify hold. That takes two restarts of everything more. Where the CA in
	// force is not known to be istiod's, there is no overlap.
	Overlap bool

	// KeepFormer leaves the former roots of an Overlap trusted until [Drop].
	KeepFormer bool

	// ServiceEntries adds a ServiceEntry SVC.NS.CLUSTER for each edge to
	// another cluster's sidecar service, as Gloo Mesh does.
	ServiceEntries bool

	// NoVerify ends Apply before the handshakes, for callers that prove the
	// same themselves.
	NoVerify bool

	// Handshake proves one edge; nil opens a real handshake from the source's
	// side, for which the clusters must be a Resolver and Identities.
	Handshake func(ctx context.Context, e cluster.Edge) error

	// VerifyTimeout bounds how long a direction may take to converge; default
	// 1 minute.
	VerifyTimeout time.Duration

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (o Options) complete() Options {
	o.Mesh = cmp.Or(o.Mesh, "mesh")
	o.Namespace = cmp.Or(o.Namespace, "istio-system")
	o.Parallel = cmp.Or(o.Parallel, 8)
	o.StepTimeout = cmp.Or(o.StepTimeout, 5*time.Minute)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 30*time.Second)
	o.VerifyTimeout = cmp.Or(o.VerifyTimeout, time.Minute)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// ErrNoKube says that a provider gives no access to the Kubernetes API.
var ErrNoKube = errors.New("the provider gives no access to the Kubernetes API")

// ErrNoIssuer says that Options.Issuer is missing.
var ErrNoIssuer = errors.New("there is no issuer")

// open looks a set of clusters up for federation.
func open(set *cluster.Set, o Options) (*federation, error) {
	f := &federation{set: set, opts: o.complete()}
	if len(set.Clusters) < 2 {
		return nil, &Error{Err: fmt.Errorf("%d clusters; trust across clusters needs at least 2", len(set.Clusters))}
	}
	for _, c := range set.Clusters {
		k, ok := cluster.As[cluster.Kube](c)
		if !ok {
			return nil, &Error{Cluster: c.Name(), Err: ErrNoKube}
		}
		m := &member{f: f, cluster: c, name: c.Name(), ns: cmp.Or(f.opts.Namespaces[c.Name()], f.opts.Namespace), dyn: k.Dynamic(), api: k.APIServer(), revision: f.opts.Revisions[c.Name()]}
		m.api.URL = cmp.Or(f.opts.Servers[m.name], m.api.URL)
		f.members = append(f.members, m)
	}
	return f, nil
}
