// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// ClusterStatus says how far the federation of one cluster came. It is what
// the API says, not a proof: that is [Verify].
type ClusterStatus struct {
	Cluster      string
	Root         *x509.Certificate   // of cacerts; nil without
	Intermediate *x509.Certificate   // of cacerts; nil without
	Former       []*x509.Certificate // other roots that are still trusted, as [Move] leaves them
	Problem      string              // why cacerts is not the federation's; "" where it is
	Since        time.Time           // when istiod was restarted for it; zero before
	Outstanding  string              // the first step that has something to do, "" where none has
	Changes      []Change            // what all the steps have to do
}

// Status looks at each cluster, in the order of the set, and writes nothing.
// Without Options.Issuer the root is the one that all of them have in cacerts.
func Status(ctx context.Context, set *cluster.Set, o Options) ([]ClusterStatus, error) {
	f, err := open(set, o)
	if err != nil {
		return nil, err
	}
	if f.opts.Issuer == nil {
		if f.opts.Issuer, err = f.inForce(ctx); err != nil {
			return nil, err
		}
	}
	if f.root, err = f.opts.Issuer.Current(ctx); err != nil {
		return nil, wrap(StepRoot, "", err)
	}
	out := make([]ClusterStatus, len(f.members))
	byName := map[string]*ClusterStatus{}
	for i, m := range f.members {
		out[i].Cluster = m.name
		byName[m.name] = &out[i]
	}
	for _, s := range append(f.steps()[1:], f.last()...) {
		changes, err := f.planStep(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			st := byName[c.Cluster]
			if st.Outstanding == "" {
				st.Outstanding = s.word
			}
			st.Changes = append(st.Changes, c)
		}
	}
	for i, m := range f.members {
		out[i].Root, out[i].Intermediate, out[i].Problem = m.ca.Root, m.ca.Intermediate, m.ca.Problem
		if m.ca.ok() {
			out[i].Former = m.ca.roots()[1:]
		}
		if out[i].Since, err = m.since(ctx); err != nil {
			return nil, wrap(StepIstiodRestart, m.name, err)
		}
	}
	return out, nil
}

// since is when istiod was restarted for the CA that is in cacerts.
func (m *member) since(ctx context.Context) (time.Time, error) {
	if m.ca.Intermediate == nil {
		return time.Time{}, nil
	}
	found, err := m.rollables(ctx, isIstiod)
	if err != nil {
		return time.Time{}, err
	}
	for _, r := range found {
		if r.annotations[annotationCA] != m.ca.mark() {
			continue
		}
		if at, err := time.Parse(time.RFC3339, r.annotations[annotationRestarted]); err == nil {
			return at, nil
		}
	}
	return time.Time{}, nil
}
