// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Advertised says where other clusters reach the API of c: at the address that
// its provider uses, or, where that is this machine's own (a port-forward, a
// published port of a container), at the address that the API server itself
// advertises in the endpoints of default/kubernetes. "" is neither.
func Advertised(ctx context.Context, c cluster.Cluster) (string, error) {
	k, ok := cluster.As[cluster.Kube](c)
	if !ok {
		return "", &Error{Cluster: c.Name(), Err: ErrNoKube}
	}
	at := k.APIServer().URL
	if u, err := url.Parse(at); err != nil || !local(u.Hostname()) {
		return at, nil //nolint:nilerr // whoever writes it says what is wrong with it
	}
	slices, err := k.Kubernetes().DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=kubernetes"})
	if err != nil {
		return "", &Error{Cluster: c.Name(), Err: fmt.Errorf("where the API is: %w", err)}
	}
	for _, s := range slices.Items {
		for _, e := range s.Endpoints {
			if len(e.Addresses) > 0 && !local(e.Addresses[0]) && len(s.Ports) > 0 && s.Ports[0].Port != nil {
				return "https://" + net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*s.Ports[0].Port))), nil
			}
		}
	}
	return "", nil
}

// local says that a host is the machine that asks.
func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}
