// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// istioID is an identity of the form spiffe://TD/ns/NS/sa/SA.
type istioID struct{ trustDomain, namespace, serviceAccount string }

// parseIstioID reads an identity by ztunnel's grammar: exactly these segments,
// none of them empty. Source: ztunnel src/identity/manager.rs.
func parseIstioID(uri string) (istioID, bool) {
	rest, ok := strings.CutPrefix(uri, "spiffe://")
	if !ok {
		return istioID{}, false
	}
	seg := strings.Split(rest, "/")
	if len(seg) != 5 || seg[1] != "ns" || seg[3] != "sa" || seg[0] == "" || seg[2] == "" || seg[4] == "" {
		return istioID{}, false
	}
	return istioID{seg[0], seg[2], seg[4]}, true
}

// trustDomainOf returns the trust domain of any SPIFFE ID.
func trustDomainOf(uri string) (string, bool) {
	rest, ok := strings.CutPrefix(uri, "spiffe://")
	if !ok {
		return "", false
	}
	td, _, _ := strings.Cut(rest, "/")
	return td, td != ""
}

// istiodPeer is istiod's check of a client: exactly one URI SAN, of a trust
// domain for which it has roots. Source: istio pkg/spiffe/spiffe.go,
// PeerCertVerifier.VerifyPeerCert.
func istiodPeer(in input) *fault {
	if len(in.opts.TrustDomains) == 0 {
		return nil
	}
	sans := goURISANs(in.leaf)
	if len(sans) != 1 {
		return &fault{
			reason: fmt.Sprintf("peer certificate does not contain 1 URI type SAN, detected %d", len(sans)),
			clause: "X509-SVID §2", code: CauseSANShape, alert: alertBadCertificate,
		}
	}
	td, ok := trustDomainOf(sans[0])
	if !ok {
		return &fault{
			reason: fmt.Sprintf("identity is not a spiffe format: %q", sans[0]),
			clause: "SPIFFE-ID §2", code: CauseSANShape, alert: alertBadCertificate,
		}
	}
	if td != in.opts.TrustDomains[0] {
		return &fault{
			reason: fmt.Sprintf("no cert pool found for trust domain %s", td),
			clause: "istio pkg/spiffe/spiffe.go", code: CauseTrustDomainSidecar, alert: alertBadCertificate,
		}
	}
	return nil
}

// envoySAN is the SAN matching that istiod configures. A client needs a URI
// SAN below a trust domain or alias of the mesh; a server needs one of the
// expected identities, each of them also in the mesh's other trust domains,
// and where none is expected, as at a waypoint's upstream, the prefix will do.
// Source: istio pilot/pkg/networking/plugin/authn/util.go and
// pilot/pkg/networking/core/cluster_tls.go with ExpandWithTrustDomains.
func envoySAN(in input) *fault {
	sans := uriSANs(in.leaf)
	if in.opts.Role == Server && in.opts.Identities != nil {
		want := expandTrustDomains(in.opts.Identities, in.opts.TrustDomains)
		if slices.ContainsFunc(sans, func(s string) bool { return slices.Contains(want, s) }) {
			return nil
		}
		return sanRefusal(in, true, "verify cert failed: SAN matcher, certificate SANs are "+fmt.Sprint(sans))
	}
	if len(in.opts.TrustDomains) == 0 || slices.ContainsFunc(sans, func(s string) bool {
		return slices.ContainsFunc(in.opts.TrustDomains, func(td string) bool {
			return strings.HasPrefix(s, "spiffe://"+td+"/")
		})
	}) {
		return nil
	}
	return sanRefusal(in, true, "verify cert failed: SAN matcher, certificate SANs are "+fmt.Sprint(sans))
}

// expandTrustDomains adds to each identity of one of the trust domains the
// same identity in all others.
func expandTrustDomains(ids, trustDomains []string) []string {
	all := slices.Clone(ids)
	for _, id := range ids {
		own, ok := trustDomainOf(id)
		if !ok || !slices.Contains(trustDomains, own) {
			continue
		}
		for _, td := range trustDomains {
			all = append(all, "spiffe://"+td+strings.TrimPrefix(id, "spiffe://"+own))
		}
	}
	return all
}

// ztunnelSAN is ztunnel's identity check. Only SANs that parse as Istio
// identities count. A client needs one of ztunnel's own trust domain, whatever
// the mesh's aliases are; a server needs one of the expected identities.
// Source: ztunnel src/tls/workload.rs, TrustDomainVerifier and
// IdentityVerifier.
func ztunnelSAN(in input) *fault {
	var ids []string
	ownDomain := false
	for _, s := range uriSANs(in.leaf) {
		if id, ok := parseIstioID(s); ok {
			ids = append(ids, s)
			ownDomain = ownDomain || (len(in.opts.TrustDomains) > 0 && id.trustDomain == in.opts.TrustDomains[0])
		}
	}
	if in.opts.Role == Server && in.opts.Identities != nil {
		if slices.ContainsFunc(ids, func(s string) bool { return slices.Contains(in.opts.Identities, s) }) {
			return nil
		}
		return sanRefusal(in, false, fmt.Sprintf("identity verification error: peer did not present the expected SAN (%s), got %s",
			strings.Join(in.opts.Identities, ", "), strings.Join(ids, ", ")))
	}
	if len(in.opts.TrustDomains) == 0 || ownDomain {
		return nil
	}
	return sanRefusal(in, false, fmt.Sprintf("identity verification error: peer did not present the expected trustdomain (%s), got %s",
		in.opts.TrustDomains[0], strings.Join(ids, ", ")))
}

// sanRefusal is how Envoy and ztunnel alike refuse an identity.
func sanRefusal(in input, aliases bool, reason string) *fault {
	code, _ := in.identityCause(aliases)
	if code == "" {
		code = CauseSANShape
	}
	return &fault{reason: reason, clause: identityClause(code), code: code, alert: alertCertificateUnknown}
}

func identityClause(code string) string {
	switch code {
	case CauseTrustDomainSidecar, CauseTrustDomainAmbient:
		return "Istio: trust domain"
	case CauseWrongIdentity:
		return "Istio: secure naming"
	default:
		return "X509-SVID §2"
	}
}

// handshakeKeyUsage is BoringSSL's demand on a leaf's key usage, made while it
// reads the certificate and so before anything else: TLS 1.3 signs with the
// key. Source: ssl/tls13_both.cc, tls13_process_certificate.
func handshakeKeyUsage(in input) *fault {
	if hasKeyUsage(in.leaf, keyUsageSign) {
		return nil
	}
	return &fault{
		reason: "key usage bit incorrect", clause: "X509-SVID §4.3",
		code: CauseKeyUsage, alert: alertIllegalParameter,
	}
}

// handshakeKeyType is BoringSSL's choice of signature algorithms for a peer's
// handshake, which leaves out Ed25519 and P-521. It is the peer that gives up,
// for want of an algorithm. Source: ssl/extensions.cc, kVerifySignatureAlgorithms.
func handshakeKeyType(in input) *fault {
	if !handshakesNotWithEnvoy(in.leaf) {
		return nil
	}
	return &fault{
		reason: "no common signature algorithm", clause: "BoringSSL ssl/extensions.cc: signature algorithms",
		code: CauseWeak, alert: alertHandshakeFailure,
	}
}

// handshakesNotWithEnvoy reports whether a leaf's key is of a type with which
// nobody can sign a handshake with Envoy.
func handshakesNotWithEnvoy(leaf *x509.Certificate) bool {
	key, isEC := leaf.PublicKey.(*ecdsa.PublicKey)
	return leaf.PublicKeyAlgorithm == x509.Ed25519 || isEC && key.Curve == elliptic.P521()
}

// handshakeKeySize is aws-lc's demand on the key that signs the handshake, as
// on every other key: RSA of 2048 bits or more. Measured on ztunnel 1.31.
func handshakeKeySize(in input) *fault {
	if bits := rsaBits(in.leaf); bits == 0 || bits >= minRSABits {
		return nil
	}
	return &fault{
		reason: "BadSignature", clause: "rustls-webpki 0.103: RSA keys of 2048 to 8192 bits",
		code: CauseWeak, alert: alertDecryptError,
	}
}
