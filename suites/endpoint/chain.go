// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// Chain checks the form of the chain: order, repetitions, what does not belong.
var Chain = probe.DefineOn(probe.Meta{
	ID:      "endpoint/chain",
	Title:   "the chain is sent leaf first, in order, with nothing else",
	About:   aboutChain,
	Clause:  spec.TLSChainOrder,
	Causes:  chainCauses(),
	After:   []string{"endpoint/accepted"},
	Applies: "endpoints",
}, met(), outer(judgeChain))

const aboutChain = "Each certificate is to have signed the one before it, found out by signature and not by name. A wrong order, repetitions and strangers are odd and mostly harmless; some verifiers mind. Whether an issuer is missing shows against a trust bundle."

func chainCauses() []probe.Cause {
	return []probe.Cause{causeOrder, causeTwice, causeStrangers, verdict.Unparsable}
}

var (
	causeOrder = probe.Cause{
		Code: "chain-order", Title: "the certificates are sent in another order than leaf, issuer, issuer of that",
		Try: []string{"put cert-chain.pem of cacerts in order: the issuing CA first, the root last or not at all"},
	}
	causeTwice = probe.Cause{
		Code: "chain-duplicates", Title: "a certificate is sent more than once",
		Try: []string{"take the repetition out of cert-chain.pem of cacerts: it makes every handshake larger"},
	}
	causeStrangers = probe.Cause{
		Code: "chain-unrelated", Title: "certificates are sent that are not above the leaf",
		Try: []string{"take them out of cert-chain.pem of cacerts: they make every handshake larger, and hide what is missing"},
	}
)

// form is what is odd about the way in which a chain was sent.
type form struct {
	way       []int // positions from the leaf upwards, from 1
	twice     []int // positions of repetitions
	strangers []int // positions of what does not belong
	leafLater bool  // the first certificate signed another one
}

// formOf follows the signatures upwards from the first certificate.
func formOf(certs []*x509.Certificate) form {
	f := form{way: []int{1}}
	rest := map[int]*x509.Certificate{}
	for i, c := range certs[1:] {
		if slices.ContainsFunc(certs[:i+1], c.Equal) {
			f.twice = append(f.twice, i+2)
		} else {
			rest[i+2] = c
		}
	}
	for top := certs[0]; !verifier.SelfSigned(top); {
		next := 0
		for i := range len(certs) + 1 {
			if c := rest[i]; c != nil && verifier.Signed(top, c) {
				next = i
				break
			}
		}
		if next == 0 {
			break
		}
		top = rest[next]
		f.way = append(f.way, next)
		delete(rest, next)
	}
	for i := range len(certs) + 1 {
		if rest[i] != nil {
			f.strangers = append(f.strangers, i)
			f.leafLater = f.leafLater || verifier.Signed(rest[i], certs[0])
		}
	}
	return f
}

func judgeChain(p part) []probe.Finding {
	l := p.layer
	if len(l.Chain) == 0 {
		if p.refusedAsExpected() {
			return []probe.Finding{probe.Skipping("the handshake ended, as expected, before a certificate was sent")}
		}
		return []probe.Finding{probe.Breaking("no chain was seen", probe.Text("handshake", said(l)))}
	}
	certs, err := l.Chain.Parse()
	if err != nil || l.Unparsable != "" {
		return []probe.Finding{probe.Failing(verdict.Unparsable, unparsable(p)[0], unparsable(p)[1:]...)}
	}
	f := formOf(certs[:min(len(certs), maxJudged)])
	var fs []probe.Finding
	if !slices.IsSorted(f.way) || f.leafLater {
		fs = append(fs, probe.Failing(causeOrder, probe.WantGot(p.label("chain, from leaf to root"), "1, 2, ...", numbers(f.way))))
	}
	if len(f.twice) > 0 {
		fs = append(fs, probe.Noting(causeTwice, probe.Text(p.label("sent again"), "certificate "+numbers(f.twice))))
	}
	if len(f.strangers) > 0 && !f.leafLater {
		fs = append(fs, probe.Noting(causeStrangers, probe.Text(p.label("not above the leaf"), described(p, f.strangers)...)))
	}
	if len(fs) == 0 {
		fs = append(fs, probe.Passing(probe.Text(p.label("chain"), plural(int64(len(certs)), "certificate")+" in order")))
	}
	return fs
}

// maxJudged bounds how many certificates are compared with each other.
const maxJudged = 32

func described(p part, at []int) []string {
	var lines []string
	for _, i := range at {
		lines = append(lines, fmt.Sprintf("certificate %d: %s", i, seen.Certs{p.layer.Chain[i-1]}.Describe(p.At)[len("1: "):]))
	}
	return lines
}

// unparsable is what a parser said of a chain that it could not read, and what
// can be read all the same.
func unparsable(p part) []probe.Evidence {
	l := p.layer
	said := l.Unparsable
	if said == "" {
		if _, err := l.Chain.Parse(); err != nil {
			said = err.Error()
		}
	}
	facts := []probe.Evidence{probe.Text(p.label("crypto/x509"), said).As(probe.KindCert)}
	for i, c := range l.Certificates {
		if c.Error == "" {
			continue
		}
		facts = append(facts, probe.Text(fmt.Sprintf("%s %d, as far as it can be read", p.label("certificate"), i+1),
			prefixed("subject ", c.Subject), prefixed("issuer ", c.Issuer), prefixed("serial ", c.Serial),
			prefixed("names ", join(", ", strings.Join(c.URIs, ", "), strings.Join(c.DNS, ", "))),
			prefixed("key ", c.Key), prefixed("signature ", c.Signature), prefixed("SHA-256 ", c.SHA256), prefixed("stopped at ", c.Where)).As(probe.KindCert))
		break
	}
	return facts
}

func prefixed(what, s string) string {
	if s == "" {
		return what + "(not found)"
	}
	return what + s
}

func numbers(n []int) string {
	out := make([]string, len(n))
	for i, v := range n {
		out[i] = fmt.Sprint(v)
	}
	return strings.Join(out, ", ")
}
