// SPDX-License-Identifier: Apache-2.0

package material

import (
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// onFile is a cause with the steps that make sense for a file: those that need
// a cluster to run in are left out.
func onFile(c probe.Cause) probe.Cause {
	var try []string
	for _, t := range c.Try {
		if !strings.Contains(t, "{{.") {
			try = append(try, t)
		}
	}
	switch c.Code {
	case verifier.CauseIntermediateUnsent, verifier.CauseWrongIntermediate:
		try = []string{"put the certificate that signed the leaf right after it, and its issuers after that; the root may be left out"}
	case verifier.CauseLeafExpired:
		try = []string{"renew it; a proxy does so by itself at half of its life: see why it could not"}
	case verifier.CauseClockSkew:
		try = []string{"compare the clocks of who issues and who verifies; or judge as of another moment: --at 2026-01-02T15:04:05Z"}
	case verifier.CauseTrustDomainSidecar:
		try = []string{"name the aliases of the side that verifies after its own trust domain: --trust-domain OWN --trust-domain ALIAS", "or use one trust domain in all clusters"}
	case verifier.CauseWrongIdentity:
		try = []string{"see which identity the caller expects: istioctl proxy-config cluster POD -o json | grep -A3 matchTypedSubjectAltNames"}
	case causeIncomplete.Code:
		if len(try) == 0 {
			try = causeIncomplete.Try
		}
	case verifier.CauseNoCertificate, verifier.CauseOversized, verdict.Unparsable.Code:
		try = []string{"look at what is in the file: openssl crl2pkcs7 -nocrl -certfile FILE | openssl pkcs7 -print_certs -noout"}
	}
	if len(try) == 0 {
		try = []string{"meshprobe explain " + c.Code}
	}
	c.Try = try
	return c
}

// chain is the cause of a code of the verifiers, for a file.
func chain(code string) probe.Cause {
	if code == verdict.Unparsable.Code {
		return onFile(verdict.Unparsable)
	}
	return onFile(cause.Chain(code))
}

// chains are the causes of codes.
func chains(codes ...string) []probe.Cause {
	out := make([]probe.Cause, len(codes))
	for i, code := range codes {
		out[i] = chain(code)
	}
	return out
}

// worse is a finding that something does not hold which a standard asks for and
// Istio does not mind: a warning, and a failure for who holds the mesh to every
// clause.
func (q Question) worse(c probe.Cause, evidence probe.Evidence) probe.Finding {
	f := probe.Failing(c, evidence)
	if !q.Strict {
		f.Status = probe.Warn
	}
	return f
}
