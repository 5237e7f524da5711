// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SigningKeyUsage holds the signing certificate to X509-SVID §4.3, which asks
// for more than RFC 5280's verifiers do: key usage there, critical, and with
// keyCertSign.
var SigningKeyUsage = probe.DefineOn(probe.Meta{
	ID:       "ca/signing-key-usage",
	Title:    "the signing certificate's key usage is there, critical, and says keyCertSign",
	About:    "X509-SVID §4.3 for ca-cert.pem. RFC 5280 verifiers take a CA without key usage; SPIFFE validators need not.",
	Clause:   spec.X509SigningKeyUsage,
	Causes:   cause.Chains(verifier.CauseNoKeyCertSign),
	After:    []string{"ca/is-ca"},
	Applies:  "clusters",
	Profiles: []string{probe.SPIFFEStrict.Name},
}, seen.Authorities(), judgeSigningKeyUsage)

// oidKeyUsage is id-ce-keyUsage, RFC 5280 §4.2.1.3.
var oidKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 15}

func judgeSigningKeyUsage(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	i := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidKeyUsage) })
	got := ""
	switch {
	case i < 0:
		got = "no key usage"
	case cert.KeyUsage&x509.KeyUsageCertSign == 0:
		got = "key usage without keyCertSign"
	case !cert.Extensions[i].Critical:
		got = "key usage, not critical"
	}
	if got != "" {
		return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseNoKeyCertSign),
			probe.WantGot("ca-cert.pem of "+a.Cluster, "key usage, critical, with keyCertSign", got), files(s, a.At)[0])}
	}
	return []probe.Finding{probe.Passing(files(s, a.At)[0])}
}
