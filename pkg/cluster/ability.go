// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/x509"
	"net"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
)

// Kube is the ability to speak to a cluster's Kubernetes API. The clients act
// with whatever rights the provider was given.
type Kube interface {
	// Kubernetes is the typed client.
	Kubernetes() kubernetes.Interface

	// Dynamic is the client for Istio's and the Gateway API's kinds.
	Dynamic() dynamic.Interface

	// APIServer says where the other clusters' control planes reach this API,
	// for remote secrets.
	APIServer() APIServer
}

// APIServer is the address of a Kubernetes API as other clusters reach it.
type APIServer struct {
	URL string // https://host:port
	CA  []byte // PEM of the authority that signed its serving certificate
}

// Identities is the ability to obtain an X.509 SVID from the cluster's own CA.
type Identities interface {
	// Identity mints an SVID for a service account: TokenRequest with audience
	// istio-ca, then CreateCertificate at istiod:15012, verified by
	// istio-ca-root-cert. Implementations may cache an identity for as long as
	// the CA that issued it stays the same.
	Identity(ctx context.Context, namespace, serviceAccount string) (*Identity, error)
}

// Bundles is the ability to read the trust bundle that the cluster's data
// plane verifies peers with.
type Bundles interface {
	// TrustBundle returns the trust anchors of a namespace: istio-ca-root-cert.
	TrustBundle(ctx context.Context, namespace string) ([]*x509.Certificate, error)
}

// Resolver is the ability to say where a call would go: the endpoints that the
// cluster's control plane gives to a workload for one port of a host.
type Resolver interface {
	// Resolve lists the endpoints of host:port for the workload from, those in
	// its own cluster first, then by cluster name. No endpoint is not an error.
	Resolve(ctx context.Context, from Workload, host string, port uint16) ([]Endpoint, error)
}

// Dumper is the ability to ask the proxy of a workload about itself.
type Dumper interface {
	// Dump answers a GET of the proxy's admin interface, path such as
	// "/config_dump?mask=…". The answer is bounded; keys in it are redacted by
	// the proxy. A workload without a proxy of its own is an error.
	Dump(ctx context.Context, w Workload, path string) ([]byte, error)
}

// Replicated is the ability of a cluster whose workloads run in more than one
// pod: what [Workload] describes is one of them.
type Replicated interface {
	// Replicas lists the other pods of the workload that are ready, those that
	// run longest first. None is not an error.
	Replicas(ctx context.Context, w Workload) ([]Replica, error)
}

// Replica is a workload in another one of its pods, with that pod's address.
type Replica struct {
	Workload
	Pod string `json:"pod"`
}

// Vantage is the ability of a provider that stands outside its clusters to say
// where its streams do not lead. A provider without it dials as its workloads
// do.
type Vantage interface {
	// Reach is nil where Dial(ctx, from, addr) meets what the workload from
	// would meet at addr, and an *OutOfReachError where it does not. It dials
	// nothing.
	Reach(ctx context.Context, from Workload, addr string) error

	// Detour is a way around: an address of Dial and a server name with which a
	// TLS client meets the sidecar of w itself, although w's own address is out
	// of reach. It is false where there is none, or where somebody else might
	// answer.
	Detour(ctx context.Context, w Workload) (Endpoint, bool)
}

// Egress is the ability to dial what lies outside a cluster from where its
// control plane runs. A provider without it dials as this process does.
type Egress interface {
	// DialOut opens a stream to host:port as a pod of the control plane would, as
	// far as the provider stands there. The error is the network's own, or an
	// *OutOfReachError. The caller owns the connection.
	DialOut(ctx context.Context, addr string) (net.Conn, error)
}

// OutOfReachError says that a provider has no stream that would mean anything:
// the address lies in a network that it does not stand in. It says nothing of
// the target.
type OutOfReachError struct {
	Addr string `json:"addr"` // as it was to be dialed
	Why  string `json:"why"`  // one line
	Hint string `json:"hint"` // what would reach it
}

// Error names the address and why it is out of reach.
func (e *OutOfReachError) Error() string { return e.Addr + " is out of reach: " + e.Why }

// DeniedError says that an API refused for want of a permission.
type DeniedError struct {
	What string // verb and resource, e.g. "list pods"
	Err  error  // of the API
}

// Error names the verb and resource.
func (e *DeniedError) Error() string { return "missing permission: " + e.What }

// Unwrap is the error of the API.
func (e *DeniedError) Unwrap() error { return e.Err }

// Relayed is what a connection of Dial may implement: it says whether the
// stream passes through somebody who may forget what a peer said right before
// it reset the connection.
type Relayed interface {
	// Relayed reports whether it does.
	Relayed() bool
}
