// SPDX-License-Identifier: Apache-2.0

// Package material holds the probes of certificates, bundles, CAs, requests,
// revocation lists and dumps that were read from files: `meshprobe inspect`.
//
// They look at no cluster. What a file is, package pkg/material says; what
// Istio and the verifiers of a mesh would make of it is judged here. Only that
// fails: what the SPIFFE documents or RFC 5280 ask beyond it is a warning,
// unless the profile is spiffe-strict. Rules that also hold of a running mesh
// are those of suites/ca and suites/identity, under their own names.
package material

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Exam is one document and what it is asked. It survives JSON, where the
// document's fields stand beside "question".
type Exam struct {
	material.Document
	Question Question `json:"question"`
}

// Question is what the user wants to know of the documents.
type Question struct {
	At time.Time `json:"at"` // the moment as of which to judge
	// As is the side that presents a chain: "server" or "client".
	As string `json:"as"`
	// TrustDomains are the verifier's own, then its aliases.
	TrustDomains []string `json:"trustDomains"`
	Identities   []string `json:"identities,omitempty"` // expected of a server
	Hostname     string   `json:"hostname,omitempty"`   // expected among the DNS names
	Against      *Trust   `json:"against,omitempty"`    // null: nothing is trusted, so nothing is judged
	Strict       bool     `json:"strict,omitempty"`     // the profile is spiffe-strict
}

// Trust is a trust bundle and where it came from.
type Trust struct {
	Source string     `json:"source"`
	Roots  seen.Certs `json:"roots"`
	// Others are certificates of the same source that are no anchors: what a
	// revocation list may name.
	Others seen.Certs `json:"others,omitempty"`
}

// Role is the side that presents, as verifiers know it.
func (q Question) Role() verifier.Role {
	if q.As == verifier.Client.String() {
		return verifier.Client
	}
	return verifier.Server
}

// Ask makes an exam of each document. Where the user gave no bundle, a
// certificate inside a dump is judged by the roots of that same proxy.
func Ask(docs []material.Document, q Question) []Exam {
	out := make([]Exam, len(docs))
	for i, d := range docs {
		out[i] = Exam{Document: d, Question: q}
		if q.Against == nil && d.SDS != nil && len(d.Certificates) > 0 {
			out[i].Question.Against = proxyRoots(docs, d)
		}
	}
	return out
}

// proxyRoots are the roots that the proxy of a dump verifies its peers by.
func proxyRoots(docs []material.Document, of material.Document) *Trust {
	var roots seen.Certs
	if len(of.Roots) > 0 { // ztunnel keeps them beside each certificate
		return &Trust{Source: "rootCerts of the dump", Roots: certs(of.Roots)}
	}
	name := ""
	for _, d := range docs {
		if d.Source != of.Source || d.SDS == nil || len(d.Certificates) > 0 || len(d.Roots) == 0 {
			continue
		}
		if name == "" || d.Name == rootSecret {
			name, roots = d.Name, certs(d.Roots)
		}
	}
	if name == "" {
		return nil
	}
	return &Trust{Source: name + " of the dump", Roots: roots}
}

// The names of the secrets that istiod's agents serve.
const (
	rootSecret = "ROOTCA"
	leafSecret = "default"
)

// certs are the bytes of certificates, those that cannot be parsed included.
func certs(in []material.Certificate) seen.Certs {
	out := make(seen.Certs, 0, len(in))
	for _, c := range in {
		if len(c.DER) > 0 {
			out = append(out, c.DER)
		}
	}
	return out
}

// presented is what the document's owner would show to a peer.
func (e Exam) presented() seen.Certs { return certs(e.Certificates) }

// trusted is what the document's owner verifies peers by.
func (e Exam) trusted() seen.Certs { return certs(e.Roots) }

// title names the document and says what it is.
func (e Exam) title() string {
	name := e.Source
	if e.Name != "" && e.Name != e.Source {
		name += ", " + e.Name
	}
	return name + ": " + e.what()
}

// what says what kind of thing the document is.
func (e Exam) what() string {
	if o := e.Object; o != nil {
		return fmt.Sprintf("%s %s", o.Kind, shapes(o.Shape))
	}
	switch e.Kind {
	case material.KindChain:
		return counted(len(e.Certificates), "certificate") + " to present"
	case material.KindBundle:
		return counted(len(e.Roots), "trust anchor")
	case material.KindCACerts:
		return "the CA of an istiod"
	case material.KindCSR:
		return "a certificate signing request"
	case material.KindCRL:
		return counted(len(e.CRLs), "revocation list")
	case material.KindSPIFFEBundle:
		return "a SPIFFE bundle"
	case material.KindSPIFFEID:
		return "a SPIFFE ID"
	case material.KindKey:
		return "a key alone"
	default:
		return e.dumped()
	}
}

// dumped says what a part of a proxy's dump is.
func (e Exam) dumped() string {
	proxy := "Envoy"
	if e.Kind == material.KindZtunnelDump {
		proxy = "ztunnel"
	}
	switch {
	case e.SDS == nil && len(e.Contexts) > 0:
		return counted(len(e.Contexts), "TLS context") + " of an Envoy"
	case e.SDS == nil:
		return fmt.Sprintf("%s, %s of a ztunnel", counted(len(e.Workloads), "workload"), counted(len(e.Services), "service"))
	default:
		return fmt.Sprintf("%s of %s, %s", strings.ReplaceAll(e.SDS.Holds, "-", " "), proxy, e.SDS.State)
	}
}

func shapes(s material.Shape) string {
	switch s {
	case material.ShapeCACerts, material.ShapeCACertsTLS:
		return "with the CA of an istiod"
	case material.ShapeSelfSigned:
		return "with the CA that istiod made for itself"
	case material.ShapeRootMap:
		return "with the roots that istiod hands out"
	case material.ShapeCRLMap:
		return "with the revocation lists that istiod hands out"
	case material.ShapeOther, "":
		return "of another kind"
	default:
		return "of the shape " + string(s)
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Subject is a document as the subject of a probe.
type Subject struct {
	name string
	exam Exam
}

// String is the source of the document, and its name inside it.
func (s Subject) String() string { return s.name }

// Parts is the document itself.
func (s Subject) Parts() []string { return []string{s.name} }

var _ probe.Subject = Subject{}

// Subjects names the documents, each in a way of its own.
func Subjects(exams []Exam) []Subject {
	taken := map[string]int{}
	out := make([]Subject, len(exams))
	for i, e := range exams {
		name := e.Source
		if inside := cmp.Or(e.Name, string(e.Kind)); len(exams) > 1 {
			name += ", " + inside
		}
		taken[name]++
		if n := taken[name]; n > 1 {
			name = fmt.Sprintf("%s (%d)", name, n)
		}
		out[i] = Subject{name: name, exam: e}
	}
	return out
}

// Holds are the sorts of questions that a document answers.
func (e Exam) holds(s sort) bool { return slices.Contains(e.sorts(), s) }
