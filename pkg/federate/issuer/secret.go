// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// SecretType is the type of a Secret that holds a root.
const SecretType corev1.SecretType = "meshprobe.io/root"

// Secret is a store in a Secret of one cluster: root-cert.pem, root-key.pem.
type Secret struct {
	Kube kubernetes.Interface
	Ref  cluster.Ref // context/namespace/name
}

var _ Store = Secret{}

// String is "secret CONTEXT/NAMESPACE/NAME".
func (s Secret) String() string { return "secret " + s.Ref.String() }

// Load reads the root.
func (s Secret) Load(ctx context.Context) (*Root, error) {
	got, err := s.Kube.CoreV1().Secrets(s.Ref.Namespace).Get(ctx, s.Ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, s.fail(fmt.Sprintf("kubectl --context %s -n %s auth can-i get secrets", s.Ref.Cluster, s.Ref.Namespace), "cannot be read", err)
	}
	return ParseRoot(got.Data[RootCertName], got.Data[RootKeyName], s.String())
}

// Save creates the Secret.
func (s Secret) Save(ctx context.Context, r *Root) error {
	key, err := EncodeKey(r.key)
	if err != nil {
		return err
	}
	_, err = s.Kube.CoreV1().Secrets(s.Ref.Namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.Ref.Name, Namespace: s.Ref.Namespace,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "meshprobe"},
		},
		Type: SecretType,
		Data: map[string][]byte{RootCertName: EncodeCertificates(r.Cert), RootKeyName: key},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err):
		return ErrRootExists
	case apierrors.IsNotFound(err):
		return s.fail(fmt.Sprintf("kubectl --context %s create namespace %s", s.Ref.Cluster, s.Ref.Namespace), "its namespace is missing", err)
	case err != nil:
		return s.fail(fmt.Sprintf("kubectl --context %s -n %s auth can-i create secrets", s.Ref.Cluster, s.Ref.Namespace), "cannot be written", err)
	}
	return nil
}

func (s Secret) fail(hint, msg string, err error) error {
	return &RootError{Problem: StoreFailed, Source: s.String(), Msg: msg, Hint: hint, Err: err}
}
