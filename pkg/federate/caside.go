// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

const (
	caKeySecret = "meshprobe-ca-key" // the CA key, from before the CSR until cacerts has it
	caSecret    = "cacerts"
	selfSigned  = "istio-ca-secret" // of an istiod without cacerts
	caKeyKey    = "ca-key.pem"
	caCertKey   = "ca-cert.pem"
	rootCertKey = "root-cert.pem"
	chainKey    = "cert-chain.pem"

	// annotationRotates on the Secret of a waiting key is the mark of the CA that
	// it is to replace.
	annotationRotates = "meshprobe.io/rotates"

	// annotationFormer on cacerts says what becomes of the roots that it trusts
	// beside the shared one: a former… constant.
	annotationFormer    = "meshprobe.io/former-roots"
	formerUntilVerified = "until-verified" // Apply ends the trust in them
	formerUntilDropped  = "until-dropped"  // Drop does
	formerDropped       = "dropped"
)

// caSide is the side of one cluster on which its CA key lives. It speaks to
// that cluster's API only, and no result of it holds the key.
type caSide struct{ m *member }

// request makes sure that the cluster has a CA key, and returns a CSR for it. The
// key is stored before the CSR is made, so that whoever is interrupted goes on
// with the same key.
func (s caSide) request(ctx context.Context, p issuer.Profile) ([]byte, error) {
	var key crypto.Signer
	err := retry(ctx, func() error {
		have, err := s.m.read(ctx, secrets, s.m.ns, caKeySecret)
		if err != nil {
			return err
		}
		if have != nil {
			if key, err = issuer.ParseKey(secretData(have)[caKeyKey]); err == nil && p.Fits(key.Public()) {
				return nil
			}
		}
		if key, err = p.GenerateKey(); err != nil {
			return err
		}
		text, err := issuer.EncodeKey(key)
		if err != nil {
			return err
		}
		next := s.m.newSecret(caKeySecret, "Opaque", map[string][]byte{caKeyKey: text})
		if have != nil {
			next.SetAnnotations(have.GetAnnotations())
		}
		if have == nil {
			_, err = s.m.in(secrets, s.m.ns).Create(ctx, next, metav1.CreateOptions{})
			return err
		}
		next.SetResourceVersion(have.GetResourceVersion())
		_, err = s.m.in(secrets, s.m.ns).Update(ctx, next, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	return p.Request(key, s.m.name)
}

// renew puts a new key beside the CA that is in force, which from then on is to
// be replaced. A key that waits already is left to whoever made it.
func (s caSide) renew(ctx context.Context, p issuer.Profile, mark string) error {
	key, err := p.GenerateKey()
	if err != nil {
		return err
	}
	text, err := issuer.EncodeKey(key)
	if err != nil {
		return err
	}
	next := s.m.newSecret(caKeySecret, "Opaque", map[string][]byte{caKeyKey: text})
	next.SetAnnotations(map[string]string{annotationRotates: mark})
	return retry(ctx, func() error {
		have, err := s.m.read(ctx, secrets, s.m.ns, caKeySecret)
		if err != nil || have != nil {
			return err
		}
		_, err = s.m.in(secrets, s.m.ns).Create(ctx, next, metav1.CreateOptions{})
		return err
	})
}

// install writes cacerts from the key that waits in the cluster and what was
// signed for it. With keep, the roots that it trusted before are still trusted.
func (s caSide) install(ctx context.Context, chain []*x509.Certificate, root *x509.Certificate, keep bool) error {
	have, err := s.m.get(ctx, secrets, s.m.ns, caKeySecret)
	if err != nil {
		return err
	}
	keyPEM := secretData(have)[caKeyKey]
	key, err := issuer.ParseKey(keyPEM)
	if err != nil {
		return fmt.Errorf("secret %s: %w", caKeySecret, err)
	}
	if !samePublic(chain[0].PublicKey, key.Public()) {
		return fmt.Errorf("secret %s holds another key than the one that was signed; does another meshprobe federate this cluster?", caKeySecret)
	}
	was, err := s.m.get(ctx, secrets, s.m.ns, caSecret)
	if err != nil {
		return err
	}
	roots := []*x509.Certificate{root}
	if keep {
		roots = withRoots(roots, certificates(secretData(was)[rootCertKey]))
	}
	return s.m.put(ctx, secrets, s.m.newSecret(caSecret, secretTypeOf(was), map[string][]byte{
		caCertKey:   issuer.EncodeCertificates(chain[0]),
		caKeyKey:    keyPEM,
		rootCertKey: issuer.EncodeCertificates(roots...),
		chainKey:    append(issuer.EncodeCertificates(chain...), issuer.EncodeCertificates(root)...),
	}))
}

// secretTypeOf is the type for a cacerts that replaces one: the type of a Secret
// cannot change in place, and only kubernetes.io/tls means another format to
// istiod.
func secretTypeOf(was *unstructured.Unstructured) string {
	if was != nil {
		if t, ok := was.Object["type"].(string); ok && t != "kubernetes.io/tls" {
			return t
		}
	}
	return "Opaque"
}

// withRoots is roots and those of more that are not among them.
func withRoots(roots, more []*x509.Certificate) []*x509.Certificate {
	for _, c := range more {
		if !slices.ContainsFunc(roots, c.Equal) {
			roots = append(roots, c)
		}
	}
	return roots
}

// tidy removes the key's first place once cacerts has it.
func (s caSide) tidy(ctx context.Context) error {
	have, err := s.m.get(ctx, secrets, s.m.ns, caKeySecret)
	if err != nil || have == nil {
		return err
	}
	return s.m.remove(ctx, secrets, s.m.ns, caKeySecret)
}

func samePublic(a, b crypto.PublicKey) bool {
	eq, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && eq.Equal(b)
}

// caState is what cacerts of a cluster says, without its key.
type caState struct {
	Intermediate *x509.Certificate // nil where there is none that can be read
	Root         *x509.Certificate
	Problem      string // why it is not in force under the root; "" where it is
	Bundle       []byte // root-cert.pem as it is
	Former       string // a former… constant, "" where it never trusted two roots
	present      bool
	pendingKey   bool // a key waits in meshprobe-ca-key
}

// roots are those that it makes everybody trust.
func (c caState) roots() []*x509.Certificate { return certificates(c.Bundle) }

// trusts reports whether a root is among them.
func (c caState) trusts(root *x509.Certificate) bool {
	return root != nil && slices.ContainsFunc(c.roots(), root.Equal)
}

func (c caState) ok() bool { return c.Problem == "" && c.Intermediate != nil }

// mark is the value of annotationCA for what was started with this CA and, where
// it trusts several, these roots.
func (c caState) mark() string {
	mark := issuer.SPKI(c.Intermediate)[:16] + "-" + c.Intermediate.SerialNumber.Text(16)
	if len(c.roots()) > 1 {
		sum := sha256.Sum256(c.Bundle)
		mark += "-" + hex.EncodeToString(sum[:4])
	}
	return mark
}

// inspect reads cacerts and judges it against the root.
func (s caSide) inspect(ctx context.Context, root *x509.Certificate, now time.Time) (caState, error) {
	var c caState
	have, err := s.m.get(ctx, secrets, s.m.ns, caSecret)
	if err != nil {
		return c, err
	}
	pending, err := s.m.get(ctx, secrets, s.m.ns, caKeySecret)
	if err != nil {
		return c, err
	}
	c.pendingKey, c.present = pending != nil, have != nil
	if have == nil {
		c.Problem = "there is none"
		return c, nil
	}
	data := secretData(have)
	c.Intermediate, c.Root = firstCert(data[caCertKey]), firstCert(data[rootCertKey])
	c.Bundle, c.Former = data[rootCertKey], note(have, annotationFormer)
	if err := s.judge(c, data, root, now); err != nil {
		c.Problem = err.Error()
	} else if note(pending, annotationRotates) == c.mark() {
		c.Problem = "a new key waits for its certificate"
	}
	return c, nil
}

// judge says why cacerts is not what a federation under root would leave.
func (s caSide) judge(c caState, data map[string][]byte, root *x509.Certificate, now time.Time) error {
	switch {
	case len(data["tls.crt"]) > 0:
		return errors.New("it has the format of kubernetes.io/tls")
	case c.Intermediate == nil || c.Root == nil || len(data[caKeyKey]) == 0 || len(data[chainKey]) == 0:
		return errors.New("it is incomplete")
	case root == nil:
		return errors.New("there is no shared root yet")
	case !c.Root.Equal(root) || !bytes.Equal(c.Bundle, issuer.EncodeCertificates(c.roots()...)):
		return errors.New("its root is not the shared root")
	case len(c.roots()) > 1 && c.Former == "":
		return errors.New("it has other roots beside the shared root")
	case !c.Intermediate.IsCA || c.Intermediate.CheckSignatureFrom(root) != nil:
		return errors.New("its certificate was not signed by the shared root")
	case !bytes.Equal(data[chainKey], issuer.EncodeCertificates(c.Intermediate, root)):
		return errors.New("its chain is not intermediate and root")
	case strings.Join(c.Intermediate.Subject.Locality, "") == "":
		return errors.New("its certificate was not made by meshprobe: it names no cluster")
	case len(c.Intermediate.Subject.Locality) != 1 || c.Intermediate.Subject.Locality[0] != s.m.name:
		return errors.New("its certificate belongs to another cluster")
	}
	life := c.Intermediate.NotAfter.Sub(c.Intermediate.NotBefore)
	if left := c.Intermediate.NotAfter.Sub(now); left < life/3 && c.Intermediate.NotAfter.Before(root.NotAfter) {
		return errors.New("its certificate has less than a third of its life left")
	}
	key, err := issuer.ParseKey(data[caKeyKey])
	if err != nil || !samePublic(c.Intermediate.PublicKey, key.Public()) {
		return errors.New("its key does not match its certificate")
	}
	return nil
}
