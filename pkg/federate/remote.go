// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	readerAccount = "istio-reader-service-account"
	// readerToken is the Secret that istioctl create-remote-secret makes for
	// the reader's token. Kubernetes puts a token without an end into it, as a
	// remote secret has nobody to renew it.
	readerToken = "istio-reader-service-account-istio-remote-secret-token"

	remotePrefix     = "istio-remote-secret-"
	labelMulti       = "istio/multiCluster"
	annotationRemote = "networking.istio.io/cluster"
)

// applyRemoteSecrets takes one token of each cluster's reader and gives it to
// all the others.
func (f *federation) applyRemoteSecrets(ctx context.Context) error {
	err := each(f.members, f.opts.Parallel, func(m *member) error {
		return wrap(StepRemoteSecret, m.name, m.takeToken(ctx))
	})
	if err != nil {
		return err
	}
	wanted, err := f.remoteSecrets()
	if err != nil {
		return err
	}
	return each(f.members, f.opts.Parallel, func(m *member) error {
		done := f.events.begin(StepRemoteSecret, m.name, "remote secrets")
		if err := m.putRemoteSecrets(ctx, wanted); err != nil {
			return wrap(StepRemoteSecret, m.name, err)
		}
		done()
		return nil
	})
}

// takeToken makes sure that the reader has a token, and reads it.
func (m *member) takeToken(ctx context.Context) error {
	if err := m.makeReader(ctx); err != nil {
		return err
	}
	have, err := m.get(ctx, secrets, m.ns, readerToken)
	if err != nil {
		return err
	}
	if have == nil {
		if err := m.makeToken(ctx); err != nil {
			return err
		}
	} else if m.token = secretData(have)["token"]; len(m.token) > 0 {
		return nil
	}
	return await(ctx, m.in(secrets, m.ns), byName(readerToken), m.f.opts.StepTimeout, func(seen objects) ([]string, error) {
		if m.token = secretData(seen[objectKey{m.ns, readerToken}])["token"]; len(m.token) > 0 {
			return nil, nil
		}
		return []string{"secret " + readerToken + " has no token yet"}, nil
	})
}

func (m *member) makeToken(ctx context.Context) error {
	want := m.newSecret(readerToken, "kubernetes.io/service-account-token", nil)
	want.SetAnnotations(map[string]string{"kubernetes.io/service-account.name": readerAccount, annotationPrevious: previousAbsent})
	return retry(ctx, func() error {
		_, err := m.in(secrets, m.ns).Create(ctx, want.DeepCopy(), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
}

// remoteSecrets makes the Secret that leads to each cluster, by its name.
func (f *federation) remoteSecrets() (map[string]*unstructured.Unstructured, error) {
	out := make(map[string]*unstructured.Unstructured, len(f.members))
	for _, m := range f.members {
		config, err := kubeconfig(m)
		if err != nil {
			return nil, wrap(StepRemoteSecret, m.name, err)
		}
		s := m.newSecret(remotePrefix+m.name, "Opaque", map[string][]byte{m.name: config}, labelMulti, "true")
		s.SetAnnotations(map[string]string{annotationRemote: m.name})
		out[m.name] = s
	}
	return out, nil
}

// kubeconfig leads to a cluster with its reader's token, as istioctl
// create-remote-secret writes it: names are the cluster's.
func kubeconfig(m *member) ([]byte, error) {
	if u, err := url.Parse(m.api.URL); err != nil || u.Scheme != "https" || len(m.api.CA) == 0 {
		return nil, fmt.Errorf("the API server address %q is not https with a CA, so other clusters cannot trust it", m.api.URL)
	}
	c := clientcmdapi.NewConfig()
	c.Clusters[m.name] = &clientcmdapi.Cluster{Server: m.api.URL, CertificateAuthorityData: m.api.CA}
	c.AuthInfos[m.name] = &clientcmdapi.AuthInfo{Token: string(m.token)}
	c.Contexts[m.name] = &clientcmdapi.Context{Cluster: m.name, AuthInfo: m.name}
	c.CurrentContext = m.name
	text, err := clientcmd.Write(*c)
	if err != nil {
		return nil, errors.New("the kubeconfig cannot be written") // the cause may quote it
	}
	return text, nil
}

// putRemoteSecrets writes those of all other clusters, after one list.
func (m *member) putRemoteSecrets(ctx context.Context, wanted map[string]*unstructured.Unstructured) error {
	have, err := m.remoteSecretsThere(ctx)
	if err != nil {
		return err
	}
	kept, err := m.list(ctx, secrets, m.ns, labelBackup+"="+string(secrets))
	if err != nil {
		return err
	}
	for _, o := range m.f.members {
		if o == m {
			continue
		}
		want := wanted[o.name].DeepCopy()
		want.SetNamespace(m.ns)
		if have[o.name] != nil && satisfies(have[o.name], want) {
			continue
		}
		if have[o.name] == nil && len(kept) == 0 {
			// The common case of many clusters: one request for each.
			if m.createNew(ctx, secrets, want, previousAbsent) == nil {
				continue
			}
		}
		if err := m.put(ctx, secrets, want); err != nil {
			return fmt.Errorf("secret %s: %w", want.GetName(), err)
		}
	}
	return nil
}

// remoteSecretsThere are the remote secrets of meshprobe's names by the cluster
// that they lead to.
func (m *member) remoteSecretsThere(ctx context.Context) (map[string]*unstructured.Unstructured, error) {
	items, err := m.list(ctx, secrets, m.ns, labelMulti+"=true")
	if err != nil {
		return nil, err
	}
	out := map[string]*unstructured.Unstructured{}
	for i := range items {
		for _, o := range m.f.members {
			if items[i].GetName() == remotePrefix+o.name {
				out[o.name] = &items[i]
			}
		}
	}
	return out, nil
}

func planRemoteSecrets(ctx context.Context, m *member) ([]Change, error) {
	have, err := m.remoteSecretsThere(ctx)
	if err != nil {
		return nil, err
	}
	var out []Change
	own, err := m.plannedConfig(ctx)
	if err != nil {
		return nil, err
	}
	missing, err := m.missingReader(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range missing {
		out = append(out, Change{Op: "+", Object: w.String(), Text: "(reads for the other control planes)"})
	}
	if own == nil {
		out = append(out, Change{Op: "+", Object: m.ns + "/secret " + readerToken, Text: "(token of " + readerAccount + ")"})
	}
	for _, o := range m.f.members {
		if o == m {
			continue
		}
		op, current := "+", have[o.name]
		if current != nil {
			same, err := leadsTo(ctx, current, o)
			if err != nil {
				return nil, err
			}
			if same {
				continue
			}
			op = "~"
		}
		out = append(out, Change{Op: op, Object: m.ns + "/secret " + remotePrefix + o.name, Text: fmt.Sprintf("kubeconfig for %s (with token)", o.api.URL)})
	}
	return out, nil
}

// leadsTo reports whether a remote secret is the one that Apply would write.
func leadsTo(ctx context.Context, s *unstructured.Unstructured, to *member) (bool, error) {
	want, err := to.plannedConfig(ctx)
	if err != nil || want == nil {
		return false, err
	}
	return bytes.Equal(secretData(s)[to.name], want) && s.GetAnnotations()[annotationRemote] == to.name && s.GetLabels()[labelMulti] == "true", nil
}

// plannedConfig is the kubeconfig that leads here, nil while there is no token.
func (m *member) plannedConfig(ctx context.Context) ([]byte, error) {
	m.planned.Do(func() {
		s, err := m.get(ctx, secrets, m.ns, readerToken)
		if m.token = secretData(s)["token"]; err != nil || len(m.token) == 0 {
			m.confErr = err
			return
		}
		m.config, m.confErr = kubeconfig(m)
	})
	return m.config, m.confErr
}

// undoRemoteSecrets puts back what was there before the remote secrets, then
// ends the token that they used.
func undoRemoteSecrets(ctx context.Context, m *member) error {
	names, err := m.written(ctx, secrets, labelMulti+"=true")
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, remotePrefix) {
			err = errors.Join(err, m.restore(ctx, secrets, m.ns, name))
		}
	}
	return err
}

func undoToken(ctx context.Context, m *member) error {
	return m.restore(ctx, secrets, m.ns, readerToken)
}
