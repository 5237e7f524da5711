// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

const (
	// monitoringPort is where istiod answers debug questions; from loopback, as
	// a port-forward comes in, without authentication.
	monitoringPort = 15014

	// maxDebug bounds what istiod may say of a large mesh.
	maxDebug = 64 << 20
)

// debug asks istiod one of its debug questions, path such as
// "/debug/ambientz".
func (c *Cluster) debug(ctx context.Context, path string, into any) error {
	inv, err := c.inventory.get(ctx)
	if err != nil {
		return err
	}
	for _, p := range inv.pods {
		if p.Namespace != c.facts.RootNamespace || p.Labels["app"] != "istiod" || revisionOf(*p) != c.facts.Revision || !ready(p) {
			continue
		}
		raw, err := c.get(ctx, p, monitoringPort, path, maxDebug)
		if err != nil {
			return fmt.Errorf("live: %s of istiod in %s: %w", path, c.Name(), err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return fmt.Errorf("live: %s of istiod in %s: %w", path, c.Name(), err)
		}
		return nil
	}
	return errNotTold
}

// ambientView is what istiod tells ztunnels (workloadapi of istio,
// /debug/ambientz).
type ambientView struct {
	Workloads []ambientWorkload `json:"workloads"`
	Services  []ambientService  `json:"services"`
}

// address is an address as protobuf's JSON gives it: its bytes, or, since istiod
// dumps its own form of a workload, its text.
type address netip.Addr

// UnmarshalJSON reads either in base64.
func (a *address) UnmarshalJSON(raw []byte) error {
	var b []byte
	if err := json.Unmarshal(raw, &b); err != nil {
		return err
	}
	ip, err := netip.ParseAddr(string(b))
	if err != nil {
		ip, _ = netip.AddrFromSlice(b) // the zero address where it is none
	}
	*a = address(ip)
	return nil
}

type ambientWorkload struct {
	UID            string          `json:"uid"`
	Namespace      string          `json:"namespace"`
	Network        string          `json:"network"`
	Hostname       string          `json:"hostname"`
	ClusterID      string          `json:"clusterId"`
	TrustDomain    string          `json:"trustDomain"`
	ServiceAccount string          `json:"serviceAccount"`
	Tunnel         string          `json:"tunnelProtocol"`
	Addresses      []address       `json:"addresses"`
	Gateway        *networkGateway `json:"networkGateway"`
	Services       map[string]struct {
		Ports []struct {
			Service uint16 `json:"servicePort"`
			Target  uint16 `json:"targetPort"`
		} `json:"ports"`
	} `json:"services"`
}

// networkAddress is an address in a network.
type networkAddress struct {
	Network string  `json:"network"`
	Address address `json:"address"`
}

type networkGateway struct {
	Address  *networkAddress `json:"address"`
	Hostname *struct {
		Namespace string `json:"namespace"`
		Hostname  string `json:"hostname"`
	} `json:"hostname"`
	Port uint16 `json:"hboneMtlsPort"`
}

type ambientService struct {
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	Hostname  string           `json:"hostname"`
	Names     []string         `json:"subjectAltNames"`
	Addresses []networkAddress `json:"addresses"`
	Waypoint  *networkGateway  `json:"waypoint"` // in the same form as a gateway
}

func (c *Cluster) ambientView(ctx context.Context) (*ambientView, error) {
	var v ambientView
	if err := c.debug(ctx, "/debug/ambientz", &v); err != nil {
		return nil, err
	}
	return &v, nil
}

func (v *ambientView) service(host string) *ambientService {
	i := slices.IndexFunc(v.Services, func(s ambientService) bool { return s.Hostname == host })
	if i < 0 {
		return nil
	}
	return &v.Services[i]
}

// serves says on which port a workload takes calls to a port of a service.
func (w ambientWorkload) serves(s *ambientService, port uint16) (target uint16, ok bool) {
	for _, p := range w.Services[s.Namespace+"/"+s.Hostname].Ports {
		if p.Service == port {
			return p.Target, true
		}
	}
	return 0, false
}

// address is where a ztunnel dials the gateway.
func (g *networkGateway) address() (string, bool) {
	port := strconv.Itoa(int(g.Port))
	if g.Port == 0 {
		port = strconv.Itoa(cluster.PortHBONE)
	}
	switch {
	case g.Address != nil && netip.Addr(g.Address.Address).IsValid():
		return net.JoinHostPort(netip.Addr(g.Address.Address).String(), port), true
	case g.Hostname != nil:
		return net.JoinHostPort(g.Hostname.Hostname, port), true
	}
	return "", false
}

// gatewayIdentities are what a ztunnel expects of the gateway: the identity of
// the workload that has its address (ztunnel src/proxy/outbound.rs).
func (v *ambientView) gatewayIdentities(g *networkGateway) []string {
	var out []string
	for _, w := range v.Workloads {
		if w.ServiceAccount == "" || !w.is(g) {
			continue
		}
		td := w.TrustDomain
		if td == "" {
			td = defaultTrustDomain // an empty field means Istio's default (workloadapi)
		}
		out = append(out, cluster.SPIFFEID(td, w.Namespace, w.ServiceAccount))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (w ambientWorkload) is(g *networkGateway) bool {
	if g.Address != nil {
		return w.Network == g.Address.Network && slices.Contains(w.Addresses, g.Address.Address)
	}
	return g.Hostname != nil && w.Hostname == g.Hostname.Hostname
}
