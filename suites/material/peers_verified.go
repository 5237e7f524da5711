// SPDX-License-Identifier: Apache-2.0

package material

import (
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// PeersVerified checks that the TLS contexts of an Envoy verify who is there.
var PeersVerified = probe.DefineOn(probe.Meta{
	ID:      "material/peers-verified",
	Title:   "every TLS context of the mesh verifies its peer, by roots and by name",
	About:   "Of the contexts that use the mesh's certificate (the secret default): what terminates TLS requires a client certificate and verifies it by roots, and the names that it takes of clients (SAN matchers) cover every trust domain of --trust-domain. A context that matches no names takes any identity that the roots vouch for.",
	Clause:  spec.IstioClientCertRequired,
	Causes:  append(chains(verifier.CauseTrustDomainSidecar), causeNotAsked, causeNotVerified),
	Applies: "TLS contexts",
}, documents(sortContexts), judgePeersVerified)

var (
	causeNotAsked = probe.Cause{
		Code: "client-cert-not-required", Title: "a listener of the mesh does not ask for a client certificate: anybody may call",
		Try: []string{"kubectl get envoyfilters -A -o yaml | grep -B40 'require_client_certificate: false'", "kubectl get peerauthentications,sidecars -A    # or a server whose TLS mode is SIMPLE"},
	}
	causeNotVerified = probe.Cause{
		Code: "peer-not-verified", Title: "a TLS context verifies its peer by nothing at all",
		Try: []string{"kubectl get destinationrules -A -o yaml | grep -B20 'insecureSkipVerify: true'", "give the context a validation context with the mesh's roots"},
	}
)

func judgePeersVerified(e Exam) []probe.Finding {
	var passed []probe.Evidence
	for _, c := range e.Contexts {
		if !ofMesh(c) {
			continue
		}
		switch {
		case c.Downstream && !c.RequireClientCert:
			return []probe.Finding{e.Question.worse(causeNotAsked, probe.WantGot(c.Where, "requires a client certificate", "does not"))}
		case !c.Verifies:
			return []probe.Finding{e.Question.worse(causeNotVerified, probe.WantGot(c.Where, "verifies its peer", "does not"))}
		}
		if c.Downstream {
			if td := uncovered(c.SANMatchers, e.Question.TrustDomains); td != "" {
				return []probe.Finding{e.Question.worse(chain(verifier.CauseTrustDomainSidecar),
					probe.WantGot("SAN matchers of "+c.Where, "one that takes spiffe://"+td+"/…", matchers(c.SANMatchers)))}
			}
		}
		passed = append(passed, probe.Text(c.Where, matchers(c.SANMatchers)))
	}
	if td := uncovered(e.SANMatchers, e.Question.TrustDomains); td != "" && e.Name == rootSecret {
		return []probe.Finding{e.Question.worse(chain(verifier.CauseTrustDomainSidecar),
			probe.WantGot("SAN matchers of "+e.Name, "one that takes spiffe://"+td+"/…", matchers(e.SANMatchers)))}
	}
	if len(passed) == 0 {
		return []probe.Finding{probe.Skipping("no TLS context uses the mesh's certificate")}
	}
	return []probe.Finding{probe.Passing(passed[:min(len(passed), maxContexts)]...)}
}

// maxContexts bounds what a passing finding tells of a proxy with many.
const maxContexts = 8

// ofMesh says whether a context presents the workload's own certificate; one of
// a gateway for the world outside may well ask for none.
func ofMesh(c material.Context) bool { return slices.Contains(c.CertificateSecrets, leafSecret) }

// uncovered is the first trust domain of which no matcher takes an identity,
// empty where there is none or where there are no matchers.
func uncovered(ms []material.SANMatcher, domains []string) string {
	if len(ms) == 0 {
		return ""
	}
	for _, td := range domains {
		covered := false
		for _, m := range ms {
			covered = covered || covers(m, td)
		}
		if !covered {
			return td
		}
	}
	return ""
}

// covers says whether a matcher can take an identity of a trust domain. What
// cannot be told from its text, such as a regular expression, counts as yes.
func covers(m material.SANMatcher, td string) bool {
	prefix := "spiffe://" + td + "/"
	switch m.Match {
	case "exact", "prefix":
		return strings.HasPrefix(m.Value, prefix) || m.Match == "prefix" && strings.HasPrefix(prefix, m.Value)
	default:
		return true
	}
}

func matchers(ms []material.SANMatcher) string {
	if len(ms) == 0 {
		return "any name that the roots vouch for"
	}
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = strings.TrimSpace(m.Type + " " + m.Match + " " + m.Value)
	}
	return strings.Join(lines, "\n")
}
