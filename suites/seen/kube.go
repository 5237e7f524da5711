// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// ErrNoKube says that a cluster gives no access to its Kubernetes API.
var ErrNoKube = errors.New("the provider gives no access to the Kubernetes API")

// Kube is the Kubernetes client of a cluster.
func Kube(c cluster.Cluster) (kubernetes.Interface, error) {
	k, ok := cluster.As[cluster.Kube](c)
	if !ok {
		return nil, fmt.Errorf("%s: %w", c.Name(), ErrNoKube)
	}
	return k.Kubernetes(), nil
}

// APIError turns an error of a Kubernetes API into what the engine knows:
// forbidden is a missing permission, everything else stays as it is. A provider
// that knows better what was refused says so itself.
func APIError(err error, verb, resource string) error {
	if _, ok := errors.AsType[*cluster.DeniedError](err); ok {
		return err
	}
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return &probe.DeniedError{What: verb + " " + resource, Err: err}
	}
	return err
}

// Secret reads a Secret; nil where there is none.
func Secret(ctx context.Context, k kubernetes.Interface, namespace, name string) (*corev1.Secret, error) {
	s, err := k.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // absent is an answer here, not an error
	}
	return s, APIError(err, "get", "secrets in "+namespace)
}

// ConfigMap reads a ConfigMap; nil where there is none.
func ConfigMap(ctx context.Context, k kubernetes.Interface, namespace, name string) (*corev1.ConfigMap, error) {
	cm, err := k.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // absent is an answer here, not an error
	}
	return cm, APIError(err, "get", "configmaps in "+namespace)
}
