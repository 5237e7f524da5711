// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ExpectedIdentity checks a leaf for the names that the user asked for.
var ExpectedIdentity = probe.DefineOn(probe.Meta{
	ID:      "material/expected-identity",
	Title:   "the leaf bears the identity that is expected of it",
	About:   "With --expect-id, one of these SPIFFE IDs is a URI SAN of the leaf, byte for byte; with --hostname, the DNS names of the leaf cover the name.",
	Clause:  spec.IstioSecureNaming,
	Causes:  append(chains(verifier.CauseWrongIdentity), causeHostname),
	Applies: "chains of which an identity is expected",
}, documents(sortExpected), judgeExpectedIdentity)

var causeHostname = probe.Cause{
	Code: "hostname-mismatch", Title: "no DNS name of the certificate covers the host name",
	Try: []string{"a mesh identifies workloads by SPIFFE ID and not by host name: --expect-id spiffe://…", "or issue the certificate with the DNS name"},
}

func judgeExpectedIdentity(e Exam) []probe.Finding {
	leaf := e.presented().Leaf()
	if leaf == nil {
		return []probe.Finding{probe.Skipping("the first certificate cannot be read")}
	}
	var evidence []probe.Evidence
	if want := e.Question.Identities; len(want) > 0 {
		evidence = append(evidence, probe.WantGot("URI SANs of the leaf", strings.Join(want, " or "), named(uris(leaf))))
		if !slices.ContainsFunc(uris(leaf), func(u string) bool { return slices.Contains(want, u) }) {
			return []probe.Finding{probe.Failing(chain(verifier.CauseWrongIdentity), evidence[0])}
		}
	}
	if want := e.Question.Hostname; want != "" {
		got := probe.WantGot("DNS names of the leaf", want, named(leaf.DNSNames))
		if err := leaf.VerifyHostname(want); err != nil {
			return []probe.Finding{probe.Failing(causeHostname, got)}
		}
		evidence = append(evidence, got)
	}
	return []probe.Finding{probe.Passing(evidence...)}
}

func uris(c *x509.Certificate) []string {
	out := make([]string, len(c.URIs))
	for i, u := range c.URIs {
		out[i] = u.String()
	}
	return out
}

func named(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, "\n")
}

func keyOf(c *x509.Certificate) string { return verifier.SPKI(c) }

// subjectOf names a certificate for a sentence.
func subjectOf(c *x509.Certificate) string { return seen.Subject(c) + ", key " + seen.ShortKey(c) }
