// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/seen"
)

const networkLabel = "topology.istio.io/network"

// network is what a cluster's objects say about its network.
type network struct {
	Cluster  string           `json:"cluster"`
	Wanted   string           `json:"wanted"`  // by the topology
	Alone    bool             `json:"alone"`   // every cluster is in the same network
	Label    string           `json:"label"`   // of the root namespace
	Sidecar  bool             `json:"sidecar"` // an edge of this data plane leads into it from another network
	Ambient  bool             `json:"ambient"`
	Gateways []gatewayService `json:"gateways"`

	ControlPlane cluster.ControlPlane `json:"controlPlane,omitzero"`
}

// gatewayService is a Service that bears the network label.
type gatewayService struct {
	Name      string   `json:"name"`
	Network   string   `json:"network"`
	Addresses []string `json:"addresses"`
	Ports     []string `json:"ports"`
}

// networks observes the network of each cluster.
func networks() probe.Observation[probe.ClusterSubject, network] {
	return probe.Observation[probe.ClusterSubject, network]{Name: "network", Over: probe.Clusters, Observe: observeNetwork}
}

func observeNetwork(ctx context.Context, env *probe.Env, c probe.ClusterSubject) (network, error) {
	o := network{Cluster: c.Name(), Wanted: c.Network(), Alone: true, ControlPlane: cluster.ControlPlaneOf(c.Cluster)}
	for _, other := range env.Set.Clusters {
		o.Alone = o.Alone && other.Network() == c.Network()
	}
	for e := range env.Set.Edges() {
		from, ok := env.Set.Cluster(e.From.Cluster)
		if !ok || e.To.Cluster != c.Name() || from.Network() == c.Network() {
			continue
		}
		o.Sidecar = o.Sidecar || e.DataPlane == cluster.Sidecar
		o.Ambient = o.Ambient || e.DataPlane == cluster.Ambient
	}
	k, err := seen.Kube(c.Cluster)
	if err != nil {
		return o, err
	}
	ns, err := k.CoreV1().Namespaces().Get(ctx, o.ControlPlane.Namespace(), metav1.GetOptions{})
	if err != nil {
		return o, seen.APIError(err, "get", "namespaces")
	}
	o.Label = ns.Labels[networkLabel]
	o.Gateways, err = gatewayServices(ctx, k)
	return o, err
}

// gatewayServices are the Services that bear the network label, of whatever
// namespace: istiod looks for them in all (istio
// pilot/pkg/serviceregistry/kube/controller/network.go, extractGatewaysFromService).
func gatewayServices(ctx context.Context, k kubernetes.Interface) ([]gatewayService, error) {
	services, err := k.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: networkLabel})
	if err != nil {
		return nil, seen.APIError(err, "list", "services")
	}
	var out []gatewayService
	for _, s := range services.Items {
		out = append(out, describe(s))
	}
	return out, nil
}

func describe(s corev1.Service) gatewayService {
	g := gatewayService{Name: s.Name, Network: s.Labels[networkLabel], Addresses: slices.Clone(s.Spec.ExternalIPs)}
	for _, in := range s.Status.LoadBalancer.Ingress {
		if in.IP != "" {
			g.Addresses = append(g.Addresses, in.IP)
		}
		if in.Hostname != "" {
			g.Addresses = append(g.Addresses, in.Hostname)
		}
	}
	for _, p := range s.Spec.Ports {
		g.Ports = append(g.Ports, strconv.Itoa(int(p.Port)))
	}
	return g
}
