// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SigningNoPath checks that a signing certificate's SPIFFE ID, where it has
// one, names a trust domain and no workload.
var SigningNoPath = probe.DefineOn(probe.Meta{
	ID:       "ca/signing-no-path",
	Title:    "the signing certificate's SPIFFE ID, if it has one, is a trust domain's",
	About:    "X509-SVID §3.2 for ca-cert.pem: its SPIFFE ID has no path, so that no CA can be taken for a workload.",
	Clause:   spec.X509SigningNoPath,
	Causes:   []probe.Cause{causeWorkloadCA},
	After:    []string{"ca/cacerts-complete"},
	Applies:  "clusters",
	Profiles: []string{probe.SPIFFEStrict.Name},
}, seen.Authorities(), judgeSigningNoPath)

var causeWorkloadCA = probe.Cause{
	Code: "ca-named-like-workload", Title: "the signing certificate's SPIFFE ID has a path, like a workload's",
	Try: []string{"issue the intermediate with the URI SAN spiffe://TRUST-DOMAIN and no path", showCACert},
}

func judgeSigningNoPath(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	for _, u := range cert.URIs {
		if u.Scheme == "spiffe" && strings.Trim(u.Path, "/") != "" {
			return []probe.Finding{probe.Failing(causeWorkloadCA,
				probe.WantGot("SPIFFE ID of ca-cert.pem of "+a.Cluster, "spiffe://"+u.Host, u.String()), files(s, a.At)[0])}
		}
	}
	return []probe.Finding{probe.Passing(files(s, a.At)[0])}
}
