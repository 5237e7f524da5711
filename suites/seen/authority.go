// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// The Secrets in which istiod finds or keeps its CA.
const (
	PluginSecret     = "cacerts"
	SelfSignedSecret = "istio-ca-secret"
	RootConfigMap    = "istio-ca-root-cert"
	RootKey          = "root-cert.pem"
)

// Authority is the CA of a cluster: what its objects hold, and what istiod
// really signs with.
type Authority struct {
	At      time.Time `json:"at"`
	Cluster string    `json:"cluster"`

	Plugin     *CASecret `json:"plugin"`     // cacerts; null where there is none
	SelfSigned *CASecret `json:"selfSigned"` // istio-ca-secret; null where there is none

	IstiodStarted time.Time `json:"istiodStarted"` // of the youngest ready pod, zero where unknown
	Roots         Certs     `json:"roots"`         // istio-ca-root-cert of istio-system

	Serving      Certs  `json:"serving"` // chain that istiod:15012 presents
	ServingError string `json:"servingError,omitempty"`
	Issued       Certs  `json:"issued"`      // chain of a certificate issued just now
	IssuedRoots  Certs  `json:"issuedRoots"` // trust anchors that came with it
	IssuedError  string `json:"issuedError,omitempty"`
}

// CASecret is a CA Secret without its private key.
type CASecret struct {
	Created  time.Time `json:"created"`
	Missing  []string  `json:"missing,omitempty"` // keys that are absent or empty
	CACert   Certs     `json:"caCert"`
	Chain    Certs     `json:"chain"` // cert-chain.pem
	Root     Certs     `json:"root"`
	KeySPKI  string    `json:"keySPKI,omitempty"`  // SHA-256 of the key's public half
	KeyError string    `json:"keyError,omitempty"` // why the key cannot be read, never a part of it
}

// CAFiles are the keys of a plugged-in CA.
func CAFiles() []string {
	return []string{"ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"}
}

// Signer is the certificate that the cluster's CA should sign with: that of
// cacerts where there is one, else the self-signed one. Nil where neither is
// readable.
func (a Authority) Signer() *x509.Certificate {
	for _, s := range []*CASecret{a.Plugin, a.SelfSigned} {
		if s != nil {
			return s.CACert.Leaf()
		}
	}
	return nil
}

// ObserveAuthority looks at the CA of a cluster.
func ObserveAuthority(ctx context.Context, env *probe.Env, c probe.ClusterSubject) (Authority, error) {
	a := Authority{At: env.Now(), Cluster: c.Name()}
	k, err := Kube(c.Cluster)
	if err != nil {
		return a, err
	}
	if a.Plugin, err = caSecret(ctx, k, PluginSecret); err != nil {
		return a, err
	}
	if a.SelfSigned, err = caSecret(ctx, k, SelfSignedSecret); err != nil {
		return a, err
	}
	cm, err := ConfigMap(ctx, k, SystemNamespace, RootConfigMap)
	if err != nil {
		return a, err
	}
	if cm != nil {
		a.Roots = FromPEM([]byte(cm.Data[RootKey]))
	}
	if a.IstiodStarted, err = istiodStarted(ctx, k); err != nil {
		return a, err
	}
	a.serving(ctx, c.Cluster)
	return a, a.issued(ctx, c.Cluster)
}

// serving records what istiod presents on its CA port, trusting nothing.
func (a *Authority) serving(ctx context.Context, c cluster.Cluster) {
	conn, err := c.Dial(ctx, cluster.Workload{}, fmt.Sprintf("istiod.%s.svc:%d", SystemNamespace, cluster.PortCA))
	if err != nil {
		a.ServingError = err.Error()
		return
	}
	defer conn.Close()
	tc := tls.Client(conn, &tls.Config{
		ServerName:         "istiod." + SystemNamespace + ".svc",
		InsecureSkipVerify: true, //nolint:gosec // what is presented is recorded and judged, not trusted
		NextProtos:         []string{"h2"},
	})
	if err := tc.HandshakeContext(ctx); err != nil {
		a.ServingError = err.Error()
		return
	}
	a.Serving = FromX509(tc.ConnectionState().PeerCertificates)
}

// issued asks the CA for a certificate, as a workload would.
func (a *Authority) issued(ctx context.Context, c cluster.Cluster) error {
	ids, ok := cluster.As[cluster.Identities](c)
	if !ok {
		a.IssuedError = "the provider mints no identities"
		return nil
	}
	ws, err := c.Workloads(ctx)
	if err != nil {
		return err
	}
	if len(ws) == 0 {
		a.IssuedError = "no workload to ask for"
		return nil
	}
	id, err := ids.Identity(ctx, ws[0].Namespace, ws[0].ServiceAccount)
	if err != nil {
		a.IssuedError = err.Error()
		return nil
	}
	a.Issued, a.IssuedRoots = FromX509(id.Certificates), FromX509(id.Roots)
	return nil
}

func caSecret(ctx context.Context, k kubernetes.Interface, name string) (*CASecret, error) {
	s, err := Secret(ctx, k, SystemNamespace, name)
	if s == nil || err != nil {
		return nil, err
	}
	ca := &CASecret{
		Created: s.CreationTimestamp.Time,
		CACert:  FromPEM(s.Data["ca-cert.pem"]), Chain: FromPEM(s.Data["cert-chain.pem"]), Root: FromPEM(s.Data["root-cert.pem"]),
	}
	for _, file := range CAFiles() {
		if len(s.Data[file]) == 0 {
			ca.Missing = append(ca.Missing, file)
		}
	}
	ca.KeySPKI, ca.KeyError = keySPKI(s.Data["ca-key.pem"])
	return ca, nil
}

// keySPKI hashes the public half of a private key. The errors of the parsers
// are not passed on: some quote their input.
func keySPKI(text []byte) (spki, problem string) {
	block, _ := pem.Decode(text)
	if block == nil {
		return "", "no PEM block"
	}
	key, err := parseKey(block.Bytes)
	if err != nil {
		return "", "neither PKCS#8, PKCS#1 nor SEC 1"
	}
	return spkiOf(key.Public())
}

func parseKey(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	return nil, errors.New("unknown key encoding")
}

func istiodStarted(ctx context.Context, k kubernetes.Interface) (time.Time, error) {
	pods, err := k.CoreV1().Pods(SystemNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
	if err != nil {
		return time.Time{}, APIError(err, "list", "pods in "+SystemNamespace)
	}
	var youngest time.Time
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && p.Status.StartTime != nil && p.Status.StartTime.After(youngest) {
			youngest = p.Status.StartTime.Time
		}
	}
	return youngest, nil
}
