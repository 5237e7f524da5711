// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
)

// Ref names something inside a namespace of a cluster: a workload, a service
// account or a service, by context. Its text is cluster/namespace/name.
type Ref struct {
	Cluster   string `json:"cluster" yaml:"cluster"`
	Namespace string `json:"namespace" yaml:"namespace"`
	Name      string `json:"name" yaml:"name"`
}

// String is cluster/namespace/name.
func (r Ref) String() string { return r.Cluster + "/" + r.Namespace + "/" + r.Name }

// ParseRef reads cluster/namespace/name. The cluster may itself hold slashes
// (kubeconfig contexts do), so the split is at the last two.
func ParseRef(s string) (Ref, error) {
	i := strings.LastIndexByte(s, '/')
	if i <= 0 || i == len(s)-1 {
		return Ref{}, fmt.Errorf("cluster: %q is not cluster/namespace/name", s)
	}
	j := strings.LastIndexByte(s[:i], '/')
	if j <= 0 || j == i-1 {
		return Ref{}, fmt.Errorf("cluster: %q is not cluster/namespace/name", s)
	}
	return Ref{Cluster: s[:j], Namespace: s[j+1 : i], Name: s[i+1:]}, nil
}

// DataPlane says what carries a workload's traffic.
type DataPlane string

// The data planes of a topology.
const (
	Sidecar DataPlane = "sidecar" // an Envoy beside the workload, mTLS on the app's own ports
	Ambient DataPlane = "ambient" // a ztunnel on the node, HBONE on 15008
	NoMesh  DataPlane = "none"    // outside the mesh
)

// MTLSMode is the PeerAuthentication mode in force for a workload.
type MTLSMode string

// The modes of PeerAuthentication.
const (
	Strict     MTLSMode = "STRICT"
	Permissive MTLSMode = "PERMISSIVE"
	Disable    MTLSMode = "DISABLE"
)

// Proxy says which implementation answers for a workload, because each sends
// its own alerts and statuses for the same fault.
type Proxy string

// The implementations that answer for workloads and gateways.
const (
	ProxyGo      Proxy = "go"      // crypto/tls: the embedded provider and meshprobe's agent
	ProxyEnvoy   Proxy = "envoy"   // BoringSSL: sidecars, gateways, waypoints
	ProxyZtunnel Proxy = "ztunnel" // rustls
)

// Workload is one running workload: the unit that owns an identity and a
// listener. It is a plain value; the Ref's name is the workload's own.
type Workload struct {
	Ref
	ServiceAccount string     `json:"serviceAccount"`
	DataPlane      DataPlane  `json:"dataPlane"`
	MTLS           MTLSMode   `json:"mtls"`
	Proxy          Proxy      `json:"proxy"`
	Network        string     `json:"network"`
	Address        netip.Addr `json:"address"` // of its pod, inside its network
	Service        *Service   `json:"service,omitempty"`

	// HBONE says that the workload takes HBONE on 15008 although another data
	// plane captures it: a sidecar with networking.istio.io/tunnel: http.
	HBONE bool `json:"hbone,omitempty"`
}

// Service is the service that selects a workload.
type Service struct {
	Name     string `json:"name"`
	Host     string `json:"host"` // fully qualified, e.g. ratings.shop.svc.cluster.local
	Port     uint16 `json:"port"`
	Target   uint16 `json:"target,omitempty"` // port of the pods behind it; 0 means Port
	Protocol string `json:"protocol"`         // http, tcp or auto: how the port is declared
}

// PodPort is the port on which the pods behind the service listen.
func (s Service) PodPort() uint16 { return cmp.Or(s.Target, s.Port) }

// TakesHBONE says that the workload answers HBONE on 15008.
func (w Workload) TakesHBONE() bool { return w.HBONE || w.DataPlane == Ambient }

// SPIFFEID is the identity that Istio gives the workload's service account in
// the trust domain td: spiffe://td/ns/NAMESPACE/sa/SERVICEACCOUNT.
func (w Workload) SPIFFEID(td string) string {
	return SPIFFEID(td, w.Namespace, w.ServiceAccount)
}

// SPIFFEID is Istio's identity of a service account
// (istio pkg/spiffe, GenSpiffeURI).
func SPIFFEID(td, namespace, serviceAccount string) string {
	return "spiffe://" + td + "/ns/" + namespace + "/sa/" + serviceAccount
}

// Parts is the reference's own text: a Ref is one subject.
func (r Ref) Parts() []string { return []string{r.String()} }
