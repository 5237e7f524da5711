// SPDX-License-Identifier: Apache-2.0

package material

import (
	"slices"
)

// RootSPKIs are the keys of the document's Roots and of the roots of its
// TrustDomains, sorted, each once: what two documents are compared by. A root that
// crypto/x509 cannot parse counts as long as its key can be read.
func (d Document) RootSPKIs() []string {
	var out []string
	add := func(certs []Certificate) {
		for _, c := range certs {
			if c.SPKI != "" {
				out = append(out, c.SPKI)
			}
		}
	}
	add(d.Roots)
	for _, td := range d.TrustDomains {
		add(td.Roots)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Anchors are the roots by which the chain of docs[i] would be judged where it was
// found: its own Roots, else those of the active validation contexts of the same
// dump, ROOTCA before all others. It is nil where none are known.
func Anchors(docs []Document, i int) []Certificate {
	d := docs[i]
	if len(d.Roots) > 0 || d.SDS == nil {
		return d.Roots
	}
	var out []Certificate
	for _, other := range docs {
		if other.Source != d.Source || other.SDS == nil || other.SDS.State == StateWarming {
			continue
		}
		if other.Name == "ROOTCA" && len(other.Roots) > 0 {
			return other.Roots
		}
		out = append(out, other.Roots...)
	}
	return out
}

// HasProblem reports whether the document has a problem of the code.
func (d Document) HasProblem(code Code) bool {
	return slices.ContainsFunc(d.Problems, func(p Problem) bool { return p.Code == code })
}
