// SPDX-License-Identifier: Apache-2.0

package probe

import "strings"

// Kind says what a piece of evidence is, as a dotted noun, so that a reporter
// may draw it.
type Kind string

// The kinds of evidence.
const (
	KindText     Kind = "text"        // a labelled fact
	KindAlert    Kind = "tls.alert"   // an alert, and who sent it
	KindChain    Kind = "x509.chain"  // a certificate chain, one certificate per line, leaf first
	KindCert     Kind = "x509.cert"   // one certificate
	KindBundle   Kind = "bundle.diff" // trust anchors of two sides
	KindSettings Kind = "h2.settings" // HTTP/2 settings
	KindStatus   Kind = "h2.status"   // a CONNECT status
	KindObject   Kind = "k8s.object"  // a Kubernetes object, without its secrets
	KindAttempts Kind = "attempts"    // what was tried, and how often
	KindStack    Kind = "go.stack"    // of a panic
	KindVerdict  Kind = "verifier"    // what one verifier says
)

// maxEvidence bounds the text of one piece of evidence: a peer may make it.
const maxEvidence = 64 << 10

// Evidence is one fact that a finding rests on: what was wanted beside what
// was got, and on which side. It holds public data only, never a key or token.
type Evidence struct {
	Kind  Kind   `json:"kind"`
	Label string `json:"label"`          // which side, which certificate, which object
	Want  string `json:"want,omitempty"` // empty where nothing was expected of it
	Got   string `json:"got"`
}

// WantGot is evidence of a difference: what label should be, and what it is.
func WantGot(label, want, got string) Evidence {
	return Evidence{Kind: KindText, Label: label, Want: bounded(want), Got: bounded(got)}
}

// Text is evidence of a fact, its lines joined.
func Text(label string, lines ...string) Evidence {
	return Evidence{Kind: KindText, Label: label, Got: bounded(strings.Join(lines, "\n"))}
}

// As returns the evidence with another kind.
func (e Evidence) As(k Kind) Evidence {
	e.Kind = k
	return e
}

func bounded(s string) string {
	if len(s) <= maxEvidence {
		return s
	}
	return strings.ToValidUTF8(s[:maxEvidence], "") + "…"
}
