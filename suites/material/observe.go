// SPDX-License-Identifier: Apache-2.0

package material

import (
	"context"
	"iter"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// sort is what some documents have in common, so that the same probes judge
// them.
type sort string

// The sorts of documents, which are also the names of their observations.
const (
	sortAny      sort = "document"          // everything
	sortChain    sort = "document.chain"    // presents a leaf
	sortTrust    sort = "document.trust"    // trusts roots
	sortCA       sort = "document.ca"       // signs for an istiod
	sortRequest  sort = "document.request"  // asks for a certificate
	sortRevoked  sort = "document.revoked"  // revokes certificates
	sortProxy    sort = "document.proxy"    // is part of a proxy's state
	sortContexts sort = "document.contexts" // configures TLS
	sortBundle   sort = "document.bundle"   // is a SPIFFE bundle
	sortName     sort = "document.name"     // is a SPIFFE ID
	sortRemote   sort = "document.remote"   // opens other clusters
	sortKey      sort = "document.key"      // has a private key beside its chain
	sortExpected sort = "document.expected" // must bear a name that the user gave
	sortCRLs     sort = "document.crls"     // has revocation lists beside the CA of an istiod
)

// sorts are those of a document.
func (e Exam) sorts() []sort {
	out := []sort{sortAny}
	add := func(s sort, yes bool) {
		if yes {
			out = append(out, s)
		}
	}
	ca := e.Kind == material.KindCACerts
	add(sortCA, ca)
	add(sortChain, !ca && len(e.Certificates) > 0)
	add(sortKey, !ca && e.Key != nil && !e.Key.Redacted && len(e.Certificates) > 0)
	add(sortExpected, !ca && len(e.Certificates) > 0 && (e.Question.Hostname != "" || len(e.Question.Identities) > 0))
	add(sortCRLs, ca && len(e.CRLs) > 0)
	add(sortTrust, !ca && len(e.Roots) > 0 && len(e.Certificates) == 0)
	add(sortRequest, e.Request != nil)
	add(sortRevoked, len(e.CRLs) > 0)
	add(sortProxy, e.SDS != nil)
	add(sortContexts, len(e.Contexts) > 0 || len(e.SANMatchers) > 0)
	add(sortBundle, e.Bundle != nil || e.Kind == material.KindSPIFFEBundle)
	add(sortName, e.Identity != nil)
	add(sortRemote, len(e.Remotes) > 0)
	return out
}

// documents observes the documents of one sort. They were read before: the
// observation hands them over.
func documents(s sort) probe.Observation[Subject, Exam] {
	o := probe.Observation[Subject, Exam]{
		Name: string(s),
		Over: func(env *probe.Env) iter.Seq[Subject] {
			return func(yield func(Subject) bool) {
				for subject := range probe.Given[Subject](env) {
					if subject.exam.holds(s) && !yield(subject) {
						return
					}
				}
			}
		},
		Observe: func(_ context.Context, _ *probe.Env, s Subject) (Exam, error) { return s.exam, nil },
	}
	if s == sortAny {
		o.Exhibit = probe.ExhibitDocument
	}
	return o
}

// For chooses the probes that have something to say of the documents.
func For(exams []Exam) []probe.Probe {
	var names []string
	for _, e := range exams {
		for _, s := range e.sorts() {
			names = append(names, string(s))
		}
	}
	return slices.DeleteFunc(slices.Concat(Probes(), reused()), func(p probe.Probe) bool {
		return !slices.Contains(names, p.ObservationName())
	})
}
