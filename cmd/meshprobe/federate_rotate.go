// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// rotateFlags say what is replaced: without any, the CAs under the same root.
type rotateFlags struct{ newRoot, dropOld bool }

func (f *rotateFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.newRoot, "new-root", false, "move to the root of --root-dir, --root-secret or --root-cert, which is made where there is none; the old one stays trusted")
	fl.BoolVar(&f.dropOld, "drop-old-root", false, "end the trust in old roots, after handshakes have proved that nobody needs them")
}

// rotated federates clusters of this process under some root first, as there is
// none before.
func rotated(ctx context.Context, f *federating) error {
	last := f.opts.Issuer
	if f.rotate.newRoot {
		old, err := issuer.NewBuiltin(&issuer.Memory{}, f.federation.opts)
		if err != nil {
			return err
		}
		f.opts.Issuer = old
	}
	if err := f.federateAll(ctx, false); err != nil {
		return err
	}
	f.opts.Issuer = last
	f.say("")
	return rotatedLive(ctx, f)
}

func rotatedLive(ctx context.Context, f *federating) error {
	if !f.rotate.newRoot && !f.rotate.dropOld {
		begin := time.Now()
		p := &steps{w: f.out, all: len(f.set.Clusters)}
		begun := false
		err := federate.Rotate(ctx, f.set, f.opts, func(e cluster.Event) { begun = begun || e.Step == federate.StepRotate; p.event(e) })
		p.end(err == nil)
		if errors.Is(err, federate.ErrNotFederated) {
			return &usageError{msg: err.Error(), hint: "name the place of the root that federate status shows, with --root-dir, --root-secret or --root-cert; to move to another one: --new-root"}
		}
		if err != nil {
			return err
		}
		if !begun {
			f.say("\n%s: what had been interrupted is finished, proved by a handshake in every direction, in %s; no new CA was begun", f.names(), elapsed(time.Since(begin)))
			f.say("next: the same command again    # unless it was a rotation that had been interrupted")
			return nil
		}
		f.say("\n%s have new CAs under the same root: proved by a handshake in every direction, in %s", f.names(), elapsed(time.Since(begin)))
		return nil
	}
	if f.rotate.newRoot {
		if err := f.move(ctx); err != nil {
			return err
		}
	}
	if f.rotate.dropOld {
		return f.drop(ctx)
	}
	f.say("next: meshprobe federate rotate --drop-old-root with the same flags    # once every workload outside these clusters trusts the new root too")
	return nil
}

func (f *federating) move(ctx context.Context) error {
	begin := time.Now()
	p := &steps{w: f.out, all: len(f.set.Clusters)}
	err := federate.Move(ctx, f.set, f.opts, p.event)
	p.end(err == nil)
	switch {
	case errors.Is(err, federate.ErrSameRoot):
		return &usageError{msg: "--new-root: " + err.Error(), hint: "name another place, in which the new root is or will be: --root-dir NEW"}
	case errors.Is(err, federate.ErrNotFederated):
		return &usageError{msg: "--new-root: " + err.Error(), hint: "clusters without a common root are federated: meshprobe federate apply"}
	case err != nil:
		return err
	}
	f.say("\n%s have CAs under the new root, and the old one is still trusted: proved by a handshake in every direction, in %s", f.names(), elapsed(time.Since(begin)))
	return nil
}

func (f *federating) drop(ctx context.Context) error {
	if f.rotate.newRoot {
		f.say("")
	}
	begin := time.Now()
	p := &steps{w: f.out, all: len(f.set.Clusters)}
	err := federate.Drop(ctx, f.set, f.opts, p.event)
	p.end(err == nil)
	if errors.Is(err, federate.ErrNotMoved) {
		return &usageError{msg: "--drop-old-root: " + err.Error(), hint: "move first: meshprobe federate rotate --new-root with the flags of the new root"}
	}
	if err != nil {
		return err
	}
	f.say("\n%s trust the new root and no other: proved by a handshake in every direction, in %s", f.names(), elapsed(time.Since(begin)))
	return nil
}
