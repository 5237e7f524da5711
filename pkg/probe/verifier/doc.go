// SPDX-License-Identifier: Apache-2.0

// Package verifier says what the verifiers of a mesh make of one certificate
// chain and one trust bundle.
//
// A chain that one verifier accepts, another may refuse. Four of them matter
// to a mesh: istiod (Go's crypto/x509), OpenSSL, on which people fall back by
// hand, Envoy (BoringSSL's X509_verify_cert, with partial chains) and ztunnel
// (rustls with rustls-webpki 0.103). Go is asked itself; the others are
// modelled, each by the rules in which it differs:
//
//   - names: Envoy and OpenSSL compare canonical names, Go and webpki bytes;
//   - issuers: Envoy and OpenSSL take the first certificate that fits by name
//     and authority key identifier and never go back, Go and webpki try all;
//   - anchors: Go and OpenSSL check all of them, Envoy their dates and name
//     constraints and no other extension, webpki takes only name, key and name
//     constraints from them;
//   - handshakes: Envoy offers no signature algorithm for Ed25519 and P-521;
//   - extensions: key usage, extended key usage, path lengths and name
//     constraints are each honoured, or not, in its own way.
//
// Use it so:
//
//	chain := verifier.Chain{Certs: state.PeerCertificates}
//	for _, v := range verifier.All(chain, verifier.Options{
//		Roots: roots, At: now, Role: verifier.Server,
//		TrustDomains: []string{"cluster.local"},
//	}) {
//		fmt.Println(v.Verifier, v.Accepts, v.Reason)
//	}
//	cause, detail, depth := verifier.Diagnose(chain, opts)
//
// Chains come from peers and are hostile: their length, size and shape are
// bounded, and no input makes a function of this package panic. The package
// reads no clock, opens no file and knows nothing of revocation.
package verifier
