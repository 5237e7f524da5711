// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/istioca"
)

const (
	rootConfigMap = "istio-ca-root-cert"
	rootCertKey   = "root-cert.pem"

	// identityAge is for how long an identity is used again, so that what
	// rotates during a long run is seen.
	identityAge = 15 * time.Second

	// tokenLife is what a token is asked for: the least that an API grants.
	tokenLife = 10 * time.Minute
)

// identityCache keeps one SVID per service account for a short while.
type identityCache struct {
	c       *Cluster
	mu      sync.Mutex
	entries map[[2]string]*identityEntry
}

type identityEntry struct {
	mu   sync.Mutex // one request at a time per service account
	at   time.Time
	root [sha256.Size]byte // of the bundle that istiod was verified with
	id   *cluster.Identity
}

func (ic *identityCache) entry(key [2]string) *identityEntry {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.entries == nil {
		ic.entries = map[[2]string]*identityEntry{}
	}
	e := ic.entries[key]
	if e == nil {
		e = &identityEntry{}
		ic.entries[key] = e
	}
	return e
}

// Identity implements cluster.Identities: a token of the service account for the
// audience istio-ca, then CreateCertificate at istiod through a port-forward.
// The key is made and kept in memory. Where Options.Identity is set it is
// returned for every account.
func (c *Cluster) Identity(ctx context.Context, namespace, serviceAccount string) (*cluster.Identity, error) {
	if given := c.config.Options.Identity; given != nil {
		return given, nil
	}
	pool, sum, err := c.anchors(ctx, namespace)
	if err != nil {
		return nil, err
	}
	e := c.identities.entry([2]string{namespace, serviceAccount})
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.id != nil && e.root == sum && time.Since(e.at) < identityAge {
		return e.id, nil
	}
	host := c.facts.suffixed("istiod") + "." + c.facts.RootNamespace + ".svc"
	client := &istioca.Client{
		Dial:    func(ctx context.Context, addr string) (net.Conn, error) { return c.Dial(ctx, cluster.Workload{}, addr) },
		Address: net.JoinHostPort(host, fmt.Sprint(cluster.PortCA)), ServerName: host,
		Roots: pool, ClusterID: c.facts.Name, Now: c.config.Options.Now,
		Token: func(ctx context.Context) (string, error) { return c.token(ctx, namespace, serviceAccount) },
	}
	id, err := client.Create(ctx, cluster.SPIFFEID(c.facts.TrustDomain, namespace, serviceAccount), 0)
	if err != nil {
		return nil, fmt.Errorf("live: identity of %s/%s/%s: %w", c.facts.Name, namespace, serviceAccount, err)
	}
	e.id, e.root, e.at = id, sum, time.Now()
	return id, nil
}

func (c *Cluster) token(ctx context.Context, namespace, serviceAccount string) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{istioca.Audience}, ExpirationSeconds: new(int64(tokenLife / time.Second)),
	}}
	answer, err := c.kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, serviceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return "", deny(err, "create", "serviceaccounts/token in "+namespace)
	}
	return answer.Status.Token, nil
}

func (c *Cluster) anchors(ctx context.Context, namespace string) (*x509.CertPool, [sha256.Size]byte, error) {
	roots, err := c.TrustBundle(ctx, namespace)
	if err != nil {
		return nil, [sha256.Size]byte{}, err
	}
	pool, all := x509.NewCertPool(), sha256.New()
	for _, r := range roots {
		pool.AddCert(r)
		_, _ = all.Write(r.Raw) // never fails
	}
	return pool, [sha256.Size]byte(all.Sum(nil)), nil
}

// TrustBundle implements cluster.Bundles: ConfigMap istio-ca-root-cert.
func (c *Cluster) TrustBundle(ctx context.Context, namespace string) ([]*x509.Certificate, error) {
	cm, err := c.kube.CoreV1().ConfigMaps(namespace).Get(ctx, rootConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("live: trust bundle of %s/%s: %w", c.facts.Name, namespace, deny(err, "get", "configmaps in "+namespace))
	}
	certs, err := parseCertificates([]byte(cm.Data[rootCertKey]))
	if err != nil {
		return nil, fmt.Errorf("live: trust bundle of %s/%s: %w", c.facts.Name, namespace, err)
	}
	return certs, nil
}
