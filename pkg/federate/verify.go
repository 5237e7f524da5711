// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// ErrCannotProve says that a provider gives no means of opening a handshake as
// a workload would.
var ErrCannotProve = errors.New("the provider can neither resolve endpoints nor mint identities")

// Verify opens one real handshake per direction and data plane: the first edge
// of the topology for each. A direction has Options.VerifyTimeout to converge.
// Errors are [*Error], joined. events may be nil.
func Verify(ctx context.Context, set *cluster.Set, o Options, events cluster.Events) error {
	f, err := open(set, o)
	if err != nil {
		return err
	}
	f.events = &emitter{events: events, now: f.opts.Now}
	if f.opts.Issuer != nil {
		if f.root, err = f.opts.Issuer.Current(ctx); err != nil {
			return wrap(StepVerify, "", err)
		}
	}
	return f.verify(ctx)
}

func (f *federation) verify(ctx context.Context) error { return f.handshakes(ctx, f.root, "") }

// handshakes opens one per direction and data plane, under a root, or, where it
// is nil, under those that each CA hands out. when is told.
func (f *federation) handshakes(ctx context.Context, root *x509.Certificate, when string) error {
	try := f.opts.Handshake
	if try == nil {
		try = newHandshaker(f.set, root, f.opts.Now).try
	}
	edges := f.directions()
	detail := fmt.Sprintf("%d handshakes", len(edges))
	if when != "" {
		detail += ", " + when
	}
	done := f.events.begin(StepVerify, "", detail)
	err := each(edges, f.opts.Parallel, func(e cluster.Edge) error {
		if err := f.converge(ctx, func(ctx context.Context) error { return try(ctx, e) }); err != nil {
			return &Error{Step: StepVerify, Err: fmt.Errorf("%s (%s): %w", e, e.DataPlane, err)}
		}
		return nil
	})
	if err == nil {
		done()
	}
	return err
}

// directions picks the first edge of each ordered pair and data plane.
func (f *federation) directions() []cluster.Edge {
	type direction struct {
		from, to string
		dp       cluster.DataPlane
	}
	seen := map[direction]bool{}
	var out []cluster.Edge
	for e := range f.set.Edges() {
		d := direction{e.From.Cluster, e.To.Cluster, e.DataPlane}
		if d.from == d.to || d.dp == cluster.NoMesh || seen[d] {
			continue
		}
		seen[d] = true
		out = append(out, e)
	}
	return out
}

// converge tries until it works: a control plane needs a moment to find the
// other clusters and to tell its proxies.
func (f *federation) converge(ctx context.Context, try func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, f.opts.VerifyTimeout)
	defer cancel()
	for wait := 25 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		// One attempt that hangs must not use up the time of all.
		attempt, stop := context.WithTimeout(within, f.opts.VerifyTimeout/4)
		err := try(attempt)
		stop()
		if err == nil || errors.Is(err, ErrCannotProve) {
			return err
		}
		if pause(within, wait) != nil {
			return err
		}
	}
}
