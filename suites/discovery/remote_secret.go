// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// RemoteSecret checks the Secret by which one cluster's istiod reads the
// other's services: there, labelled, working, and for the right cluster.
var RemoteSecret = probe.Define(probe.Meta{
	ID:      "discovery/remote-secret",
	Title:   "istiod holds a working remote secret for the other cluster",
	About:   "The Secret labelled istio/multiCluster=true with the other cluster's name as its key is there, its kubeconfig is one that istiod takes, and with it the right API server answers a list of services.",
	Clause:  spec.IstioRemoteSecret,
	Causes:  []probe.Cause{causeRemoteSecret, causeWrongCluster},
	Applies: "directions between clusters",
}, probe.Directions, observeRemoteSecret, judgeRemoteSecret)

var (
	causeRemoteSecret = probe.Cause{
		Code: "remote-secret-missing-or-broken", Title: "istiod cannot read the other cluster's services: its remote secret is missing or does not work",
		Try: []string{
			"istioctl --context {{.To}} create-remote-secret --name {{.To}} | kubectl --context {{.From}} apply -f -",
			"istioctl --context {{.From}} remote-clusters",
		},
	}
	causeWrongCluster = probe.Cause{
		Code: "remote-secret-wrong-cluster", Title: "the remote secret leads to another cluster than its name says",
		Try: []string{"istioctl --context {{.To}} create-remote-secret --name {{.To}} | kubectl --context {{.From}} apply -f -"},
	}
)

// remoteSecretSeen is the remote secret of one direction, without credentials.
type remoteSecretSeen struct {
	From     string   `json:"from"`
	To       string   `json:"to"`
	Secret   string   `json:"secret,omitempty"` // name of the Secret that holds the key
	Labelled bool     `json:"labelled"`
	Others   []string `json:"others,omitempty"` // keys of the other remote secrets
	Problem  string   `json:"problem,omitempty"`
	Reached  string   `json:"reached,omitempty"` // UID of kube-system behind the kubeconfig
	Expected string   `json:"expected"`          // UID of kube-system of the other cluster, empty where unknown
	Services int      `json:"services"`          // seen with it, bounded

	ControlPlane cluster.ControlPlane `json:"controlPlane,omitzero"` // that looks for it
}

const multiClusterLabel = "istio/multiCluster"

func observeRemoteSecret(ctx context.Context, env *probe.Env, p cluster.Pair) (remoteSecretSeen, error) {
	o := remoteSecretSeen{From: p.A.Name(), To: p.B.Name(), ControlPlane: cluster.ControlPlaneOf(p.A)}
	k, err := seen.Kube(p.A)
	if err != nil {
		return o, err
	}
	other, err := seen.Kube(p.B)
	if err != nil {
		return o, err
	}
	if o.Expected, err = clusterUID(ctx, other); err != nil {
		return o, seen.APIError(err, "get", "namespaces")
	}
	secret, err := o.find(ctx, k)
	if err == nil && (secret == nil || secret.Data[o.To] == nil) && len(env.Lacks) > 0 {
		return o, env.Lacks[0] // the name by which istiod knows the cluster may be another
	}
	if err != nil || secret == nil {
		return o, err
	}
	look, cancel := seen.Short(ctx)
	defer cancel()
	if err := o.try(look, p.A, secret.Data[o.To]); err != nil {
		return o, err
	}
	if o.Problem != "" {
		// The control: with our own credentials the same API must answer.
		if _, err := clusterUID(ctx, other); err != nil {
			return o, seen.APIError(err, "get", "namespaces")
		}
	}
	return o, nil
}

// find looks for the Secret, also without its label: that is the usual slip.
func (o *remoteSecretSeen) find(ctx context.Context, k kubernetes.Interface) (*corev1.Secret, error) {
	list, err := k.CoreV1().Secrets(o.ControlPlane.Namespace()).List(ctx, metav1.ListOptions{LabelSelector: multiClusterLabel + "=true"})
	if err != nil {
		return nil, seen.APIError(err, "list", "secrets in "+o.ControlPlane.Namespace())
	}
	for _, s := range list.Items {
		if _, ok := s.Data[o.To]; ok {
			o.Secret, o.Labelled = s.Name, true
			return &s, nil
		}
		for key := range s.Data {
			o.Others = append(o.Others, key)
		}
	}
	s, err := seen.Secret(ctx, k, o.ControlPlane.Namespace(), "istio-remote-secret-"+o.To)
	if s != nil {
		o.Secret = s.Name
	}
	return s, err
}

// try uses the kubeconfig as istiod would, from where istiod runs as far as the
// provider stands there. What goes wrong is kept without the kubeconfig's
// content; the error is an API's that is in trouble itself, or the provider's.
func (o *remoteSecretSeen) try(ctx context.Context, from cluster.Cluster, kubeconfig []byte) error {
	config, problem := loadKubeconfig(kubeconfig)
	if problem != "" {
		o.Problem = problem
		return nil
	}
	if out, ok := cluster.As[cluster.Egress](from); ok {
		config.Dial = func(ctx context.Context, _, addr string) (net.Conn, error) { return out.DialOut(ctx, addr) }
	}
	// A port-forward that one of its streams ends by a reset takes the others with
	// it (kubernetes/kubernetes#74551): that says nothing of the kubeconfig.
	first, cancel := half(ctx)
	defer cancel()
	err := o.use(first, config)
	if err != nil && !answered(err) {
		err = o.use(ctx, config)
	}
	return o.failed(err)
}

// half is the first half of the time that there is.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/2)
}

// use looks at the other cluster once.
func (o *remoteSecretSeen) use(ctx context.Context, config *rest.Config) error {
	k, done, err := client(config)
	defer done()
	if err != nil {
		return errNoClient // the error may hold a credential
	}
	if o.Reached, err = clusterUID(ctx, k); err != nil {
		return err
	}
	services, err := k.CoreV1().Services("").List(ctx, metav1.ListOptions{Limit: 10})
	if err != nil {
		return err
	}
	o.Services = len(services.Items)
	return nil
}

var errNoClient = errors.New("the kubeconfig makes no client")

// answered says that an error is somebody's answer, or not for want of one.
func answered(err error) bool {
	_, status := errors.AsType[*apierrors.StatusError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, far := errors.AsType[*cluster.OutOfReachError](err)
	return status || untrusted || far || errors.Is(err, errNoClient)
}

// client speaks over connections of its own, which done closes.
func client(config *rest.Config) (k kubernetes.Interface, done func(), err error) {
	over, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, func() {}, err
	}
	k, err = kubernetes.NewForConfigAndClient(config, over)
	return k, func() { utilnet.CloseIdleConnectionsFor(over.Transport) }, err
}

// failed keeps what the credentials or the way are to blame for.
func (o *remoteSecretSeen) failed(err error) error {
	if err == nil {
		return nil
	}
	if far, ok := errors.AsType[*cluster.OutOfReachError](err); ok {
		return far
	}
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok {
		switch status.Status().Code {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		default:
			return err
		}
	}
	o.Problem = err.Error()
	return nil
}

// loadKubeconfig reads a kubeconfig as istiod does: what could run a program
// or read a file of the reader's machine is refused (istio pkg/kube, 1.31).
func loadKubeconfig(raw []byte) (*rest.Config, string) {
	if len(raw) == 0 {
		return nil, "the Secret has no key of the cluster's name"
	}
	c, err := clientcmd.Load(raw)
	if err != nil {
		return nil, "the value is no kubeconfig"
	}
	for _, u := range c.AuthInfos {
		switch {
		case u.Exec != nil:
			return nil, "exec authentication, which istiod refuses"
		case u.AuthProvider != nil:
			return nil, "an auth provider, which istiod refuses"
		case u.TokenFile != "" || u.ClientKey != "" || u.ClientCertificate != "":
			return nil, "credentials in files, which istiod refuses"
		}
	}
	config, err := clientcmd.NewDefaultClientConfig(*c, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, "the kubeconfig is incomplete"
	}
	config.QPS, config.Burst = -1, -1
	return config, ""
}

// clusterUID identifies a cluster by the UID of its kube-system.
func clusterUID(ctx context.Context, k kubernetes.Interface) (string, error) {
	ns, err := k.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return string(ns.UID), nil
}

func judgeRemoteSecret(o remoteSecretSeen) []probe.Finding {
	label := "remote secret for " + o.To + " in " + o.From
	want := "a Secret in " + o.ControlPlane.Namespace() + ", labelled istio/multiCluster=true, with the key " + o.To
	fail := func(c probe.Cause, want, got string) []probe.Finding {
		return []probe.Finding{probe.Failing(c, probe.WantGot(label, want, got).As(probe.KindObject))}
	}
	switch {
	case o.Secret == "" && len(o.Others) > 0:
		return fail(causeRemoteSecret, want, "only for "+strings.Join(o.Others, ", "))
	case o.Secret == "":
		return fail(causeRemoteSecret, want, "none")
	case !o.Labelled:
		return fail(causeRemoteSecret, want, o.Secret+" without the label, which istiod does not read")
	case o.Problem != "":
		return fail(causeRemoteSecret, "its kubeconfig works", o.Problem)
	case o.Expected != "" && o.Reached != o.Expected:
		return fail(causeWrongCluster, "cluster "+o.Expected, "cluster "+o.Reached)
	}
	return []probe.Finding{probe.Passing(probe.Text(label, fmt.Sprintf("%s reaches the API, %d services seen", o.Secret, o.Services)).As(probe.KindObject))}
}
