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
	"slices"
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

	ControlPlane cluster.ControlPlane `json:"controlPlane,omitzero"`

	Plugin     *CASecret `json:"plugin"`     // cacerts; null where there is none
	SelfSigned *CASecret `json:"selfSigned"` // istio-ca-secret; null where there is none

	IstiodStarted time.Time `json:"istiodStarted"` // of the youngest ready pod, zero where unknown
	Roots         Certs     `json:"roots"`         // istio-ca-root-cert of the root namespace

	Serving      Certs  `json:"serving"` // chain that istiod:15012 presents
	ServingError string `json:"servingError,omitempty"`
	Issued       Certs  `json:"issued"`      // chain of a certificate issued just now
	IssuedRoots  Certs  `json:"issuedRoots"` // trust anchors that came with it
	IssuedError  string `json:"issuedError,omitempty"`
	Denied       string `json:"denied,omitempty"` // permission without which istiod cannot be asked
}

// CASecret is a CA Secret without its private key.
type CASecret struct {
	Created   time.Time `json:"created"`
	Generated bool      `json:"generated,omitempty"` // istiod made it for itself and says so (istio-generated)
	Missing   []string  `json:"missing,omitempty"`   // keys that are absent or empty
	CACert    Certs     `json:"caCert"`
	Chain     Certs     `json:"chain"` // cert-chain.pem, or what stands for it
	Root      Certs     `json:"root"`
	KeySPKI   string    `json:"keySPKI,omitempty"`  // SHA-256 of the key's public half
	KeyError  string    `json:"keyError,omitempty"` // why the key cannot be read, never a part of it
}

// caFiles names the keys of a CA Secret; chain may be several, one after the
// other.
type caFiles struct {
	cert, key, root string
	chain           []string
}

// filesOf says which keys istiod reads of a CA Secret: where cacerts has a
// tls.crt, even an empty one, those of a kubernetes.io/tls Secret, whatever else
// there is, with tls.crt and ca.crt for a chain; Istio's own otherwise, and in
// its own istio-ca-secret always (istio pilot/pkg/bootstrap/istio_ca.go,
// detectSigningCABundleAndCRL).
func filesOf(name string, data map[string][]byte) caFiles {
	if _, ok := data["tls.crt"]; ok && name == PluginSecret {
		return caFiles{cert: "tls.crt", key: "tls.key", root: "ca.crt", chain: []string{"tls.crt", "ca.crt"}}
	}
	return caFiles{cert: "ca-cert.pem", key: "ca-key.pem", root: RootKey, chain: []string{"cert-chain.pem"}}
}

// Authorities observes the CA of each cluster.
func Authorities() probe.Observation[probe.ClusterSubject, Authority] {
	return probe.Observation[probe.ClusterSubject, Authority]{
		Name: "authority", Over: probe.Clusters, Observe: observeAuthority,
	}
}

func observeAuthority(ctx context.Context, env *probe.Env, c probe.ClusterSubject) (Authority, error) {
	a := Authority{At: env.Now(), Cluster: c.Name(), ControlPlane: cluster.ControlPlaneOf(c.Cluster)}
	root := a.ControlPlane.Namespace()
	k, err := Kube(c.Cluster)
	if err != nil {
		return a, err
	}
	if a.Plugin, err = caSecret(ctx, k, root, PluginSecret); err != nil {
		return a, err
	}
	if a.SelfSigned, err = caSecret(ctx, k, root, SelfSignedSecret); err != nil {
		return a, err
	}
	cm, err := ConfigMap(ctx, k, root, RootConfigMap)
	if err != nil {
		return a, err
	}
	if cm != nil {
		a.Roots = FromPEM([]byte(cm.Data[RootKey]))
	}
	if a.IstiodStarted, err = istiodStarted(ctx, k, a.ControlPlane); err != nil {
		return a, err
	}
	a.serving(ctx, c.Cluster)
	a.issued(ctx, env, c.Cluster)
	return a, nil
}

// serving records what istiod presents on its CA port, trusting nothing.
func (a *Authority) serving(ctx context.Context, c cluster.Cluster) {
	conn, err := c.Dial(ctx, cluster.Workload{}, fmt.Sprintf("%s:%d", a.ControlPlane.Host(), cluster.PortCA))
	if err != nil {
		a.ServingError = err.Error()
		a.denied(err)
		return
	}
	defer conn.Close()
	tc := tls.Client(conn, &tls.Config{
		ServerName:         a.ControlPlane.Host(),
		InsecureSkipVerify: true, //nolint:gosec // what is presented is recorded and judged, not trusted
		NextProtos:         []string{"h2"},
	})
	if err := tc.HandshakeContext(ctx); err != nil {
		a.ServingError = err.Error()
		return
	}
	a.Serving = FromX509(tc.ConnectionState().PeerCertificates)
}

// issued asks the CA for a certificate, as a workload would. Where the provider
// mints no identities, or nothing runs to ask for, there is none to judge.
func (a *Authority) issued(ctx context.Context, env *probe.Env, c cluster.Cluster) {
	ids, ok := cluster.As[cluster.Identities](c)
	w := a.asker(ctx, env, c)
	if !ok || w == nil {
		return
	}
	id, err := ids.Identity(ctx, w.Namespace, w.ServiceAccount)
	if err != nil {
		a.IssuedError = err.Error()
		a.denied(err)
		return
	}
	a.Issued, a.IssuedRoots = FromX509(id.Certificates), FromX509(id.Roots)
}

// denied keeps the permission that an error is about.
func (a *Authority) denied(err error) {
	if d, ok := errors.AsType[*cluster.DeniedError](err); ok {
		a.Denied = d.What
	}
}

// asker is the workload in whose name a certificate is asked for: one that
// verifies istiod with the roots that istiod itself distributed. Namespaces with
// other roots are a matter of their own.
func (a *Authority) asker(ctx context.Context, env *probe.Env, c cluster.Cluster) *cluster.Workload {
	var first *cluster.Workload
	seen := map[string]bool{}
	for i, w := range env.Workloads {
		if w.Cluster != c.Name() || seen[w.Namespace] {
			continue
		}
		seen[w.Namespace] = true
		if first == nil {
			first = &env.Workloads[i]
		}
		if roots, err := Bundle(ctx, c, w.Namespace); err == nil && slices.Equal(roots.SPKIs(), a.Roots.SPKIs()) {
			return &env.Workloads[i]
		}
	}
	return first
}

func caSecret(ctx context.Context, k kubernetes.Interface, root, name string) (*CASecret, error) {
	s, err := Secret(ctx, k, root, name)
	if s == nil || err != nil {
		return nil, err
	}
	files := filesOf(name, s.Data)
	ca := &CASecret{
		Created: s.CreationTimestamp.Time,
		CACert:  FromPEM(s.Data[files.cert]), Root: FromPEM(s.Data[files.root]),
	}
	for _, file := range files.chain {
		ca.Chain = append(ca.Chain, FromPEM(s.Data[file])...)
	}
	_, ca.Generated = s.Data["istio-generated"]
	for _, file := range append([]string{files.cert, files.key, files.root}, files.chain...) {
		if len(s.Data[file]) == 0 && !slices.Contains(ca.Missing, file) {
			ca.Missing = append(ca.Missing, file)
		}
	}
	ca.KeySPKI, ca.KeyError = keySPKI(s.Data[files.key])
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

func istiodStarted(ctx context.Context, k kubernetes.Interface, in cluster.ControlPlane) (time.Time, error) {
	pods, err := k.CoreV1().Pods(in.Namespace()).List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
	if err != nil {
		return time.Time{}, APIError(err, "list", "pods in "+in.Namespace())
	}
	var youngest time.Time
	for _, p := range pods.Items {
		if in.Runs(p.Labels["istio.io/rev"]) && p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && p.Status.StartTime != nil && p.Status.StartTime.After(youngest) {
			youngest = p.Status.StartTime.Time
		}
	}
	return youngest, nil
}

// CARoots is root-cert.pem of the CA that a cluster should sign with: that of
// cacerts, else the self-signed one. Empty where there is neither.
func CARoots(ctx context.Context, c cluster.Cluster) (Certs, error) {
	k, err := Kube(c)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{PluginSecret, SelfSignedSecret} {
		s, err := caSecret(ctx, k, cluster.ControlPlaneOf(c).Namespace(), name)
		if err != nil {
			return nil, err
		}
		if s != nil && len(s.Root) > 0 {
			return s.Root, nil
		}
		if s != nil {
			return s.CACert, nil // older istiods write no root-cert.pem beside their own
		}
	}
	return nil, nil
}
