// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// multiClusterLabel is what makes istiod read a Secret as a remote secret.
const multiClusterLabel = "istio/multiCluster"

// remoteSecret is one entry of a remote secret: how the control plane reaches
// another cluster's API.
type remoteSecret struct {
	cluster    string
	kubeconfig []byte
	id         [sha256.Size]byte // of the kubeconfig
}

// knownSecrets are the remote secrets as of one generation of the Secrets.
type knownSecrets struct {
	generation uint64
	secrets    []remoteSecret
}

// remoteSecrets are the clusters that this one's istiod has been told of, by
// name: Secrets of the root namespace with label istio/multiCluster=true, one
// cluster per key, the first of a name wins (istio
// pkg/kube/multicluster/secretcontroller.go).
func (in *instance) remoteSecrets() []remoteSecret {
	generation := in.credential.Load()
	if k := in.known.Load(); k != nil && k.generation == generation {
		return k.secrets
	}
	objects, _, err := in.store.List(secretsGVR, rootNamespace, labels.Set{multiClusterLabel: "true"}.AsSelectorPreValidated())
	if err != nil {
		in.log.Warn("remote secrets not read", "err", err)
		return nil
	}
	var found []remoteSecret
	for _, s := range each[*corev1.Secret](objects) {
		for id, kubeconfig := range s.Data {
			known := slices.ContainsFunc(found, func(r remoteSecret) bool { return r.cluster == id })
			if id != in.spec.Name && !known {
				found = append(found, remoteSecret{id, kubeconfig, sha256.Sum256(kubeconfig)})
			}
		}
	}
	slices.SortFunc(found, func(a, b remoteSecret) int { return cmp.Compare(a.cluster, b.cluster) })
	in.known.Store(&knownSecrets{generation, found})
	return found
}

// remote is the client of another cluster's API with one kubeconfig, and what
// was last read through it. Control planes of one mesh that hold the same
// kubeconfig share it: the same credentials get the same answers.
type remote struct {
	kube kubernetes.Interface
	dyn  dynamic.Interface
	http *http.Client
	peer *instance // behind the address, nil if it is none of this mesh

	mu      sync.Mutex
	stamp   [2]uint64 // the peer's generations at the last read
	at      time.Time
	current *registry
	stale   bool // kept because the last read failed
	err     error
}

// retryAfter is how long a failed read is believed.
const retryAfter = time.Second

// readTimeout bounds a read of a remote API that does not answer.
const readTimeout = 5 * time.Second

// remote finds or makes the client for a kubeconfig.
func (m *mesh) remote(s remoteSecret) (*remote, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.remotes[s.id]; r != nil {
		return r, nil
	}
	config, err := restConfig(s.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("create remote cluster %s: %w", s.cluster, err)
	}
	r := &remote{peer: m.byURL[config.Host]}
	if r.http, err = rest.HTTPClientFor(config); err != nil {
		return nil, fmt.Errorf("create remote cluster %s: %w", s.cluster, err)
	}
	r.kube, err = kubernetes.NewForConfigAndClient(config, r.http)
	if err == nil {
		r.dyn, err = dynamic.NewForConfigAndClient(config, r.http)
	}
	if err != nil {
		return nil, fmt.Errorf("create remote cluster %s: %w", s.cluster, err)
	}
	m.remotes[s.id] = r
	return r, nil
}

// restConfig reads a kubeconfig and refuses what istiod refuses (istio
// pkg/kube/util.go, sanitizeKubeConfig).
func restConfig(kubeconfig []byte) (*rest.Config, error) {
	raw, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, errors.New("kubeconfig is not one") // the parser's text may quote a credential
	}
	for _, auth := range raw.AuthInfos {
		for what, used := range map[string]bool{
			"clientKey": auth.ClientKey != "", "clientCertificate": auth.ClientCertificate != "",
			"tokenFile": auth.TokenFile != "", "exec": auth.Exec != nil, "authProvider": auth.AuthProvider != nil,
		} {
			if used {
				return nil, fmt.Errorf("%s is not allowed", what)
			}
		}
	}
	config, err := clientcmd.NewDefaultClientConfig(*raw, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, errors.New("kubeconfig leads to no cluster")
	}
	config.QPS = -1
	config.Timeout = readTimeout
	return config, nil
}

// close lets go of the connections. http.Client.CloseIdleConnections would stop
// at client-go's wrappers.
func (r *remote) close() { utilnet.CloseIdleConnectionsFor(r.http.Transport) }

// registry is what the remote's objects say. It reads them again when the
// remote changed, which stands in for the watches that istiod keeps open.
func (r *remote) registry(ctx context.Context, now time.Time) (*registry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var stamp [2]uint64
	if r.peer != nil {
		stamp = [2]uint64{r.peer.generation.Load(), r.peer.credential.Load()}
	}
	read := !r.at.IsZero() && r.stamp == stamp
	if read && (r.peer != nil && r.err == nil && !r.stale || now.Sub(r.at) < retryAfter) {
		return r.current, r.err
	}
	current, err := readRegistry(ctx, r.list)
	if ctx.Err() != nil {
		return nil, ctx.Err() // says nothing about the remote
	}
	if passing(err) && r.current != nil {
		// An informer keeps its store while a watch cannot be renewed.
		r.stamp, r.at, r.stale = stamp, now, true
		return r.current, nil
	}
	r.current, r.err, r.stamp, r.at, r.stale = current, err, stamp, now, false
	return r.current, r.err
}

// passing tells a refusal that a client repeats from one that stays: a wrong
// credential, a missing permission, an address where no API is.
func passing(err error) bool {
	return apierrors.IsInternalError(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsTimeout(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsConflict(err) ||
		errors.Is(err, context.DeadlineExceeded)
}

// list implements reader through the remote's API.
func (r *remote) list(ctx context.Context, gvr schema.GroupVersionResource) ([]runtime.Object, error) {
	all := metav1.ListOptions{}
	core := r.kube.CoreV1()
	switch gvr {
	case namespacesGVR:
		l, err := core.Namespaces().List(ctx, all)
		return extract(l, err)
	case configMapsGVR:
		cm, err := core.ConfigMaps(rootNamespace).Get(ctx, meshConfigMap, metav1.GetOptions{})
		if err != nil {
			return nil, ignoreNotFound(err)
		}
		return []runtime.Object{cm}, nil
	case servicesGVR:
		l, err := core.Services("").List(ctx, all)
		return extract(l, err)
	case podsGVR:
		l, err := core.Pods("").List(ctx, all)
		return extract(l, err)
	case slicesGVR:
		l, err := r.kube.DiscoveryV1().EndpointSlices("").List(ctx, all)
		return extract(l, err)
	case istioGatewayGVR, serviceEntryGVR, envoyFilterGVR:
		return nil, nil // configuration is each cluster's own
	}
	l, err := r.dyn.Resource(gvr).List(ctx, all)
	return extract(l, err)
}

// extract unpacks a list.
func extract(list runtime.Object, err error) ([]runtime.Object, error) {
	if err != nil {
		return nil, err
	}
	return meta.ExtractList(list)
}
