// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"errors"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// ErrNotFederated says that a CA cannot be renewed where Apply was not yet.
var ErrNotFederated = errors.New("it is not under the shared root")

// Rotate gives each cluster a new CA key and intermediate under the same root,
// and renews every certificate: by the same steps as [Apply], in which both the
// old and the new intermediate are good, as both chain to the root that
// everybody trusts.
//
// A rotation that was interrupted is continued, by Rotate as well as by Apply;
// while a change of CAs is outstanding no other one begins, and no event of
// StepRotate is told. Errors are [*Error];
// ErrNotFederated among them.
func Rotate(ctx context.Context, set *cluster.Set, o Options, events cluster.Events) error {
	f, err := opened(ctx, set, o, events)
	if err != nil {
		return err
	}
	for _, m := range f.members {
		if !m.ca.trusts(f.root) {
			return wrap(StepRotate, m.name, ErrNotFederated)
		}
	}
	p, err := NewPlan(ctx, set, o)
	if err != nil {
		return err
	}
	if !p.changesCAs() {
		if err := f.beginRotation(ctx); err != nil {
			return err
		}
	}
	return Apply(ctx, p, events)
}

// changesCAs reports whether a change of CAs was interrupted.
func (p *Plan) changesCAs() bool {
	return slices.ContainsFunc(p.Steps, func(s Step) bool {
		switch s.Name {
		case StepGateway, StepNetwork, StepRemoteSecret, StepServiceEntry:
			return false
		}
		return len(s.Changes) > 0
	})
}

func (f *federation) beginRotation(ctx context.Context) error {
	return f.run(ctx, step{word: StepRotate, title: "a new CA key per cluster", apply: func(ctx context.Context, m *member) error {
		return m.side().renew(ctx, m.f.opts.Issuer.Profile(), m.ca.mark())
	}})
}
