// SPDX-License-Identifier: Apache-2.0

package material

import (
	"fmt"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// IstiodStarts says what istiod does with a CA when it starts.
var IstiodStarts = probe.DefineOn(probe.Meta{
	ID:      "material/istiod-starts",
	Title:   "istiod starts with this CA and signs with it",
	About:   "What istiod checks of cacerts when it starts, in its order and its words: all four files are there, ca-cert.pem verifies to root-cert.pem through cert-chain.pem by crypto/x509 (as a server's, so that an extended key usage of clientAuth alone is refused), the key can be read and is that of the certificate, the certificate is a CA's. An istiod that refuses ends and is started again, for ever. One that finds none of the files makes a root of its own.",
	Clause:  spec.IstioCAStart,
	Causes:  append(chains(startCodes()...), causeIncomplete, causeInvalid),
	After:   []string{"ca/cacerts-complete", "ca/key-matches", "ca/is-ca", "ca/signed-by-root", "ca/lifetime-left"},
	Applies: "CAs of an istiod",
}, documents(sortCA), judgeIstiodStarts)

var (
	causeIncomplete = probe.Cause{
		Code: "cacerts-incomplete", Title: "a file of cacerts is missing, empty, or holds no certificate",
		Try: []string{"kubectl create secret generic cacerts -n istio-system --from-file=ca-cert.pem --from-file=ca-key.pem --from-file=root-cert.pem --from-file=cert-chain.pem"},
	}
	causeInvalid = probe.Cause{
		Code: "cacerts-chain-invalid", Title: "the files of cacerts do not fit together",
		Try: []string{"write the root that issued ca-cert.pem into root-cert.pem, every certificate between them into cert-chain.pem, and the key of ca-cert.pem into ca-key.pem"},
	}
)

// startCodes are the reasons of crypto/x509 that have a name of their own.
func startCodes() []string {
	return []string{
		verifier.CauseNotACA, verifier.CauseEKU, verifier.CauseIntermediateExpired, verifier.CauseRootExpired, verifier.CauseClockSkew,
		verifier.CauseWeak, verifier.CauseDNEncoding, verifier.CauseCriticalExtension, verdict.Unparsable.Code,
	}
}

// start is what an istiod does with a CA.
type start struct {
	does  string // "signs with it", "ends, and is started again, for ever", …
	words string // of istiod, where it refuses
	cause probe.Cause
}

func (s start) accepts() bool { return s.cause.Code == "" }

const crashes = "refuses it at start, ends, and is started again, for ever"

// startOf follows istiod through its start. Source: security/pkg/pki/ca/ca.go,
// NewPluggedCertIstioCAOptions, and security/pkg/pki/util/keycertbundle.go,
// Verify.
func startOf(e Exam) start {
	const bundle = "failed to create CA KeyCertBundle (%s)"
	refuse := func(c probe.Cause, words string) start { return start{crashes, words, c} }
	cert := certs(e.CACert)
	leaf := cert.Leaf()
	switch {
	case len(e.Missing) >= 4 || len(e.Missing) > 0 && len(cert)+len(e.Roots)+len(e.Certificates) == 0:
		return start{"ignores it and signs with a root of its own", "Use self-signed certificate as the CA certificate", causeIncomplete}
	case len(e.Missing) > 0 || len(cert) == 0:
		return refuse(causeIncomplete, "failed to create an istiod CA: incomplete signing CA bundle detected")
	case leaf == nil:
		return refuse(chain(verdict.Unparsable.Code), fmt.Sprintf(bundle, "failed to parse cert PEM: failed to parse X.509 certificate"))
	}
	v := verifier.Go(verifier.Chain{Certs: append(cert.Parsed()[:1], e.presented().Parsed()...)},
		verifier.Options{Roots: e.trusted().Parsed(), At: e.Question.At})
	switch {
	case !v.Accepts:
		c := causeInvalid
		if v.Code == verifier.CauseLeafExpired {
			v.Code = verifier.CauseIntermediateExpired // it was verified as if it were a leaf
		}
		if slices.Contains(startCodes(), v.Code) {
			c = chain(v.Code)
		}
		return refuse(c, fmt.Sprintf(bundle, "cannot verify the cert with the provided root chain and cert pool with error: "+v.Reason))
	case e.Key == nil || e.Key.Encrypted || e.Key.Error != "":
		return refuse(causeInvalid, fmt.Sprintf(bundle, "failed to parse private key PEM"))
	case e.Key.SPKI != keyOf(leaf):
		return refuse(causeInvalid, fmt.Sprintf(bundle, "the cert does not match the key: tls: private key does not match public key"))
	case !leaf.IsCA:
		return refuse(chain(verifier.CauseNotACA), "certificate is not authorized to sign other certificates")
	}
	return start{does: "signs with it: " + subjectOf(leaf)}
}

func judgeIstiodStarts(e Exam) []probe.Finding {
	s := startOf(e)
	evidence := probe.WantGot("istiod", "starts and signs with ca-cert.pem", s.does)
	if s.accepts() {
		return []probe.Finding{probe.Passing(evidence)}
	}
	return []probe.Finding{probe.Failing(s.cause, evidence, probe.Text("istiod says", s.words))}
}
