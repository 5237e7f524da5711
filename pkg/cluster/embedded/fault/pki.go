// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Objects that hold what istiod signs with and what others verify it by.
const (
	caCerts       = "cacerts"
	selfSignedCA  = "istio-ca-secret"
	rootConfigMap = "istio-ca-root-cert"
)

// The files of Secret cacerts.
const (
	caCert    = "ca-cert.pem"
	caKey     = "ca-key.pem"
	rootCert  = "root-cert.pem"
	certChain = "cert-chain.pem"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// pluggedIn is what cacerts of a cluster holds.
type pluggedIn struct {
	authority
	root *x509.Certificate
	data map[string][]byte
}

func (v *victim) plugin(ctx context.Context) (*pluggedIn, error) {
	s, err := v.kube.CoreV1().Secrets(system).Get(ctx, caCerts, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get secret cacerts: %w", err)
	}
	pair, err := tls.X509KeyPair(s.Data[caCert], s.Data[caKey])
	if err != nil {
		return nil, errors.New("cacerts holds no certificate with its key")
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key in cacerts cannot sign")
	}
	block, _ := pem.Decode(s.Data[rootCert])
	if block == nil {
		return nil, errors.New("cacerts holds no root")
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("root-cert.pem of cacerts: %w", err)
	}
	return &pluggedIn{authority: authority{pair.Leaf, key}, root: root, data: s.Data}, nil
}

// write changes files of cacerts.
func (v *victim) write(ctx context.Context, files map[string][]byte) error {
	secrets := v.kube.CoreV1().Secrets(system)
	s, err := secrets.Get(ctx, caCerts, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get secret cacerts: %w", err)
	}
	maps.Copy(s.Data, files)
	if _, err = secrets.Update(ctx, s, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update secret cacerts: %w", err)
	}
	return nil
}

// recreate takes cacerts away and makes it again.
func (v *victim) recreate(ctx context.Context, between func() error) error {
	secrets := v.kube.CoreV1().Secrets(system)
	s, err := secrets.Get(ctx, caCerts, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get secret cacerts: %w", err)
	}
	if err := secrets.Delete(ctx, caCerts, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete secret cacerts: %w", err)
	}
	if err := between(); err != nil {
		return err
	}
	again := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: caCerts, Namespace: system, Labels: s.Labels, Annotations: s.Annotations}, Type: s.Type, Data: s.Data}
	if _, err := secrets.Create(ctx, again, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create secret cacerts: %w", err)
	}
	return nil
}

// encode is the certificates as PEM, one after the other.
func encode(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func newKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return key, nil
}

// sign issues a certificate and reads it back.
func sign(template, issuer *x509.Certificate, public crypto.PublicKey, by crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, by)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return cert, nil
}

// like is the template of a CA certificate with the name, the rights and the
// dates of another.
func like(c *x509.Certificate) *x509.Certificate {
	return &x509.Certificate{
		RawSubject: c.RawSubject, NotBefore: c.NotBefore, NotAfter: c.NotAfter, KeyUsage: c.KeyUsage, ExtKeyUsage: c.ExtKeyUsage,
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: c.MaxPathLen, MaxPathLenZero: c.MaxPathLenZero, URIs: c.URIs,
	}
}

// selfSigned makes a root with a key of its own.
func selfSigned(template *x509.Certificate) (authority, error) {
	key, err := newKey()
	if err != nil {
		return authority{}, err
	}
	template.SubjectKeyId = nil // of the new key
	cert, err := sign(template, template, key.Public(), key)
	return authority{cert, key}, err
}

// reissue signs a CA's key again, under another issuer or with other dates.
func (a authority) reissue(template *x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	return sign(template, a.cert, key.Public(), a.key)
}

// leaf describes a workload's certificate.
type leaf struct {
	ids           []string
	begins, until time.Time
}

// issue makes a workload's identity, as istiod would with other data.
func (p *pluggedIn) issue(l leaf) (*cluster.Identity, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		NotBefore: l.begins, NotAfter: l.until, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, id := range l.ids {
		u, err := url.Parse(id)
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		template.URIs = append(template.URIs, u)
	}
	cert, err := sign(template, p.cert, key.Public(), p.key)
	if err != nil {
		return nil, err
	}
	return cluster.NewIdentity(l.ids[0], []*x509.Certificate{cert, p.cert}, []*x509.Certificate{p.root}, key), nil
}
