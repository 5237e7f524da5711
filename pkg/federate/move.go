// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// ErrSameRoot says that the clusters are under that root and no other already.
var ErrSameRoot = errors.New("the clusters are under this root already")

// ErrNotMoved says that the former root is still needed.
var ErrNotMoved = errors.New("it is not under the new root yet")

// Move brings federated clusters under another root, that of Options.Issuer,
// while both are trusted: first everybody trusts both, then each cluster gets an
// intermediate of the new root. Handshakes prove it before, between and after.
// The former root stays trusted until [Drop].
//
// What was interrupted is continued by Move. Errors are [*Error]; ErrSameRoot and
// ErrNotFederated among them.
func Move(ctx context.Context, set *cluster.Set, o Options, events cluster.Events) error {
	o.Overlap, o.KeepFormer = true, true
	f, err := opened(ctx, set, o, events)
	if err != nil {
		return err
	}
	begun, err := f.movable(ctx)
	if err != nil {
		return err
	}
	if !begun {
		if err := f.handshakes(ctx, nil, "before"); err != nil {
			return err
		}
	}
	for _, s := range f.steps() {
		if err := f.run(ctx, s); err != nil {
			return err
		}
		// Whose certificates are of the former root must still be trusted.
		if s.word == StepTrustRollout && f.anyMoving() {
			if err := f.handshakes(ctx, nil, "both roots are trusted"); err != nil {
				return err
			}
		}
	}
	if err := f.verify(ctx); err != nil {
		return err
	}
	return f.settle(ctx)
}

// opened is open for whoever has to know the root that there is.
func opened(ctx context.Context, set *cluster.Set, o Options, events cluster.Events) (*federation, error) {
	f, err := open(set, o)
	if err != nil {
		return nil, err
	}
	f.events = &emitter{events: events, now: f.opts.Now}
	if f.opts.Issuer == nil {
		return nil, wrap(StepRoot, "", ErrNoIssuer)
	}
	if f.root, err = f.opts.Issuer.Current(ctx); err != nil {
		return nil, wrap(StepRoot, "", err)
	}
	return f, each(f.members, f.opts.Parallel, func(m *member) error { return wrap(StepTrust, m.name, m.inspect(ctx)) })
}

// movable reports whether the clusters have begun to move, and an error where
// they do not share a root from which to move, or are there already.
func (f *federation) movable(ctx context.Context) (begun bool, err error) {
	var common []*x509.Certificate
	there := true
	for i, m := range f.members {
		roots := m.ca.roots()
		if m.ca.Intermediate == nil || len(roots) == 0 {
			return false, wrap(StepTrust, m.name, ErrNotFederated)
		}
		begun = begun || m.ca.trusts(f.root)
		there = there && m.ca.ok() && len(roots) == 1
		if i == 0 {
			common = roots
		}
		common = slices.DeleteFunc(slices.Clone(common), func(c *x509.Certificate) bool { return !slices.ContainsFunc(roots, c.Equal) })
	}
	switch {
	case there:
		return true, wrap(StepTrust, "", ErrSameRoot)
	case len(common) == 0:
		return begun, wrap(StepTrust, "", ErrNotFederated)
	}
	return begun, ctx.Err()
}

func (f *federation) anyMoving() bool {
	return slices.ContainsFunc(f.members, func(m *member) bool { return m.ca.moving(f.root) })
}

// Drop ends the trust in former roots, after handshakes have proved that nobody
// needs them, and proves that nothing is missing. What was interrupted it
// continues. Errors are [*Error]; ErrNotMoved among them.
func Drop(ctx context.Context, set *cluster.Set, o Options, events cluster.Events) error {
	f, err := opened(ctx, set, o, events)
	if err != nil {
		return err
	}
	for _, m := range f.members {
		if !m.ca.ok() {
			return wrap(StepRetire, m.name, ErrNotMoved)
		}
	}
	f.dropping = true
	for _, s := range f.steps() {
		if err := f.run(ctx, s); err != nil {
			return err
		}
	}
	return f.finish(ctx)
}

// finish proves what was done, and ends the trust in roots that are not needed
// any more.
func (f *federation) finish(ctx context.Context) error {
	if err := f.verify(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(f.members, (*member).retires) {
		for _, s := range f.last() {
			if err := f.run(ctx, s); err != nil {
				return err
			}
		}
		if err := f.verify(ctx); err != nil {
			return err
		}
	}
	return f.settle(ctx)
}

// settle notes in every cluster that it runs with the CA in force.
func (f *federation) settle(ctx context.Context) error {
	return each(f.members, f.opts.Parallel, func(m *member) error { return wrap(StepVerify, m.name, m.settle(ctx)) })
}
