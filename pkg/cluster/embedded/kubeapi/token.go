// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
)

const (
	// audience is --service-account-issuer and the API server's own audience,
	// as kubeadm sets them.
	audience = "https://kubernetes.default.svc.cluster.local"
	// legacyIssuer marks the token of a secret, k8s.io/kubernetes pkg/serviceaccount/legacy.go.
	legacyIssuer = "kubernetes/serviceaccount"

	// tokenHeader is constant: one key, one algorithm, and no other is accepted.
	tokenHeader = `{"alg":"ES256","typ":"JWT"}`
	es256Half   = 32 // octets of r and of s, RFC 7518 §3.4
	maxToken    = 16 << 10
)

// errToken is deliberately all that a caller learns about a bad token.
var errToken = errors.New("invalid bearer token")

// issuer signs and checks service account tokens (JWT, ES256).
type issuer struct {
	key *ecdsa.PrivateKey
	now func() time.Time
}

type objectRef struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// boundClaims is the "kubernetes.io" claim of a bound token.
type boundClaims struct {
	Namespace      string     `json:"namespace,omitempty"`
	ServiceAccount objectRef  `json:"serviceaccount"`
	Pod            *objectRef `json:"pod,omitempty"`
	Secret         *objectRef `json:"secret,omitempty"`
	Node           *objectRef `json:"node,omitempty"`
}

// claims of both token forms; the kubernetes.io/serviceaccount/... ones are
// those of a secret's token.
type claims struct {
	Audience  []string     `json:"aud,omitempty"`
	Expires   int64        `json:"exp,omitempty"` // seconds
	IssuedAt  int64        `json:"iat,omitempty"`
	NotBefore int64        `json:"nbf,omitempty"`
	ID        string       `json:"jti,omitempty"`
	Issuer    string       `json:"iss"`
	Subject   string       `json:"sub"`
	Bound     *boundClaims `json:"kubernetes.io,omitempty"`

	LegacyNamespace string `json:"kubernetes.io/serviceaccount/namespace,omitempty"`
	LegacySecret    string `json:"kubernetes.io/serviceaccount/secret.name,omitempty"`
	LegacyName      string `json:"kubernetes.io/serviceaccount/service-account.name,omitempty"`
	LegacyUID       string `json:"kubernetes.io/serviceaccount/service-account.uid,omitempty"`
}

func subject(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// forSecret returns the token of a secret: no audience, no end.
func (i *issuer) forSecret(sa *corev1.ServiceAccount, secret string) (string, error) {
	return i.sign(claims{
		Issuer: legacyIssuer, Subject: subject(sa.Namespace, sa.Name),
		LegacyNamespace: sa.Namespace, LegacySecret: secret, LegacyName: sa.Name, LegacyUID: string(sa.UID),
	})
}

// bound returns a token for the audiences, and when it expires.
func (i *issuer) bound(sa *corev1.ServiceAccount, audiences []string, ttl time.Duration, refs boundClaims) (string, time.Time, error) {
	now := i.now().UTC().Truncate(time.Second)
	end := now.Add(ttl)
	refs.Namespace = sa.Namespace
	refs.ServiceAccount = objectRef{sa.Name, string(sa.UID)}
	token, err := i.sign(claims{
		Audience: audiences, Expires: end.Unix(), IssuedAt: now.Unix(), NotBefore: now.Unix(),
		ID: string(uuid.NewUUID()), Issuer: audience, Subject: subject(sa.Namespace, sa.Name), Bound: &refs,
	})
	return token, end, err
}

func (i *issuer) sign(c claims) (string, error) {
	body, err := json.Marshal(c) //nolint:gosec // G117: the claim is the name of a Secret, not what it holds
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	signed := b64.EncodeToString([]byte(tokenHeader)) + "." + b64.EncodeToString(body)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		return "", err
	}
	sig := make([]byte, 2*es256Half)
	r.FillBytes(sig[:es256Half])
	s.FillBytes(sig[es256Half:])
	return signed + "." + b64.EncodeToString(sig), nil
}

// open checks signature and time. Whether what the token names still exists is
// for [Store.holder].
func (i *issuer) open(token string) (claims, error) {
	var c claims
	// encoding/base64 skips line breaks, which would give one token many spellings.
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") {
		return c, errToken
	}
	cut := strings.LastIndexByte(token, '.')
	if cut < 0 {
		return c, errToken
	}
	head, body, ok := strings.Cut(token[:cut], ".")
	b64 := base64.RawURLEncoding.Strict()
	header, err := b64.DecodeString(head)
	sig, sigErr := b64.DecodeString(token[cut+1:])
	payload, bodyErr := b64.DecodeString(body)
	if err := errors.Join(err, sigErr, bodyErr); !ok || err != nil || string(header) != tokenHeader || len(sig) != 2*es256Half {
		return c, errToken
	}
	sum := sha256.Sum256([]byte(token[:cut]))
	r, s := new(big.Int).SetBytes(sig[:es256Half]), new(big.Int).SetBytes(sig[es256Half:])
	if !ecdsa.Verify(&i.key.PublicKey, sum[:], r, s) {
		return c, errToken
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, errToken
	}
	if c.Issuer == legacyIssuer {
		return c, nil
	}
	now := i.now().Unix()
	if c.Issuer != audience || c.Bound == nil || now >= c.Expires || now < c.NotBefore {
		return c, errToken
	}
	return c, nil
}

// audiences returns those of want that the token is for. A secret's token is
// for the API itself, as a real server has it.
func (c claims) audiences(want []string) []string {
	have := c.Audience
	if c.Issuer == legacyIssuer {
		have = []string{audience}
	}
	var both []string
	for _, a := range want {
		if slices.Contains(have, a) {
			both = append(both, a)
		}
	}
	return both
}
