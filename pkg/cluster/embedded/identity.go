// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/citadel"
	"github.com/meshprobe/meshprobe/pkg/cluster/istioca"
)

// identityCache keeps one SVID per service account for as long as the istiod
// that issued it runs and half of its life is not over.
type identityCache struct {
	mu      sync.Mutex
	entries map[[2]string]*identityEntry
}

type identityEntry struct {
	mu     sync.Mutex // one request at a time per service account
	issuer *istiod
	id     *cluster.Identity
}

func (c *identityCache) entry(key [2]string) *identityEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[[2]string]*identityEntry{}
	}
	e := c.entries[key]
	if e == nil {
		e = &identityEntry{}
		c.entries[key] = e
	}
	return e
}

// Identity implements cluster.Identities through the cluster's API and its CA,
// as any client outside the cluster would do it.
func (in *instance) Identity(ctx context.Context, namespace, serviceAccount string) (*cluster.Identity, error) {
	e := in.identities.entry([2]string{namespace, serviceAccount})
	e.mu.Lock()
	defer e.mu.Unlock()
	issuer := in.istiod.Load()
	if e.id != nil && e.issuer == issuer && in.now().Before(halfLife(e.id.Certificates[0])) {
		return e.id, nil
	}
	roots, err := in.TrustBundle(ctx, namespace)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, r := range roots {
		pool.AddCert(r)
	}
	client := &istioca.Client{
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return in.Dial(ctx, cluster.Workload{}, addr)
		},
		Roots: pool, ClusterID: in.spec.Name, Now: in.now,
		Token: func(ctx context.Context) (string, error) {
			tr, err := in.kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, serviceAccount,
				&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{istioca.Audience}}}, metav1.CreateOptions{})
			if err != nil {
				return "", err
			}
			return tr.Status.Token, nil
		},
	}
	id, err := client.Create(ctx, cluster.SPIFFEID(in.local().mesh.TrustDomain, namespace, serviceAccount), 0)
	if err != nil {
		return nil, fmt.Errorf("embedded: identity of %s/%s/%s: %w", in.spec.Name, namespace, serviceAccount, err)
	}
	e.id, e.issuer = id, issuer
	return id, nil
}

// TrustBundle implements cluster.Bundles: istio-ca-root-cert, read through the
// API.
func (in *instance) TrustBundle(ctx context.Context, namespace string) ([]*x509.Certificate, error) {
	cm, err := in.kube.CoreV1().ConfigMaps(namespace).Get(ctx, rootConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("embedded: trust bundle of %s/%s: %w", in.spec.Name, namespace, err)
	}
	certs, err := citadel.ParseCertificates([]byte(cm.Data[rootCertKey]))
	if err != nil {
		return nil, fmt.Errorf("embedded: trust bundle of %s/%s: %w", in.spec.Name, namespace, err)
	}
	return certs, nil
}
