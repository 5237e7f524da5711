// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/vnet"
)

// Dial implements cluster.Cluster: the cluster's DNS, then its service
// addresses, then the network. What a data plane would capture is not
// captured: the stream is the workload's own TCP.
func (in *instance) Dial(ctx context.Context, from cluster.Workload, addr string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.AddrError{Err: "invalid port", Addr: addr}}
	}
	if err := ctx.Err(); err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	r := in.local()
	ip, err := netip.ParseAddr(host)
	service := r.byAddress[ip]
	if err != nil {
		if service = r.lookup(host, from.Namespace); service == nil {
			return nil, vnet.NoSuchHost(host)
		}
	}
	if service != nil && !slices.Contains(service.external, ip) {
		to, ok := in.pick(service.targets(uint16(port)))
		if !ok {
			return nil, vnet.Refused(netip.AddrPortFrom(service.vip, uint16(port)))
		}
		return in.net.Dial(ctx, in.spec.Network, to)
	}
	return in.net.Dial(ctx, in.spec.Network, netip.AddrPortFrom(ip, uint16(port)))
}

// lookup is the cluster's DNS with the search path of a pod.
func (r *registry) lookup(host, namespace string) *serviceView {
	return r.services[qualify(host, namespace)]
}

// qualify completes a service's name: short, NAME.NS, .svc or in full.
func qualify(host, namespace string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	name := strings.TrimSuffix(strings.TrimSuffix(host, ".cluster.local"), ".svc")
	switch strings.Count(name, ".") {
	case 0:
		return name + "." + cmp.Or(namespace, "default") + ".svc.cluster.local"
	case 1:
		return name + ".svc.cluster.local"
	}
	return host
}

func (in *instance) pick(targets []netip.AddrPort) (netip.AddrPort, bool) {
	if len(targets) == 0 {
		return netip.AddrPort{}, false
	}
	return targets[in.turn.Add(1)%uint64(len(targets))], true
}
