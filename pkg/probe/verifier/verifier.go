// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"time"
)

// Name is a verifier, as written in reports.
type Name string

// The verifiers, in the order of [All].
const (
	NameGo      Name = "go"
	NameOpenSSL Name = "openssl"
	NameEnvoy   Name = "envoy"
	NameZtunnel Name = "ztunnel"
)

// Role is the side of the handshake that presents the chain.
type Role uint8

// The peer that is verified is a server or a client. The zero value is Server,
// the stricter of the two for identities.
const (
	Server Role = iota
	Client
)

// String returns "server" or "client".
func (r Role) String() string {
	if r == Client {
		return "client"
	}
	return "server"
}

// Chain is what a peer sent, leaf first, as it stood in the Certificate
// message. Nothing about it is trusted, its order included.
type Chain struct {
	Certs []*x509.Certificate
}

// Options is what the verifying side knows. The zero value trusts nothing.
type Options struct {
	// Roots is the trust bundle in its own order, which matters to Envoy and
	// OpenSSL.
	Roots []*x509.Certificate
	// At is the verifier's clock.
	At time.Time
	// Role is the role of the peer, which decides the extended key usage asked
	// for and the mesh checks made.
	Role Role
	// TrustDomains are the verifier's own trust domain and then its aliases.
	// Empty means that no mesh check is made, only the chain is judged.
	TrustDomains []string
	// Identities are the SPIFFE IDs of which a server must present one. Nil
	// means that any identity in TrustDomains will do. They are not consulted
	// for a client, whose identity is for authorization to judge.
	Identities []string
}

// Verdict is what one verifier says.
type Verdict struct {
	Verifier Name
	Accepts  bool
	// Reason is the refusal in the verifier's own words, empty if it accepts.
	Reason string
	// Clause is the rule that the chain breaks: a section of a standard, or the
	// source of the check where it is the verifier's own.
	Clause string
	// Code is the cause, a slug as returned by [Diagnose], empty if accepted.
	Code string
	// Depth is the position in the path of the certificate at fault, 0 for the
	// leaf. It is meaningful only if the chain is refused.
	Depth int
	// Alert is the TLS alert with which the verifier refuses, as numbered in
	// RFC 8446 §6, 0 if it accepts.
	Alert uint8
}

// All returns the verdicts of [Go], [OpenSSL], [Envoy] and [Ztunnel], in this
// order.
func All(chain Chain, opts Options) []Verdict {
	in, f := bounded(chain, opts)
	return []Verdict{goVerdict(in, f), openSSLVerdict(in, f), envoyVerdict(in, f), ztunnelVerdict(in, f)}
}

// Go returns what istiod says: crypto/x509 and, where trust domains are given,
// the SPIFFE check of its peer certificate verifier. The chain alone is judged
// so by every Go program: istio-agent, cert-manager, meshprobe itself.
func Go(chain Chain, opts Options) Verdict {
	return goVerdict(bounded(chain, opts))
}

// OpenSSL returns what `openssl verify -purpose` of OpenSSL 3.0 says: a whole
// path to a self-signed root, and no identity check at all.
func OpenSSL(chain Chain, opts Options) Verdict {
	return openSSLVerdict(bounded(chain, opts))
}

// Envoy returns what a sidecar, waypoint or gateway says: BoringSSL with
// partial chains, and the SAN matchers that istiod configures.
func Envoy(chain Chain, opts Options) Verdict {
	return envoyVerdict(bounded(chain, opts))
}

// Ztunnel returns what ztunnel says: rustls-webpki and ztunnel's own trust
// domain or identity verifier.
func Ztunnel(chain Chain, opts Options) Verdict {
	return ztunnelVerdict(bounded(chain, opts))
}

func goVerdict(in input, f *fault) Verdict { return judge(NameGo, in, f, verifyGo, istiodPeer) }

func openSSLVerdict(in input, f *fault) Verdict {
	return judge(NameOpenSSL, in, f, openSSL().verify)
}

func envoyVerdict(in input, f *fault) Verdict {
	return judge(NameEnvoy, in, f, handshakeKeyType, handshakeKeyUsage, boringSSL().verify, envoySAN)
}

func ztunnelVerdict(in input, f *fault) Verdict {
	return judge(NameZtunnel, in, f, verifyWebPKI, ztunnelSAN, handshakeKeySize)
}

// check is one step of a verifier; nil means that it has no objection.
type check func(in input) *fault

// fault is why a verifier refuses.
type fault struct {
	reason string
	clause string
	// code is empty where only a look at chain and bundle can tell the cause.
	code  string
	depth int
	alert uint8
}

// judge runs the checks in order and turns the first fault into a verdict. A
// fault that was found before is the verdict of every verifier.
func judge(name Name, in input, f *fault, checks ...check) Verdict {
	for _, c := range checks {
		if f != nil {
			break
		}
		f = c(in)
	}
	if f == nil {
		return Verdict{Verifier: name, Accepts: true}
	}
	code := f.code
	if code == "" {
		code = in.linkCause()
	}
	return Verdict{
		Verifier: name, Reason: clip(f.reason), Clause: f.clause, Code: code,
		Depth: f.depth, Alert: f.alert,
	}
}
