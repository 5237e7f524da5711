// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// What kube-controller-manager does around the API and clients take for part
// of it: a default service account and the API's CA in every namespace, the
// token of a token secret, the end of what belonged to a service account.

// fill puts token, namespace and ca.crt into a secret of type
// kubernetes.io/service-account-token whose service account exists.
func (s *Store) fill(o object) error {
	secret, ok := o.(*corev1.Secret)
	if !ok || secret.Type != corev1.SecretTypeServiceAccountToken || len(secret.Data[corev1.ServiceAccountTokenKey]) > 0 {
		return nil
	}
	name := secret.Annotations[corev1.ServiceAccountNameKey]
	sa, err := s.serviceAccount(secret.Namespace, name)
	if err != nil {
		return nil //nolint:nilerr // without its service account the secret stays empty
	}
	token, err := s.issuer.forSecret(sa, secret.Name)
	if err != nil {
		return err
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[corev1.ServiceAccountTokenKey] = []byte(token)
	secret.Data[corev1.ServiceAccountNamespaceKey] = []byte(secret.Namespace)
	secret.Data[corev1.ServiceAccountRootCAKey] = s.caPEM
	secret.Annotations[corev1.ServiceAccountUIDKey] = string(sa.UID)
	return nil
}

// furnish puts into a new namespace what every namespace has.
func (s *Store) furnish(o object) error {
	ns, ok := o.(*corev1.Namespace)
	if !ok {
		return nil
	}
	sa := &corev1.ServiceAccount{}
	sa.Name, sa.Namespace = "default", ns.Name
	ca := &corev1.ConfigMap{Data: map[string]string{"ca.crt": string(s.caPEM)}}
	ca.Name, ca.Namespace = "kube-root-ca.crt", ns.Name
	for _, obj := range []object{sa, ca} {
		gvk, err := gvkOf(obj)
		if err != nil {
			return err
		}
		row := s.table.byKind[gvk]
		setKind(obj, row, gvk.Version)
		if err := s.create(row, ns.Name, obj, writeMode{}); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes what must not outlive o.
func (s *Store) sweep(r *Resource, o object) error {
	if sa, ok := o.(*corev1.ServiceAccount); ok {
		if err := s.dropTokens(sa); err != nil {
			return err
		}
	}
	if !r.Namespaced {
		return nil
	}
	row := s.table.byName[namespaces()]
	ns, err := s.get(row, "", o.GetNamespace())
	if err != nil || ns.GetDeletionTimestamp() == nil {
		return nil //nolint:nilerr // the namespace is gone already
	}
	_, err = s.finalize(row, ns)
	return err
}

func (s *Store) dropTokens(sa *corev1.ServiceAccount) error {
	row := s.table.byName[corev1.SchemeGroupVersion.WithResource("secrets")]
	owned, err := s.listLocked(row, sa.Namespace, func(o object) bool {
		secret, ok := o.(*corev1.Secret)
		return ok && secret.Type == corev1.SecretTypeServiceAccountToken &&
			secret.Annotations[corev1.ServiceAccountNameKey] == sa.Name &&
			types.UID(secret.Annotations[corev1.ServiceAccountUIDKey]) == sa.UID
	})
	if err != nil {
		return err
	}
	for _, o := range owned {
		if err := s.commit(row, watch.Deleted, o, copyOf(o)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) serviceAccount(namespace, name string) (*corev1.ServiceAccount, error) {
	o, err := s.tracker.Get(corev1.SchemeGroupVersion.WithResource("serviceaccounts"), namespace, name)
	if err != nil {
		return nil, err
	}
	return o.(*corev1.ServiceAccount), nil //nolint:forcetypeassert // the store keeps builtin kinds typed
}
