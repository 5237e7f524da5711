// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto/x509"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Steps that several causes share. Templates over the subject.
const (
	refederate    = cause.Refederate
	restartIstiod = "kubectl --context {{.Cluster}} -n istio-system rollout restart deployment/istiod"
	showCACert    = "kubectl --context {{.Cluster}} -n istio-system get secret cacerts -o jsonpath='{.data.ca-cert\\.pem}' | base64 -d | openssl x509 -noout -text"
	showChain     = "kubectl --context {{.Cluster}} -n istio-system get secret cacerts -o jsonpath='{.data.cert-chain\\.pem}' | base64 -d | grep -c BEGIN"
	putChain      = "write the certificate of ca-cert.pem into cert-chain.pem of cacerts, then each issuer after what it signed; the root may stand last"
)

// plugged is the CA in cacerts with its signing certificate, or the finding
// that there is none to judge.
func plugged(a seen.Authority) (*seen.CASecret, *x509.Certificate, probe.Finding) {
	switch {
	case a.Plugin == nil:
		return nil, nil, probe.Skipping("the cluster has no cacerts")
	case a.Plugin.CACert.Leaf() == nil:
		return nil, nil, probe.Skipping("ca-cert.pem of cacerts holds no certificate that can be read")
	}
	return a.Plugin, a.Plugin.CACert.Leaf(), probe.Finding{}
}

// path climbs from the signing certificate to a certificate of root-cert.pem,
// by signature, through cert-chain.pem. The second result is false where it
// ends before.
func path(s *seen.CASecret) ([]*x509.Certificate, bool) {
	between, roots := s.Chain.Parsed(), s.Root.Parsed()
	way := []*x509.Certificate{s.CACert.Leaf()}
	for range len(between) + 1 {
		top := way[len(way)-1]
		if anchor := find(roots, func(c *x509.Certificate) bool { return sameKey(c, top) }); anchor != nil {
			way[len(way)-1] = anchor
			return way, true
		}
		if anchor := find(roots, func(c *x509.Certificate) bool { return verifier.Signed(top, c) }); anchor != nil {
			return append(way, anchor), true
		}
		next := find(between, func(c *x509.Certificate) bool { return !sameKey(c, top) && verifier.Signed(top, c) })
		if next == nil {
			break
		}
		way = append(way, next)
	}
	return way, false
}

func find(certs []*x509.Certificate, is func(*x509.Certificate) bool) *x509.Certificate {
	for _, c := range certs {
		if is(c) {
			return c
		}
	}
	return nil
}

func sameKey(a, b *x509.Certificate) bool { return verifier.SPKI(a) == verifier.SPKI(b) }

// files is cacerts as evidence.
func files(s *seen.CASecret, at time.Time) []probe.Evidence {
	return []probe.Evidence{
		seen.ChainEvidence("ca-cert.pem", s.CACert[:min(1, len(s.CACert))], at),
		seen.ChainEvidence("cert-chain.pem", s.Chain, at),
		seen.ChainEvidence("root-cert.pem", s.Root, at).As(probe.KindBundle),
	}
}
