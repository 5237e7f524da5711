// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SigningSPIFFEID asks the signing certificate to be an SVID itself. Those of
// Istio are not.
var SigningSPIFFEID = probe.DefineOn(probe.Meta{
	ID:       "ca/signing-spiffe-id",
	Title:    "the signing certificate is an SVID: it names its trust domain",
	About:    "X509-SVID §3.2 for ca-cert.pem: one URI SAN, a SPIFFE ID. It binds a CA to one trust domain; Istio's CAs carry none.",
	Clause:   spec.X509SigningIsSVID,
	Causes:   []probe.Cause{causeNotAnSVID},
	After:    []string{"ca/cacerts-complete"},
	Applies:  "clusters",
	Profiles: []string{probe.SPIFFEStrict.Name},
}, seen.Authorities(), judgeSigningSPIFFEID)

var causeNotAnSVID = probe.Cause{
	Code: "ca-not-an-svid", Title: "the signing certificate carries no SPIFFE ID",
	Try: []string{"issue the intermediate with the URI SAN spiffe://TRUST-DOMAIN and no path", showCACert},
}

func judgeSigningSPIFFEID(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	var ids []string
	valid := false
	for _, u := range cert.URIs {
		_, err := spiffeid.FromURI(u)
		valid = err == nil
		ids = append(ids, u.String())
	}
	got := "none"
	if len(ids) > 0 {
		got = strings.Join(ids, "\n")
	}
	evidence := probe.WantGot("URI SANs of ca-cert.pem of "+a.Cluster, "one, spiffe://TRUST-DOMAIN", got)
	if len(ids) != 1 || !valid {
		return []probe.Finding{probe.Failing(causeNotAnSVID, evidence, files(s, a.At)[0])}
	}
	return []probe.Finding{probe.Passing(evidence)}
}
