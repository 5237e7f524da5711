// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"errors"

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
// while anything is outstanding no other one begins. Errors are [*Error];
// ErrNotFederated among them.
func Rotate(ctx context.Context, set *cluster.Set, o Options, events cluster.Events) error {
	p, err := NewPlan(ctx, set, o)
	if err != nil {
		return err
	}
	if p.Empty() {
		if err := beginRotation(ctx, set, o, events); err != nil {
			return err
		}
	}
	return Apply(ctx, p, events)
}

func beginRotation(ctx context.Context, set *cluster.Set, o Options, events cluster.Events) error {
	f, err := open(set, o)
	if err != nil {
		return err
	}
	f.events = &emitter{events: events, now: f.opts.Now}
	if f.root, err = f.opts.Issuer.Current(ctx); err != nil {
		return wrap(StepRoot, "", err)
	}
	// All are looked at before the first is changed.
	err = each(f.members, f.opts.Parallel, func(m *member) error {
		if err := m.inspect(ctx); err != nil || m.ca.ok() {
			return wrap(StepRotate, m.name, err)
		}
		return wrap(StepRotate, m.name, ErrNotFederated)
	})
	if err != nil {
		return err
	}
	return f.run(ctx, step{word: StepRotate, title: "a new CA key per cluster", apply: func(ctx context.Context, m *member) error {
		return m.side().renew(ctx, m.f.opts.Issuer.Profile(), m.ca.mark())
	}})
}
