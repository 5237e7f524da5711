// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// controlTime bounds the dials that find out whether an address is in reach at
// all.
const controlTime = 2 * time.Second

// route is how an address is met: in a pod, at a gateway, or not at all.
type route struct {
	pod  *corev1.Pod
	port uint16
	at   string // to be dialed directly, where pod is nil
	err  error
}

// Dial implements cluster.Cluster. A pod, a service and a name of the cluster
// are met by port-forward (through the agent where there is one, directly where
// Config.Inside); what a Service or Gateway of any of the joined clusters names
// as an outside address is dialed through the agent, else directly. Everything else is an *cluster.OutOfReachError and is not dialed.
func (c *Cluster) Dial(ctx context.Context, from cluster.Workload, addr string) (net.Conn, error) {
	r := c.route(ctx, from, addr)
	switch {
	case r.err != nil:
		return nil, r.err
	case r.pod != nil && !c.standsBy(r.pod):
		return c.forwards.dial(ctx, r.pod, r.port)
	case r.pod != nil:
		return c.direct(ctx, net.JoinHostPort(r.pod.Status.PodIP, strconv.Itoa(int(r.port))))
	}
	conn, err := c.direct(ctx, r.at)
	if err != nil && !c.inside() && silent(err) && !c.answersAtAll(ctx, r.at) {
		return nil, c.notInside(addr, "nothing at that address answers from where meshprobe runs, on any port of the gateway")
	}
	return conn, err
}

// silent says that a dial failed without any sign of the other side.
func silent(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout() || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// answersAtAll dials the other ports that a gateway of this address has, and
// the API servers that live there: a port that is filtered does not make the
// address unreachable.
func (c *Cluster) answersAtAll(ctx context.Context, at string) bool {
	// The caller's own time is over by now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), controlTime)
	defer cancel()
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return false
	}
	answers := make(chan bool)
	others := c.otherPorts(ctx, host, port)
	for _, other := range others {
		go func() {
			conn, err := c.direct(ctx, net.JoinHostPort(host, other))
			if err == nil {
				_ = conn.Close()
			}
			answers <- err == nil || errors.Is(err, syscall.ECONNREFUSED)
		}()
	}
	found := false
	for range others {
		if <-answers {
			found = true
			cancel() // one is enough
		}
	}
	return found
}

// otherPorts are the ports that an outside address is known to have.
func (c *Cluster) otherPorts(ctx context.Context, host, port string) []string {
	var out []string
	for _, peer := range c.joined() {
		if u := strings.TrimPrefix(peer.api.URL, "https://"); strings.HasPrefix(u, host+":") {
			out = append(out, strings.TrimPrefix(u, host+":"))
		}
		inv, err := peer.inventory.get(ctx)
		if err != nil {
			continue
		}
		for _, p := range inv.outside[host] {
			if text := strconv.Itoa(int(p)); text != port {
				out = append(out, text)
			}
		}
	}
	return out[:min(len(out), 8)]
}

// route finds out what an address means to a workload.
func (c *Cluster) route(ctx context.Context, from cluster.Workload, addr string) route {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return failed(err)
	}
	number, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return failed(&net.AddrError{Err: "invalid port", Addr: addr})
	}
	if err := ctx.Err(); err != nil {
		return failed(err)
	}
	inv, err := c.inventory.get(ctx)
	if err != nil {
		return route{err: err}
	}
	port := uint16(number)
	switch {
	case c.elsewhere(ctx, inv, addr, host):
		return route{err: &net.OpError{Op: "dial", Net: "tcp", Err: noRoute{addr}}}
	case inv.byAddress[host] != nil:
		return c.intoPod(inv.byAddress[host], port, addr)
	case inv.byVIP[host] != nil:
		return c.intoService(inv, inv.byVIP[host], port, addr)
	case net.ParseIP(host) == nil && clusterName(host):
		s := inv.services[serviceKey(host, from.Namespace)]
		if s == nil {
			if err := inv.need("services"); err != nil {
				return route{err: err}
			}
			return failed(&net.DNSError{Err: "no such host", Name: host, IsNotFound: true})
		}
		return c.intoService(inv, s, port, addr)
	case c.outside(ctx, host):
		return route{at: addr}
	}
	return route{err: &cluster.OutOfReachError{Addr: addr, Why: "it is neither of this cluster nor an outside address of a gateway"}}
}

func failed(err error) route { return route{err: &net.OpError{Op: "dial", Net: "tcp", Err: err}} }

// noRoute is the timeout that a workload would run into. It is not waited for:
// the address is a pod's of another network, and is dialed from nowhere.
type noRoute struct{ addr string }

func (n noRoute) Error() string { return n.addr + " is a pod of another network: no route" }
func (noRoute) Timeout() bool   { return true }
func (noRoute) Temporary() bool { return false }

// elsewhere says that the address is a pod's of another cluster, as far as this
// cluster's control plane or the others' objects say. Ranges of clusters may
// overlap; what the control plane said decides.
func (c *Cluster) elsewhere(ctx context.Context, inv *inventory, addr, host string) bool {
	if c.handedOut.foreign(addr) {
		return true
	}
	if inv.byAddress[host] != nil || inv.byVIP[host] != nil {
		return false
	}
	for _, peer := range c.joined() {
		if peer == c || peer.Network() == c.Network() {
			continue
		}
		if other, err := peer.inventory.get(ctx); err == nil && other.byAddress[host] != nil {
			return true
		}
	}
	return false
}

// intoPod is a stream into a pod, where one can be had that means something.
func (c *Cluster) intoPod(p *corev1.Pod, port uint16, addr string) route {
	r := route{pod: p, port: port}
	if c.standsBy(p) {
		return r
	}
	captured := hasSidecar(p) || p.Annotations[redirection] == "enabled"
	if captured && !ownPort(port) {
		r.err = c.notInside(addr, "a port-forward enters the pod behind its proxy, so it would meet the application and prove nothing")
	}
	return r
}

// ownPort says that a port is the proxy's own, which capture leaves alone.
func ownPort(port uint16) bool {
	switch port {
	case cluster.PortHBONE, 15000, 15004, 15020, 15021, 15090:
		return true
	}
	return false
}

// intoService picks a ready pod behind a service.
func (c *Cluster) intoService(inv *inventory, s *corev1.Service, port uint16, addr string) route {
	var name string
	known := false
	for _, p := range s.Spec.Ports {
		if overTCP(p) && p.Port == int32(port) {
			name, known = p.Name, true
		}
	}
	if !known {
		return failed(syscall.ECONNREFUSED)
	}
	if err := inv.need("endpointslices", "pods"); err != nil {
		return route{err: err}
	}
	for _, slice := range inv.slices[s.Namespace+"/"+s.Name] {
		target, ok := slicePort(slice, name)
		if !ok {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready || len(e.Addresses) == 0 {
				continue
			}
			if p := inv.podOf(e); p != nil {
				return c.intoPod(p, target, addr)
			}
		}
	}
	return failed(syscall.ECONNREFUSED) // as kube-proxy answers for a service without endpoints
}

func (inv *inventory) podOf(e discoveryv1.Endpoint) *corev1.Pod {
	if e.TargetRef == nil || e.TargetRef.Kind != "Pod" {
		return inv.byAddress[e.Addresses[0]]
	}
	return inv.byName[e.TargetRef.Namespace+"/"+e.TargetRef.Name]
}

func slicePort(s discoveryv1.EndpointSlice, name string) (uint16, bool) {
	for _, p := range s.Ports {
		if p.Port != nil && (p.Name == nil && name == "" || p.Name != nil && *p.Name == name) {
			return uint16(*p.Port), true //nolint:gosec // the API bounds ports
		}
	}
	return 0, false
}

// clusterName says that a host is a name of the cluster's DNS: NAME, NAME.NS,
// NAME.NS.svc or in full.
func clusterName(host string) bool {
	host = strings.TrimSuffix(host, ".")
	return strings.Count(host, ".") < 2 || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".svc.cluster.local")
}

// serviceKey is namespace/name of the service that a name means to a pod of a
// namespace.
func serviceKey(host, namespace string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	host = strings.TrimSuffix(strings.TrimSuffix(host, ".cluster.local"), ".svc")
	name, ns, ok := strings.Cut(host, ".")
	if !ok {
		ns = namespace
	}
	if ns == "" {
		ns = corev1.NamespaceDefault
	}
	return ns + "/" + name
}

// outside says that one of the joined clusters, or this one's control plane,
// names the host as the address of a gateway.
func (c *Cluster) outside(ctx context.Context, host string) bool {
	if c.handedOut.gateway(host) {
		return true
	}
	for _, peer := range c.joined() {
		if inv, err := peer.inventory.get(ctx); err == nil && len(inv.outside[host]) > 0 {
			return true
		}
	}
	return false
}

// Reach implements cluster.Vantage.
func (c *Cluster) Reach(ctx context.Context, from cluster.Workload, addr string) error {
	r := c.route(ctx, from, addr)
	if far, ok := errors.AsType[*cluster.OutOfReachError](r.err); ok {
		return far
	}
	return nil
}
