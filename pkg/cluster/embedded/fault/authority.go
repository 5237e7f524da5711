// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// sameName leaves a root's name as it is.
func sameName(*x509.Certificate) {}

// otherName gives a root a name of its own.
func otherName(c *x509.Certificate) {
	c.RawSubject, c.Subject = nil, pkix.Name{Organization: []string{"another mesh"}, CommonName: "Root CA"}
}

// rootMismatch gives the cluster a root of its own, all through.
func rootMismatch(name func(*x509.Certificate)) func(context.Context, *victim) error {
	return func(ctx context.Context, v *victim) error {
		p, err := v.plugin(ctx)
		if err != nil {
			return err
		}
		template := like(p.root)
		name(template)
		root, err := selfSigned(template)
		if err != nil {
			return err
		}
		if err := v.moveUnder(ctx, root); err != nil {
			return err
		}
		return v.restartAll(ctx)
	}
}

// moveUnder gives the cluster a new intermediate under another root.
func (v *victim) moveUnder(ctx context.Context, root authority) error {
	p, err := v.plugin(ctx)
	if err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	cert, err := root.reissue(like(p.cert), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return v.write(ctx, map[string][]byte{caCert: encode(cert), caKey: keyPEM, rootCert: encode(root.cert), certChain: encode(cert, root.cert)})
}

func rootIsIntermediate(ctx context.Context, v *victim) error {
	p, err := v.plugin(ctx)
	if err != nil {
		return err
	}
	if err := v.write(ctx, map[string][]byte{rootCert: encode(p.cert), certChain: encode(p.cert)}); err != nil {
		return err
	}
	return v.restartAll(ctx)
}

// caCertsAfterIstiod has istiod and all workloads start an hour ago, when
// there was no cacerts.
func caCertsAfterIstiod(ctx context.Context, v *victim) error {
	return v.recreate(ctx, func() error {
		// That istiod made its root when it started.
		if err := v.kube.CoreV1().Secrets(system).Delete(ctx, selfSignedCA, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete secret %s: %w", selfSignedCA, err)
		}
		v.shiftClock(-time.Hour)
		defer v.shiftClock(0)
		return v.restartAll(ctx)
	})
}

// chainOf writes another cert-chain.pem. Only istiod is restarted: nothing that
// asks it for a certificate afterwards could verify it.
func chainOf(certs func(context.Context, *victim, *pluggedIn) ([]*x509.Certificate, error)) func(context.Context, *victim) error {
	return func(ctx context.Context, v *victim) error {
		p, err := v.plugin(ctx)
		if err != nil {
			return err
		}
		chain, err := certs(ctx, v, p)
		if err != nil {
			return err
		}
		if err := v.write(ctx, map[string][]byte{certChain: encode(chain...)}); err != nil {
			return err
		}
		return v.restartIstiod(ctx)
	}
}

func withoutIntermediate(_ context.Context, _ *victim, p *pluggedIn) ([]*x509.Certificate, error) {
	return []*x509.Certificate{p.root}, nil
}

func foreignIntermediate(ctx context.Context, v *victim, p *pluggedIn) ([]*x509.Certificate, error) {
	others, err := v.others()
	if err != nil {
		return nil, err
	}
	theirs, err := others[0].plugin(ctx)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{theirs.cert, p.root}, nil
}

// intermediateExpired lets everything in the cluster start two hours ago with
// an intermediate that had an hour left. Its root signs it, so all clusters get
// a root whose key is known here.
func intermediateExpired(ctx context.Context, v *victim) error {
	if v.lab == nil {
		return errNoLab
	}
	root, err := v.changeRoot(ctx)
	if err != nil {
		return err
	}
	p, err := v.plugin(ctx)
	if err != nil {
		return err
	}
	template, now := like(p.cert), time.Now()
	template.NotBefore, template.NotAfter = now.AddDate(0, -3, 0), now.Add(-time.Hour)
	cert, err := root.reissue(template, p.key)
	if err != nil {
		return err
	}
	if err := v.write(ctx, map[string][]byte{caCert: encode(cert), certChain: encode(cert, root.cert)}); err != nil {
		return err
	}
	v.lab.ShiftClock(-2 * time.Hour)
	defer v.lab.ShiftClock(0)
	return v.restartAll(ctx)
}

// changeRoot moves all clusters under a new root, and restarts everything but
// what is in the namespaces of the victim that are left out.
func (v *victim) changeRoot(ctx context.Context, leftOut ...string) (authority, error) {
	p, err := v.plugin(ctx)
	if err != nil {
		return authority{}, err
	}
	template := like(p.root)
	template.RawSubject, template.Subject = nil, pkix.Name{Organization: p.root.Subject.Organization, CommonName: "Root CA of this year"}
	template.NotBefore = template.NotBefore.AddDate(-1, 0, 0)
	root, err := selfSigned(template)
	if err != nil {
		return authority{}, err
	}
	others, err := v.others()
	if err != nil {
		return authority{}, err
	}
	moves, ctx := errgroup.WithContext(ctx)
	move := func(c *victim, leftOut ...string) {
		moves.Go(func() error {
			if err := c.moveUnder(ctx, root); err != nil {
				return err
			}
			return c.restartAll(ctx, leftOut...)
		})
	}
	for _, c := range others {
		move(c)
	}
	move(v, leftOut...)
	return root, moves.Wait()
}

func workloadStaleLeaf(ctx context.Context, v *victim) error {
	namespace, _, err := v.served(cluster.Sidecar)
	if err != nil {
		return err
	}
	_, err = v.changeRoot(ctx, namespace)
	return err
}

// rootConfigMapStale puts a root into one namespace's ConfigMap that has the
// name of every root that istiod makes for itself.
func rootConfigMapStale(ctx context.Context, v *victim) error {
	namespace, _, err := v.served(cluster.Sidecar)
	if err != nil {
		return err
	}
	now := time.Now()
	old, err := selfSigned(&x509.Certificate{
		Subject: pkix.Name{Organization: []string{v.TrustDomain()}}, NotBefore: now.AddDate(0, -6, 0), NotAfter: now.AddDate(9, 6, 0),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	})
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`{"data":{%q:%q}}`, rootCert, encode(old.cert))
	if _, err := v.kube.CoreV1().ConfigMaps(namespace).Patch(ctx, rootConfigMap, types.MergePatchType, []byte(text), metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("patch configmap istio-ca-root-cert: %w", err)
	}
	return nil
}
