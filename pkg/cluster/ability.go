// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/x509"

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
