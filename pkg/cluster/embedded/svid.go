// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/istioca"
)

// refreshTimeout bounds a renewal that a handshake waits for.
const refreshTimeout = 5 * time.Second

// svid is the certificate that an agent holds for one service account: fetched
// at start, kept until half of its life is over (SECRET_GRACE_PERIOD_RATIO),
// whatever the CA does meanwhile.
type svid struct {
	fetch func(context.Context) (*cluster.Identity, error)
	now   func() time.Time

	mu      sync.Mutex
	current *cluster.Identity
	renewal time.Time
}

// start fetches the first certificate.
func (s *svid) start(ctx context.Context) error {
	id, err := s.fetch(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold(id)
	return nil
}

func (s *svid) hold(id *cluster.Identity) {
	s.current = id
	s.renewal = halfLife(id.Certificates[0])
}

func halfLife(leaf *x509.Certificate) time.Time {
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
}

// identity is the certificate in use. Where it is due for renewal, it is
// renewed now; where that fails, the old one stays in use.
func (s *svid) identity(ctx context.Context) *cluster.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || s.now().Before(s.renewal) {
		return s.current
	}
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	if id, err := s.fetch(ctx); err == nil {
		s.hold(id)
	}
	return s.current
}

// agentSVID is the certificate of a pod's own service account.
func (p *proc) agentSVID() *svid {
	return &svid{now: p.in.now, fetch: func(ctx context.Context) (*cluster.Identity, error) {
		return p.in.create(ctx, p.pod.namespace, p.pod.serviceAccount, nil)
	}}
}

// impersonation is ztunnel's way to the certificate of somebody else.
type impersonation struct{ namespace, serviceAccount string }

// create obtains a certificate from the cluster's istiod with a token of the
// service account, bound to a pod where as is set.
func (in *instance) create(ctx context.Context, namespace, serviceAccount string, as *boundImpersonation) (*cluster.Identity, error) {
	roots, err := in.rootPool(namespace)
	if err != nil {
		return nil, err
	}
	req := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{istioca.Audience}}}
	id := cluster.SPIFFEID(in.local().mesh.TrustDomain, namespace, serviceAccount)
	if as != nil {
		id = cluster.SPIFFEID(in.local().mesh.TrustDomain, as.namespace, as.serviceAccount)
		req.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: as.podName}
	}
	client := &istioca.Client{
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return in.Dial(ctx, cluster.Workload{}, addr)
		},
		Roots: roots, ClusterID: in.spec.Name, Now: in.now, Impersonate: as != nil,
		Token: func(context.Context) (string, error) {
			// The kubelet's way to a token, without HTTP.
			tr, err := in.store.TokenRequest(namespace, serviceAccount, req)
			if err != nil {
				return "", err
			}
			return tr.Status.Token, nil
		},
	}
	return client.Create(ctx, id, 0)
}

// boundImpersonation says for whom ztunnel asks, and from which pod.
type boundImpersonation struct {
	impersonation
	podName string
}

// rootPool is istio-ca-root-cert as it is mounted into a namespace's pods.
func (in *instance) rootPool(namespace string) (*x509.CertPool, error) {
	o, err := in.store.Get(configMapsGVR, namespace, rootConfigMap)
	if err != nil {
		return nil, fmt.Errorf("MountVolume.SetUp failed for volume \"istiod-ca-cert\": %w", err)
	}
	cm, ok := o.(*corev1.ConfigMap)
	pool := x509.NewCertPool()
	if !ok || !pool.AppendCertsFromPEM([]byte(cm.Data[rootCertKey])) {
		return nil, errors.New("istio-ca-root-cert holds no certificate")
	}
	return pool, nil
}
