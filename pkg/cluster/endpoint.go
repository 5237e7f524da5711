// SPDX-License-Identifier: Apache-2.0

package cluster

import "strconv"

// Endpoint is one place to which a cluster's control plane sends calls of a
// service: a pod of the caller's own network, or the east-west gateway of
// another network.
type Endpoint struct {
	Cluster   string    `json:"cluster"`             // where the workload behind it runs
	Network   string    `json:"network"`             // of that workload, as the control plane believes it
	Address   string    `json:"address"`             // host:port for Cluster.Dial
	Gateway   bool      `json:"gateway,omitempty"`   // Address is an east-west gateway
	DataPlane DataPlane `json:"dataPlane"`           // how it is to be spoken to
	SNI       string    `json:"sni,omitempty"`       // sidecar: outbound_.PORT_._.HOST
	Authority string    `json:"authority,omitempty"` // HBONE: CONNECT authority; the same in both layers of double HBONE

	// Waypoint is namespace/name of the waypoint that answers in the workload's
	// place, empty where the workload itself does.
	Waypoint string `json:"waypoint,omitempty"`

	// Identities are the SPIFFE IDs that the caller expects of the workload, or
	// of the waypoint in its place; any one of them is right.
	Identities []string `json:"identities,omitempty"`

	// GatewayIdentities are those expected of the gateway in the outer layer
	// of double HBONE.
	GatewayIdentities []string `json:"gatewayIdentities,omitempty"`
}

// SNI is the server name by which Istio's sidecars name a service port to a
// peer: outbound_.PORT_._.HOST (istio pilot/pkg/model, BuildDNSSrvSubsetKey,
// with an empty subset).
func SNI(host string, port uint16) string {
	return "outbound_." + strconv.Itoa(int(port)) + "_._." + host
}

// The ports that Istio fixes.
const (
	PortHBONE       = 15008 // HBONE of ztunnels, waypoints and the ambient east-west gateway
	PortPassthrough = 15443 // AUTO_PASSTHROUGH of the sidecar east-west gateway
	PortCA          = 15012 // istiod's CA and XDS over TLS
)

// SidecarALPN is what an Istio sidecar offers for TCP; it selects the mTLS
// filter chain of the peer. istio-peer-exchange is left out, because a peer
// that negotiates it starts with metadata bytes of its own.
func SidecarALPN() []string { return []string{"istio"} }
