// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const multiCluster = "istio/multiCluster"

// remoteSecrets does something with each Secret by which another cluster reads
// the victim.
func (v *victim) remoteSecrets(ctx context.Context, do func(context.Context, *victim, *corev1.Secret) error) error {
	others, err := v.others()
	if err != nil {
		return err
	}
	for _, o := range others {
		all, err := o.kube.CoreV1().Secrets(system).List(ctx, metav1.ListOptions{LabelSelector: multiCluster + "=true"})
		if err != nil {
			return fmt.Errorf("list remote secrets of %s: %w", o.Name(), err)
		}
		for i := range all.Items {
			s := &all.Items[i]
			if _, leads := s.Data[v.Name()]; !leads {
				continue
			}
			if err := do(ctx, o, s); err != nil {
				return fmt.Errorf("remote secret %s of %s: %w", s.Name, o.Name(), err)
			}
		}
	}
	return nil
}

func remoteSecretMissing(ctx context.Context, v *victim) error {
	return v.remoteSecrets(ctx, func(ctx context.Context, o *victim, s *corev1.Secret) error {
		return o.kube.CoreV1().Secrets(system).Delete(ctx, s.Name, metav1.DeleteOptions{})
	})
}

func remoteSecretUnlabelled(ctx context.Context, v *victim) error {
	return v.remoteSecrets(ctx, func(ctx context.Context, o *victim, s *corev1.Secret) error {
		delete(s.Labels, multiCluster)
		_, err := o.kube.CoreV1().Secrets(system).Update(ctx, s, metav1.UpdateOptions{})
		return err
	})
}

// rewrite changes the kubeconfig of each remote secret for the victim.
func (v *victim) rewrite(ctx context.Context, change func(*clientcmdapi.Config) error) error {
	return v.remoteSecrets(ctx, func(ctx context.Context, o *victim, s *corev1.Secret) error {
		config, err := clientcmd.Load(s.Data[v.Name()])
		if err != nil {
			return errors.New("it holds no kubeconfig") // the cause may quote it
		}
		if err := change(config); err != nil {
			return err
		}
		if s.Data[v.Name()], err = clientcmd.Write(*config); err != nil {
			return errors.New("its kubeconfig cannot be written")
		}
		_, err = o.kube.CoreV1().Secrets(system).Update(ctx, s, metav1.UpdateOptions{})
		return err
	})
}

// remoteSecretBadCA has the API server's authority replaced, as when a cluster
// was made again under the same address.
func remoteSecretBadCA(ctx context.Context, v *victim) error {
	now := time.Now()
	other, err := selfSigned(&x509.Certificate{
		Subject: pkix.Name{CommonName: "kubernetes"}, NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	})
	if err != nil {
		return err
	}
	return v.rewrite(ctx, func(c *clientcmdapi.Config) error {
		for _, at := range c.Clusters {
			at.CertificateAuthorityData = encode(other.cert)
		}
		return nil
	})
}

// remoteSecretExpiredToken puts a token there that the API server does not take
// any more. It refuses an expired token and one whose signature is damaged with
// the same words, and no API issues a token that has expired already.
func remoteSecretExpiredToken(ctx context.Context, v *victim) error {
	return v.rewrite(ctx, func(c *clientcmdapi.Config) error {
		for _, u := range c.AuthInfos {
			i := strings.LastIndexByte(u.Token, '.') + 1
			if i == 0 || i == len(u.Token) {
				return errors.New("its token is none of a service account")
			}
			first := "A"
			if u.Token[i] == 'A' {
				first = "B"
			}
			u.Token = u.Token[:i] + first + u.Token[i+1:]
		}
		return nil
	})
}

// istiodDown takes the control plane away. What it told proxies they keep.
func istiodDown(ctx context.Context, v *victim) error {
	if err := v.patch(ctx, deployments, system, istiod, `{"spec":{"replicas":0}}`); err != nil {
		return err
	}
	return v.rolledOut(ctx, deployments, system, istiod)
}
