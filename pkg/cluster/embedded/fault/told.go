// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// tells bounds how long an istiod that was started anew may take to tell a
// namespace its root.
const tells = 30 * time.Second

// rootsTold waits until the namespaces of the mesh have the root of an istiod
// that was started anew. A pod that starts before trusts the old root for as long
// as the kubelet takes to look again, a minute or more, and so has no certificate.
// Where istiod does not tell a namespace, pods start all the same.
func (v *victim) rootsTold(ctx context.Context) error {
	if v.lab != nil {
		return nil // embedded pods follow the ConfigMap
	}
	root, err := v.root(ctx)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, tells)
	defer cancel()
	for _, ns := range v.meshed() {
		if err := v.rootTold(within, ns, root); err != nil && within.Err() == nil {
			return err
		}
	}
	return ctx.Err()
}

// root is that of the cluster's CA: plugged in, or made by istiod itself.
func (v *victim) root(ctx context.Context) ([]byte, error) {
	for _, s := range []struct{ name, key string }{{caCerts, rootCert}, {selfSignedCA, caCert}} {
		secret, err := v.kube.CoreV1().Secrets(system).Get(ctx, s.name, metav1.GetOptions{})
		if err == nil {
			return bytes.TrimSpace(secret.Data[s.key]), nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("get secret %s: %w", s.name, err)
		}
	}
	return nil, errors.New("the cluster has no CA")
}

func (v *victim) rootTold(ctx context.Context, namespace string, root []byte) error {
	maps := v.kube.CoreV1().ConfigMaps(namespace)
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, rootConfigMap).String()
	feed := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return maps.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return maps.Watch(ctx, o)
		},
	}
	_, err := watchtools.UntilWithSync(ctx, feed, &corev1.ConfigMap{}, nil, func(e watch.Event) (bool, error) {
		m, ok := e.Object.(*corev1.ConfigMap)
		return ok && e.Type != watch.Deleted && bytes.Contains([]byte(m.Data[rootCert]), root), nil
	})
	return err
}
