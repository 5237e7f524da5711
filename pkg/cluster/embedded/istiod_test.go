// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/istioca"
)

// caClient asks a cluster's istiod with a token of bookinfo/reviews.
func caClient(t *testing.T, c cluster.Cluster, audience string) *istioca.Client {
	t.Helper()
	b, _ := cluster.As[cluster.Bundles](c)
	roots, err := b.TrustBundle(t.Context(), "bookinfo")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for _, r := range roots {
		pool.AddCert(r)
	}
	return &istioca.Client{
		Dial:  func(ctx context.Context, addr string) (net.Conn, error) { return c.Dial(ctx, cluster.Workload{}, addr) },
		Roots: pool,
		Token: func(ctx context.Context) (string, error) {
			tr, err := kube(t, c).CoreV1().ServiceAccounts("bookinfo").CreateToken(ctx, "reviews",
				&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}, metav1.CreateOptions{})
			if err != nil {
				return "", err
			}
			return tr.Status.Token, nil
		},
	}
}

// serving is the issuer of what istiod serves right now.
func serving(t *testing.T, c cluster.Cluster) *x509.Certificate {
	t.Helper()
	chain, err := caClient(t, c, istioca.Audience).Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return chain[0]
}

func rootOf(t *testing.T, c cluster.Cluster, namespace string) *x509.Certificate {
	t.Helper()
	b, _ := cluster.As[cluster.Bundles](c)
	roots, err := b.TrustBundle(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	return roots[0]
}

func TestStartsAsItsOwnRoot(t *testing.T) {
	set := open(t, 2)
	east, west := rootOf(t, set.Clusters[0], "bookinfo"), rootOf(t, set.Clusters[1], "bookinfo")
	if got := east.Subject.String(); got != "O=cluster.local" || west.Subject.String() != got {
		t.Errorf("subjects %q and %q", east.Subject, west.Subject)
	}
	if string(east.RawSubjectPublicKeyInfo) == string(west.RawSubjectPublicKeyInfo) {
		t.Error("two clusters share a key")
	}
	s, err := kube(t, set.Clusters[0]).CoreV1().Secrets("istio-system").Get(t.Context(), "istio-ca-secret", metav1.GetOptions{})
	if err != nil || s.Type != "istio.io/ca-root" || string(s.Data["root-cert.pem"]) != string(s.Data["ca-cert.pem"]) {
		t.Errorf("istio-ca-secret: %v, %v", s.Type, err)
	}
}

func TestCertificatesFollowRestartsOnly(t *testing.T) {
	set := open(t, 2)
	c := set.Clusters[0]
	before := rootOf(t, c, "bookinfo")
	edge := cluster.Edge{From: cluster.Ref{Cluster: "east", Namespace: "bookinfo", Name: "reviews"}, To: cluster.Ref{Cluster: "east", Namespace: "bookinfo", Name: "ratings"}, DataPlane: cluster.Sidecar}
	old := identity(t, set, edge.From)
	ask := func(id *cluster.Identity) error {
		ep, ok := endpoint(t, set, edge)
		if !ok {
			t.Fatal("no endpoint")
		}
		_, err := call(t.Context(), c, id, ep)
		return err
	}

	root := newAuthority(t, "shared root", nil)
	putCACerts(t, c, cacerts(t, root, "east"))
	if !rootOf(t, c, "bookinfo").Equal(before) || serving(t, c).CheckSignatureFrom(before) != nil {
		t.Fatal("cacerts takes effect without a restart of istiod")
	}

	restart(t, c, "istio-system", "istiod")
	if !rootOf(t, c, "bookinfo").Equal(root.cert) || !rootOf(t, c, "default").Equal(root.cert) {
		t.Fatal("istio-ca-root-cert is not the new root after istiod restarted")
	}
	if got := serving(t, c).Issuer.CommonName; got != "intermediate of east" {
		t.Errorf("istiod serves a certificate of %q", got)
	}
	fresh := identity(t, set, edge.From)
	if !fresh.Roots[0].Equal(root.cert) {
		t.Error("an identity is cached from before the restart")
	}
	if err := ask(old); err != nil {
		t.Errorf("workloads changed before their restart: %v", err)
	}
	if err := ask(fresh); err == nil {
		t.Error("a workload that was not restarted accepts the new root")
	}

	restart(t, c, "bookinfo", "ratings-v1")
	if err := ask(fresh); err != nil {
		t.Errorf("a restarted workload: %v", err)
	}
	if err := ask(old); err == nil {
		t.Error("a restarted workload accepts the old root")
	}
}

func TestZtunnelHoldsAmbientCertificates(t *testing.T) {
	set := open(t, 2)
	c := set.Clusters[0]
	edge := cluster.Edge{From: cluster.Ref{Cluster: "east", Namespace: "bookinfo-ambient", Name: "reviews"}, To: cluster.Ref{Cluster: "east", Namespace: "bookinfo-ambient", Name: "ratings"}, DataPlane: cluster.Ambient}
	putCACerts(t, c, cacerts(t, newAuthority(t, "shared root", nil), "east"))
	restart(t, c, "istio-system", "istiod")
	restart(t, c, "bookinfo-ambient", "ratings-v1")
	ask := func() error {
		ep, _ := endpoint(t, set, edge)
		_, err := call(t.Context(), c, identity(t, set, edge.From), ep)
		return err
	}
	if ask() == nil {
		t.Error("a rollout of the workload alone renews what ztunnel holds")
	}
	restartZtunnel(t, c)
	if err := ask(); err != nil {
		t.Errorf("after a restart of ztunnel: %v", err)
	}
}

func TestBrokenCACertsCrashLoop(t *testing.T) {
	for name, spoil := range map[string]func(map[string][]byte){
		"incomplete signing CA bundle detected": func(d map[string][]byte) { delete(d, "root-cert.pem") },
		"cannot verify the cert with the provided root chain": func(d map[string][]byte) {
			d["root-cert.pem"] = newAuthority(t, "other", nil).pem()
		},
		"private key does not match public key": func(d map[string][]byte) {
			d["ca-key.pem"] = cacerts(t, newAuthority(t, "other", nil), "x")["ca-key.pem"]
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			set := open(t, 2)
			c := set.Clusters[0]
			before := serving(t, c).Issuer.String()
			good := cacerts(t, newAuthority(t, "shared root", nil), "east")
			bad := maps.Clone(good)
			spoil(bad)
			putCACerts(t, c, bad)
			restartDeployment(t, c, "istio-system", "istiod")
			pod := crashing(t, c)
			if got := pod.Status.ContainerStatuses[0].State.Waiting.Message; !strings.Contains(got, name) {
				t.Errorf("the pod says %q", got)
			}
			d, err := kube(t, c).AppsV1().Deployments("istio-system").Get(t.Context(), "istiod", metav1.GetOptions{})
			if err != nil || d.Status.Replicas != 2 || d.Status.UnavailableReplicas != 1 || d.Status.UpdatedReplicas != 1 {
				t.Errorf("status %+v, %v", d.Status, err)
			}
			if got := serving(t, c).Issuer.String(); got != before {
				t.Errorf("the istiod of before does not serve on: %s", got)
			}
			putCACerts(t, c, good)
			awaitDeployment(t, c, "istio-system", "istiod")
			if got := serving(t, c).Issuer.CommonName; got != "intermediate of east" {
				t.Errorf("after the repair istiod serves a certificate of %q", got)
			}
		})
	}
}

// crashing waits for a pod of istiod in its crash loop.
func crashing(t *testing.T, c cluster.Cluster) corev1.Pod {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < 10*time.Second; {
		pods, err := kube(t, c).CoreV1().Pods("istio-system").List(t.Context(), metav1.ListOptions{LabelSelector: "app=istiod"})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pods.Items {
			if s := p.Status.ContainerStatuses; len(s) > 0 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "CrashLoopBackOff" {
				return p
			}
		}
	}
	t.Fatal("no istiod crashes")
	return corev1.Pod{}
}

func TestCARefuses(t *testing.T) {
	set := open(t, 2)
	c := set.Clusters[0]
	const id = "spiffe://cluster.local/ns/bookinfo/sa/reviews"
	for name, tc := range map[string]struct {
		change func(*istioca.Client)
		ttl    time.Duration
		want   codes.Code
	}{
		"good":                    {want: codes.OK},
		"token-of-other-audience": {change: func(k *istioca.Client) { *k = *caClient(t, c, "vault") }, want: codes.Unauthenticated},
		"no-token":                {change: func(k *istioca.Client) { k.Token = func(context.Context) (string, error) { return "", nil } }, want: codes.Unauthenticated},
		"token-of-other-cluster":  {change: func(k *istioca.Client) { k.Token = caClient(t, set.Clusters[1], istioca.Audience).Token }, want: codes.Unauthenticated},
		"unknown-cluster-id":      {change: func(k *istioca.Client) { k.ClusterID = "Kubernetes" }, want: codes.Unauthenticated},
		"own-cluster-id":          {change: func(k *istioca.Client) { k.ClusterID = "east" }, want: codes.OK},
		"impersonation":           {change: func(k *istioca.Client) { k.Impersonate = true }, want: codes.Unauthenticated},
		"too-long":                {ttl: 91 * 24 * time.Hour, want: codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			client := caClient(t, c, istioca.Audience)
			if tc.change != nil {
				tc.change(client)
			}
			_, err := client.Create(t.Context(), id, tc.ttl)
			got := codes.OK
			if e, ok := errors.AsType[*istioca.Error](err); ok {
				got = e.Code
			} else if err != nil {
				got = codes.Unknown
			}
			if got != tc.want {
				t.Errorf("want %s, got %v", tc.want, err)
			}
		})
	}
	// Whatever the CSR asks for, the SAN is the caller.
	got, err := caClient(t, c, istioca.Audience).Create(t.Context(), "spiffe://cluster.local/ns/kube-system/sa/admin", 0)
	if err != nil || got.Certificates[0].URIs[0].String() != id {
		t.Errorf("a CSR for somebody else gets %v, %v", got.Certificates[0].URIs, err)
	}
}

func TestRootReachesNewNamespaces(t *testing.T) {
	c := open(t, 2).Clusters[0]
	if _, err := kube(t, c).CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "late"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; {
		cm, err := kube(t, c).CoreV1().ConfigMaps("late").Get(t.Context(), "istio-ca-root-cert", metav1.GetOptions{})
		if err == nil && cm.Labels["istio.io/config"] == "true" && cm.Data["root-cert.pem"] != "" {
			return
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatal(err)
		}
	}
}
