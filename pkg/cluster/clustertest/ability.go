// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// testAbilities makes sure that abilities which need each other come together.
func testAbilities(t *testing.T, set *cluster.Set) {
	for _, c := range set.Clusters {
		_, identities := cluster.As[cluster.Identities](c)
		_, bundles := cluster.As[cluster.Bundles](c)
		if identities && !bundles {
			t.Errorf("%s mints identities and cannot say who trusts them", c.Name())
		}
		if _, ok := cluster.As[cluster.Kube](wrapper{c}); ok != has[cluster.Kube](c) {
			t.Errorf("%s: a wrapper hides its abilities", c.Name())
		}
	}
}

func has[T any](c cluster.Cluster) bool { _, ok := cluster.As[T](c); return ok }

type wrapper struct{ cluster.Cluster }

func (w wrapper) Unwrap() cluster.Cluster { return w.Cluster }

// testKube uses the API as federation and remote control planes do.
func testKube(t *testing.T, set *cluster.Set) {
	for i, c := range set.Clusters {
		kube, ok := cluster.As[cluster.Kube](c)
		if !ok {
			t.Skipf("%s has no Kubernetes API", c.Name())
		}
		for _, ns := range set.Topology.Clusters[i].Namespaces {
			cm, err := kube.Kubernetes().CoreV1().ConfigMaps(ns.Name).Get(t.Context(), "istio-ca-root-cert", metav1.GetOptions{})
			if err != nil {
				t.Errorf("%s: %v", c.Name(), err)
			} else if !strings.Contains(cm.Data["root-cert.pem"], "BEGIN CERTIFICATE") {
				t.Errorf("%s/%s: istio-ca-root-cert holds no certificate", c.Name(), ns.Name)
			}
		}
		testReader(t, c, kube)
	}
}

// testReader reads the API with what a remote secret would hold.
func testReader(t *testing.T, c cluster.Cluster, kube cluster.Kube) {
	tr, err := kube.Kubernetes().CoreV1().ServiceAccounts("istio-system").
		CreateToken(t.Context(), "istio-reader-service-account", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Errorf("%s: %v", c.Name(), err)
		return
	}
	api := kube.APIServer()
	for token, want := range map[string]bool{tr.Status.Token: true, "not-a-token": false} {
		config := &rest.Config{Host: api.URL, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: api.CA}}
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		remote, err := kubernetes.NewForConfigAndClient(config, client)
		if err != nil {
			t.Fatal(err)
		}
		_, err = remote.CoreV1().Services("").List(t.Context(), metav1.ListOptions{})
		if (err == nil) != want {
			t.Errorf("%s: listing services with a good token %v: %v", c.Name(), want, err)
		}
		client.CloseIdleConnections()
	}
}

// testIdentities mints an SVID per service account and verifies it with the
// bundle of the same cluster.
func testIdentities(t *testing.T, set *cluster.Set) {
	for _, c := range set.Clusters {
		ids, ok := cluster.As[cluster.Identities](c)
		if !ok {
			t.Skipf("%s mints no identities", c.Name())
		}
		for _, w := range workloads(t, c) {
			id, err := ids.Identity(t.Context(), w.Namespace, w.ServiceAccount)
			if err != nil {
				t.Errorf("%s: %v", w.Ref, err)
				continue
			}
			if err := checkIdentity(t, c, w, id); err != nil {
				t.Errorf("%s: %v", w.Ref, err)
			}
		}
		if _, err := ids.Identity(t.Context(), cluster.DefaultSidecarNamespace, "no-such-service-account"); err == nil {
			t.Errorf("%s: a service account that does not exist has an identity", c.Name())
		}
	}
}

func checkIdentity(t *testing.T, c cluster.Cluster, w cluster.Workload, id *cluster.Identity) error {
	t.Helper()
	want := w.SPIFFEID(c.TrustDomain())
	if id.ID != want || fmt.Sprint(id) != want {
		return fmt.Errorf("the identity is %q, want %q", id.ID, want)
	}
	leaf := id.Certificates[0]
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != want {
		return fmt.Errorf("the leaf says %v, want %s", leaf.URIs, want)
	}
	bundles, _ := cluster.As[cluster.Bundles](c)
	anchors, err := bundles.TrustBundle(t.Context(), w.Namespace)
	if err != nil {
		return err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range anchors {
		roots.AddCert(r)
	}
	for _, i := range id.Certificates[1:] {
		intermediates.AddCert(i)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}); err != nil {
		return err
	}
	if len(id.Roots) == 0 || !bytes.Equal(id.Roots[0].Raw, anchors[0].Raw) {
		return fmt.Errorf("the CA hands out other trust anchors than istio-ca-root-cert")
	}
	signer, ok := id.TLS().PrivateKey.(crypto.Signer)
	if !ok {
		return fmt.Errorf("the key cannot sign")
	}
	digest := sha256.Sum256([]byte("x"))
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	algorithm := x509.ECDSAWithSHA256
	if leaf.PublicKeyAlgorithm == x509.RSA {
		algorithm = x509.SHA256WithRSA
	}
	return leaf.CheckSignature(algorithm, []byte("x"), signature)
}

// testResolver resolves each cluster's own services and dials what it is told.
func testResolver(t *testing.T, set *cluster.Set) {
	for _, c := range set.Clusters {
		r, ok := cluster.As[cluster.Resolver](c)
		if !ok {
			t.Skipf("%s resolves nothing", c.Name())
		}
		for _, w := range workloads(t, c) {
			if w.Service == nil {
				continue
			}
			found, err := r.Resolve(t.Context(), w, w.Service.Host, w.Service.Port)
			if err != nil || len(found) == 0 {
				t.Errorf("%s: %d endpoints, %v", w.Service.Host, len(found), err)
				continue
			}
			checkEndpoint(t, c, w, found[0])
		}
		none, err := r.Resolve(t.Context(), cluster.Workload{}, "no-such-service.default.svc.cluster.local", 80)
		if err != nil || len(none) != 0 {
			t.Errorf("%s: a host that does not exist: %v, %v", c.Name(), none, err)
		}
	}
}

func checkEndpoint(t *testing.T, c cluster.Cluster, w cluster.Workload, ep cluster.Endpoint) {
	t.Helper()
	if ep.Cluster != c.Name() || ep.Gateway || ep.DataPlane != w.DataPlane {
		t.Errorf("%s: the first endpoint is not in the own cluster: %+v", w.Service.Host, ep)
	}
	switch w.DataPlane {
	case cluster.Sidecar:
		if ep.SNI != cluster.SNI(w.Service.Host, w.Service.Port) {
			t.Errorf("%s: SNI %q", w.Service.Host, ep.SNI)
		}
	case cluster.Ambient:
		host, port, err := net.SplitHostPort(ep.Address)
		if err != nil || port != strconv.Itoa(cluster.PortHBONE) || !strings.HasPrefix(ep.Authority, host+":") {
			t.Errorf("%s: HBONE at %q with authority %q", w.Service.Host, ep.Address, ep.Authority)
		}
	case cluster.NoMesh:
		return
	}
	if want := w.SPIFFEID(c.TrustDomain()); len(ep.Identities) == 0 || ep.Identities[0] != want {
		t.Errorf("%s: identities %v, want %s", w.Service.Host, ep.Identities, want)
	}
	conn, err := c.Dial(t.Context(), w, ep.Address)
	if err != nil {
		t.Errorf("%s: the endpoint cannot be dialed: %v", w.Service.Host, err)
		return
	}
	_ = conn.Close()
}
