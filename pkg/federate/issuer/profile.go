// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// KeyType names a kind of CA key, as the topology's mesh.root.keyType does.
type KeyType string

// The kinds of CA key that istiod, Envoy and ztunnel all take.
const (
	RSA       KeyType = "rsa"
	ECDSAP256 KeyType = "ecdsa-p256"
	ECDSAP384 KeyType = "ecdsa-p384"
)

// The defaults are those of a VirtualMesh's builtin authority (ttlDays 365,
// rsaKeySizeBytes 4096, which counts bits).
const (
	DefaultOrg           = "meshprobe"
	DefaultTTL           = 365 * 24 * time.Hour
	DefaultRootBits      = 4096
	DefaultIntermediates = 2048 // RSA bits of an intermediate
)

// Options say how a root and its intermediates are made. The zero value is RSA
// 4096 with RSA 2048 intermediates, a year long.
type Options struct {
	Org             string        // O= of root and intermediates; default meshprobe
	TTL             time.Duration // of the root; default 365 days
	IntermediateTTL time.Duration // default half of TTL; never beyond the root's end
	KeyType         KeyType       // of root and intermediates; default rsa
	KeySize         int           // RSA bits of the root; default 4096
	Intermediate    int           // RSA bits of the intermediates; default 2048
	DNSNames        []string      // SANs of the intermediates; default none
	Now             func() time.Time
}

// FromSpec is the options of a topology's mesh.root. Fields that the topology
// leaves out stay zero, so that the caller may fill in defaults of its own.
func FromSpec(s cluster.RootSpec) Options {
	return Options{Org: s.Org, TTL: time.Duration(s.TTL), KeyType: KeyType(s.KeyType), KeySize: s.KeySize}
}

// complete fills in the defaults and checks the whole.
func (o Options) complete() (Options, error) {
	o.Org = cmp.Or(o.Org, DefaultOrg)
	o.TTL = cmp.Or(o.TTL, DefaultTTL)
	o.IntermediateTTL = cmp.Or(o.IntermediateTTL, o.TTL/2)
	o.KeyType = cmp.Or(o.KeyType, RSA)
	if o.Now == nil {
		o.Now = time.Now
	}
	switch o.KeyType {
	case RSA:
		o.KeySize, o.Intermediate = cmp.Or(o.KeySize, DefaultRootBits), cmp.Or(o.Intermediate, DefaultIntermediates)
		for _, bits := range []int{o.KeySize, o.Intermediate} {
			if bits < minRSA || bits > maxRSA {
				return o, &OptionError{Option: "key-size", Msg: fmt.Sprintf("%d bits", bits), Hint: "RSA keys of 2048 to 8192 bits; ztunnel refuses shorter ones"}
			}
		}
	case ECDSAP256, ECDSAP384:
		if o.KeySize != 0 || o.Intermediate != 0 {
			return o, &OptionError{Option: "key-size", Msg: "the size of an ECDSA key follows its type", Hint: "leave the size out, or use the key type rsa"}
		}
	default:
		return o, &OptionError{Option: "key-type", Msg: fmt.Sprintf("%q is not one of rsa, ecdsa-p256, ecdsa-p384", o.KeyType), Hint: cluster.DidYouMean(string(o.KeyType), []string{string(RSA), string(ECDSAP256), string(ECDSAP384)})}
	}
	if o.TTL < time.Hour || o.IntermediateTTL < 0 {
		return o, &OptionError{Option: "ttl", Msg: o.TTL.String() + " is too short for a certificate authority", Hint: "write it as 8760h"}
	}
	return o, nil
}

// profile is what the CSRs must look like.
func (o Options) profile() Profile {
	return Profile{Org: o.Org, KeyType: o.KeyType, Bits: o.Intermediate}
}

// The RSA sizes that are worth having: webpki, which ztunnel verifies with,
// takes 2048 to 8192.
const (
	minRSA = 2048
	maxRSA = 8192
)

// Profile says which key and which name a cluster's CA has. It is a plain
// value; [Options] make it.
type Profile struct {
	Org     string  `json:"org"`
	KeyType KeyType `json:"keyType"`
	Bits    int     `json:"bits,omitempty"` // of an RSA key
}

// Name is the subject of a cluster's intermediate, shaped as Istio's
// tools/certs shapes it: O=org, CN=Intermediate CA, L=cluster.
func (p Profile) Name(clusterName string) pkix.Name {
	return pkix.Name{Organization: []string{p.Org}, CommonName: "Intermediate CA", Locality: []string{clusterName}}
}

// GenerateKey makes a CA key of the profile. It is called where the key is
// used; the key never leaves that cluster.
func (p Profile) GenerateKey() (crypto.Signer, error) { return generate(p.KeyType, p.Bits) }

// Request is the CSR of a cluster for key, in DER.
func (p Profile) Request(key crypto.Signer, clusterName string) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: p.Name(clusterName)}, key)
	if err != nil {
		return nil, fmt.Errorf("issuer: create csr: %w", err)
	}
	return der, nil
}

// Fits reports whether a public key is one that the profile asks for.
func (p Profile) Fits(pub crypto.PublicKey) bool { return p.checkKey(pub) == "" }

// checkKey says what is wrong with a key, or "".
func (p Profile) checkKey(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		switch {
		case p.KeyType != RSA:
			return fmt.Sprintf("the key is RSA, not %s", p.KeyType)
		case bits < p.Bits || bits > maxRSA:
			return fmt.Sprintf("the RSA key has %d bits, not %d to %d", bits, p.Bits, maxRSA)
		}
	case *ecdsa.PublicKey:
		if p.KeyType == RSA || k.Curve != curve(p.KeyType) {
			return fmt.Sprintf("the key is ECDSA %s, not %s", k.Curve.Params().Name, p.KeyType)
		}
	default:
		return fmt.Sprintf("the key is a %T, not %s", pub, p.KeyType)
	}
	return ""
}

func curve(t KeyType) elliptic.Curve {
	if t == ECDSAP384 {
		return elliptic.P384()
	}
	return elliptic.P256()
}

func generate(t KeyType, bits int) (crypto.Signer, error) {
	var key crypto.Signer
	var err error
	if t == RSA {
		key, err = rsa.GenerateKey(rand.Reader, bits)
	} else {
		key, err = ecdsa.GenerateKey(curve(t), rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: generate %s key: %w", t, err)
	}
	return key, nil
}

// Describe names the kind of a public key for people: "RSA 4096", "ECDSA
// P-256".
func Describe(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	}
	return fmt.Sprintf("%T", pub)
}

// EncodeKey is the PKCS #8 PEM of a key, the form that istiod reads for every
// kind (istio security/pkg/pki/util, ParsePemEncodedKey).
func EncodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("issuer: encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// EncodeCertificates is the PEM of certificates, one block each.
func EncodeCertificates(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}
