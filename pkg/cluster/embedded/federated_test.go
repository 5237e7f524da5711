// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// This file federates clusters by hand, with client-go alone, as the
// documentation of Istio tells people to.

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string, parent *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// cacerts is the plug-in CA of a cluster under a root.
func cacerts(t testing.TB, root *authority, name string) map[string][]byte {
	t.Helper()
	ca := newAuthority(t, "intermediate of "+name, root)
	der, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"ca-cert.pem": ca.pem(), "root-cert.pem": root.pem(), "cert-chain.pem": append(ca.pem(), root.pem()...),
		"ca-key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}
}

func kube(t testing.TB, c cluster.Cluster) kubernetes.Interface {
	t.Helper()
	k, ok := cluster.As[cluster.Kube](c)
	if !ok {
		t.Fatalf("%s has no API", c.Name())
	}
	return k.Kubernetes()
}

func putSecret(t testing.TB, c cluster.Cluster, s *corev1.Secret) {
	t.Helper()
	api := kube(t, c).CoreV1().Secrets(s.Namespace)
	if _, err := api.Get(t.Context(), s.Name, metav1.GetOptions{}); err == nil {
		if _, err := api.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := api.Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func putCACerts(t testing.TB, c cluster.Cluster, data map[string][]byte) {
	t.Helper()
	putSecret(t, c, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cacerts", Namespace: "istio-system"}, Data: data})
}

// restartDeployment does what kubectl rollout restart does.
func restartDeployment(t testing.TB, c cluster.Cluster, namespace, name string) {
	t.Helper()
	if _, err := kube(t, c).AppsV1().Deployments(namespace).Patch(t.Context(), name, types.StrategicMergePatchType, restartPatch(), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func restartPatch() []byte {
	return fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
}

// awaitDeployment waits as kubectl rollout status does, by watch.
func awaitDeployment(t testing.TB, c cluster.Cluster, namespace, name string) {
	t.Helper()
	api := kube(t, c).AppsV1().Deployments(namespace)
	done := func(d *appsv1.Deployment) bool {
		return d.Generation <= d.Status.ObservedGeneration && d.Status.UpdatedReplicas == *d.Spec.Replicas &&
			d.Status.Replicas == d.Status.UpdatedReplicas && d.Status.AvailableReplicas == d.Status.UpdatedReplicas
	}
	w, err := api.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	d, err := api.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	timeout := time.After(10 * time.Second)
	for !done(d) {
		select {
		case e := <-w.ResultChan():
			if got, ok := e.Object.(*appsv1.Deployment); ok && e.Type != watch.Deleted {
				d = got
			}
		case <-timeout:
			t.Fatalf("%s/%s/%s does not roll out: %+v", c.Name(), namespace, name, d.Status)
		}
	}
}

func restart(t testing.TB, c cluster.Cluster, namespace string, names ...string) {
	t.Helper()
	for _, name := range names {
		restartDeployment(t, c, namespace, name)
		awaitDeployment(t, c, namespace, name)
	}
}

func restartZtunnel(t testing.TB, c cluster.Cluster) {
	t.Helper()
	api := kube(t, c).AppsV1().DaemonSets("istio-system")
	if _, err := api.Patch(t.Context(), "ztunnel", types.StrategicMergePatchType, restartPatch(), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; {
		d, err := api.Get(t.Context(), "ztunnel", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if d.Generation <= d.Status.ObservedGeneration && d.Status.UpdatedNumberScheduled == 1 && d.Status.NumberAvailable == 1 {
			return
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("ztunnel does not roll out: %+v", d.Status)
		}
	}
}

// restartAll restarts what holds certificates, istiod first.
func restartAll(t testing.TB, set *cluster.Set, c cluster.Cluster) {
	t.Helper()
	restart(t, c, "istio-system", "istiod", "eastwest-ambient", "istio-eastwestgateway")
	restartZtunnel(t, c)
	spec, _ := set.Topology.Spec(c.Name())
	for _, ns := range spec.Namespaces {
		for _, w := range ns.Workloads {
			restart(t, c, ns.Name, w.Name)
		}
	}
}

func patch(t testing.TB, c cluster.Cluster, gvr schema.GroupVersionResource, namespace, name, text string) {
	t.Helper()
	k, _ := cluster.As[cluster.Kube](c)
	var err error
	if namespace == "" {
		_, err = k.Dynamic().Resource(gvr).Patch(t.Context(), name, types.MergePatchType, []byte(text), metav1.PatchOptions{})
	} else {
		_, err = k.Dynamic().Resource(gvr).Namespace(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(text), metav1.PatchOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// nameNetwork labels what says which network a cluster is.
func nameNetwork(t testing.TB, c cluster.Cluster) {
	t.Helper()
	label := fmt.Sprintf(`{"metadata":{"labels":{"topology.istio.io/network":%q}}}`, c.Network())
	core := func(r string) schema.GroupVersionResource { return corev1.SchemeGroupVersion.WithResource(r) }
	patch(t, c, core("namespaces"), "", "istio-system", label)
	patch(t, c, core("services"), "istio-system", "istio-eastwestgateway", label)
	patch(t, c, schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}, "istio-system", "eastwest-ambient", label)
}

// exposeServices is samples/multicluster/expose-services.yaml.
func exposeServices(t testing.TB, c cluster.Cluster) {
	t.Helper()
	k, _ := cluster.As[cluster.Kube](c)
	gvr := schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "gateways"}
	_, err := k.Dynamic().Resource(gvr).Namespace("istio-system").Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
		"metadata": map[string]any{"name": "cross-network-gateway", "namespace": "istio-system"},
		"spec": map[string]any{
			"selector": map[string]any{"istio": "eastwestgateway"},
			"servers": []any{map[string]any{
				"port": map[string]any{"number": int64(15443), "name": "tls", "protocol": "TLS"},
				"tls":  map[string]any{"mode": "AUTO_PASSTHROUGH"}, "hosts": []any{"*.local"},
			}},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// remoteSecret lets every other cluster read one.
func remoteSecret(t testing.TB, c cluster.Cluster) *corev1.Secret {
	t.Helper()
	tr, err := kube(t, c).CoreV1().ServiceAccounts("istio-system").CreateToken(t.Context(), "istio-reader-service-account", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k, _ := cluster.As[cluster.Kube](c)
	config := clientcmdapi.NewConfig()
	config.CurrentContext = c.Name()
	config.Clusters[c.Name()] = &clientcmdapi.Cluster{Server: k.APIServer().URL, CertificateAuthorityData: k.APIServer().CA}
	config.AuthInfos[c.Name()] = &clientcmdapi.AuthInfo{Token: tr.Status.Token}
	config.Contexts[c.Name()] = &clientcmdapi.Context{Cluster: c.Name(), AuthInfo: c.Name()}
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: "istio-remote-secret-" + c.Name(), Namespace: "istio-system",
			Labels: map[string]string{"istio/multiCluster": "true"}, Annotations: map[string]string{"networking.istio.io/cluster": c.Name()},
		},
		Data: map[string][]byte{c.Name(): text},
	}
}

// federate does all of it under one root.
func federate(t testing.TB, set *cluster.Set) *authority {
	t.Helper()
	root := newAuthority(t, "shared root", nil)
	for _, c := range set.Clusters {
		putCACerts(t, c, cacerts(t, root, c.Name()))
		restartAll(t, set, c)
		nameNetwork(t, c)
		exposeServices(t, c)
	}
	for _, c := range set.Clusters {
		secret := remoteSecret(t, c)
		for _, other := range set.Clusters {
			if other != c {
				putSecret(t, other, secret)
			}
		}
	}
	return root
}
