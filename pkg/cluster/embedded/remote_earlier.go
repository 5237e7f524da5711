// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

// earlier are the kubeconfigs that the running istiod had of other clusters
// before those it has now, newest first. It goes on serving what it reads
// through an old one until the new one has worked: a Secret that is changed to
// one that does not work costs nothing before istiod starts anew (istio 1.31
// pkg/kube/multicluster/secretcontroller.go, Swap; seen with the CA of another
// API server and with a refused token).
type earlier struct {
	mu        sync.Mutex
	byCluster map[string][]remoteSecret
}

// earlierKept bounds the kubeconfigs of one cluster.
const earlierKept = 4

// changed takes note of one write to a Secret.
func (e *earlier) changed(ev kubeapi.Event) {
	was, ok := ev.Old.(*corev1.Secret)
	if !ok || !isRemoteSecret(was) {
		return
	}
	now := map[string][]byte{}
	if is, ok := ev.Object.(*corev1.Secret); ok && ev.Type != watch.Deleted && isRemoteSecret(is) {
		now = is.Data
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, kubeconfig := range was.Data {
		next, leads := now[id]
		switch {
		case !leads:
			delete(e.byCluster, id)
		case !bytes.Equal(kubeconfig, next):
			all := append([]remoteSecret{{id, kubeconfig, sha256.Sum256(kubeconfig)}}, e.byCluster[id]...)
			e.byCluster[id] = all[:min(len(all), earlierKept)]
		}
	}
}

func isRemoteSecret(s *corev1.Secret) bool {
	return s.Namespace == rootNamespace && s.Labels[multiClusterLabel] == "true"
}

// of are those of one cluster.
func (e *earlier) of(id string) []remoteSecret {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.byCluster[id])
}

// forget lets go of those of one cluster: the one it has now has worked.
func (e *earlier) forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.byCluster, id)
}

// restarted is for an istiod that knows nothing of what another one had.
func (e *earlier) restarted() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.byCluster = map[string][]remoteSecret{}
}
