// SPDX-License-Identifier: Apache-2.0

package material

import (
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/ca"
	"github.com/meshprobe/meshprobe/suites/identity"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// reused are the probes of a running mesh that hold of files alike, under the
// IDs that they have there.
func reused() []probe.Probe {
	var out []probe.Probe
	for _, p := range []probe.Probe{
		ca.CACertsComplete, ca.KeyMatches, ca.IsCA, ca.SignedByRoot, ca.ChainOrder, ca.LifetimeLeft,
		ca.LifetimeNested, ca.LifetimeEnough, ca.SigningKeyUsage, ca.SigningSPIFFEID, ca.SigningNoPath,
	} {
		out = append(out, probe.On(p, documents(sortCA), Exam.authority, softened(p.ID)))
	}
	for _, p := range []probe.Probe{identity.NotExpired, identity.SPIFFEID, identity.LeafUsage, identity.InsideIssuer} {
		out = append(out, probe.On(p, documents(sortChain), Exam.workload, softened(p.ID)))
	}
	return out
}

// authority shows the CA of an istiod in a file as that of a cluster.
func (e Exam) authority() seen.Authority {
	s := &seen.CASecret{CACert: certs(e.CACert), Chain: certs(e.Certificates), Root: certs(e.Roots), Missing: e.Missing}
	if e.Object != nil {
		s.Created, s.Generated = e.Object.Created, e.Object.Generated
		if e.Object.Shape == material.ShapeSelfSigned {
			s.Chain, s.Root = s.CACert, s.CACert // all that istiod reads of it: cert-chain.pem is there and empty
		}
	}
	switch {
	case e.Key == nil:
		s.KeyError = "there is none"
	case e.Key.Encrypted:
		s.KeyError = "it is encrypted"
	default:
		s.KeySPKI, s.KeyError = e.Key.SPKI, e.Key.Error
	}
	return seen.Authority{At: e.Question.At, Cluster: document, Plugin: s}
}

// document stands for the file where a rule of a cluster names its subject.
const document = "document"

// workload shows the chain of a file as that of a workload.
func (e Exam) workload() seen.Workload {
	return seen.Workload{
		At: e.Question.At, Workload: standIn(), Trust: e.Question.TrustDomains,
		Handshake: seen.Handshake{Outcome: seen.Accepted, Chain: e.presented()},
	}
}

func standIn() cluster.Workload {
	return cluster.Workload{Ref: cluster.Ref{Cluster: document}}
}

// refusedAtStart are the causes for which istiod does not start with a CA, by
// probe: wire.md §5.1, keycertbundle.Verify.
func refusedAtStart(id string) []string {
	switch id {
	case ca.CACertsComplete.ID:
		return []string{"cacerts-incomplete"}
	case ca.KeyMatches.ID, ca.SignedByRoot.ID:
		return []string{"cacerts-chain-invalid"}
	case ca.IsCA.ID:
		return []string{verifier.CauseNotACA}
	case ca.LifetimeLeft.ID:
		return []string{verifier.CauseIntermediateExpired, verifier.CauseRootExpired, verifier.CauseClockSkew}
	default:
		return nil
	}
}

// softened makes a warning of what no part of Istio refuses, unless the profile
// asks for what SPIFFE says of identities; gives hints for files, and leaves out
// the name of the workload that there is not.
func softened(id string) func(Exam, probe.Finding) probe.Finding {
	fatal := refusedAtStart(id)
	names := strings.NewReplacer(" of "+standIn().String(), "", ", presented by "+standIn().String(), "",
		" of "+document, "", " in "+document, "")
	spiffe := strings.HasPrefix(id, "identity/")
	return func(e Exam, f probe.Finding) probe.Finding {
		fails := slices.Contains(fatal, f.Cause.Code) || strings.HasPrefix(id, "ca/signing-") || spiffe && e.Question.Strict
		if f.Status == probe.Fail && !fails {
			f.Status = probe.Warn
		}
		if f.Cause.Code != "" {
			f.Cause = onFile(f.Cause)
		}
		f.Evidence = brief(f.Evidence)
		for i := range f.Evidence {
			f.Evidence[i].Label = names.Replace(f.Evidence[i].Label)
		}
		return f
	}
}

// brief leaves out the certificates where something else is said: the document
// itself shows them.
func brief(evidence []probe.Evidence) []probe.Evidence {
	short := slices.DeleteFunc(slices.Clone(evidence), func(e probe.Evidence) bool {
		return e.Kind == probe.KindChain || e.Kind == probe.KindBundle
	})
	if len(short) == 0 {
		return evidence
	}
	return short
}
