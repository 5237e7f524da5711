// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// CACertsComplete checks that no file of cacerts is missing or empty.
var CACertsComplete = probe.DefineOn(probe.Meta{
	ID:      "ca/cacerts-complete",
	Title:   "cacerts holds all four files, none of them empty",
	About:   "ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem (or tls.crt, tls.key and ca.crt) are there, and the certificates can be read. An istiod that starts with less ends with \"incomplete signing CA bundle detected\"; older ones sign with a root of their own without a word.",
	Clause:  spec.IstioCACertsFiles,
	Causes:  []probe.Cause{causeIncomplete},
	After:   []string{"ca/not-self-signed"},
	Applies: "clusters",
}, seen.Authorities(), judgeCACertsComplete)

var causeIncomplete = probe.Cause{
	Code: "cacerts-incomplete", Title: "a file of cacerts is missing, empty, or holds no certificate",
	Try: []string{
		"kubectl --context {{.Cluster}} -n istio-system describe secret cacerts    # shows the size of each file",
		"kubectl create secret generic cacerts --dry-run=client -o yaml --from-file=ca-cert.pem --from-file=ca-key.pem --from-file=root-cert.pem --from-file=cert-chain.pem -n istio-system | kubectl --context {{.Cluster}} apply -f -",
		restartIstiod,
	},
}

func judgeCACertsComplete(a seen.Authority) []probe.Finding {
	s := a.Plugin
	if s == nil {
		return []probe.Finding{probe.Skipping("the cluster has no cacerts")}
	}
	var problems []string
	for _, file := range s.Missing {
		problems = append(problems, file+" is missing or empty")
	}
	if len(problems) == 0 {
		for _, f := range []struct {
			name  string
			certs seen.Certs
		}{{"ca-cert.pem", s.CACert}, {"cert-chain.pem", s.Chain}, {"root-cert.pem", s.Root}} {
			if _, err := f.certs.Parse(); err != nil {
				problems = append(problems, f.name+": "+err.Error())
			} else if len(f.certs) == 0 {
				problems = append(problems, f.name+" holds no certificate")
			}
		}
	}
	if len(problems) > 0 {
		return []probe.Finding{probe.Failing(causeIncomplete,
			probe.WantGot("cacerts of "+a.Cluster, "ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem", strings.Join(problems, "\n")))}
	}
	return []probe.Finding{probe.Passing(files(s, a.At)...)}
}
