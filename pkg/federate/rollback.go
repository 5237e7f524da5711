// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"cmp"
	"context"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Rollback puts back, byte for byte, what was there before Apply: discovery
// first, then the CA, and then, in the order in which trust can be moved, it
// restarts what Apply restarted. A restart is itself undone by putting the pod
// template back as it was, which starts the pods anew.
//
// It is idempotent and continues what was interrupted. The root stays where it
// is kept: other clusters may live by it.
func Rollback(ctx context.Context, set *cluster.Set, o Options, events cluster.Events) error {
	f, err := open(set, o)
	if err != nil {
		return err
	}
	f.events = &emitter{events: events, now: f.opts.Now}
	for _, s := range []step{
		{word: StepServiceEntry, title: "service entries are taken back", apply: undoServiceEntries},
		{word: StepRemoteSecret, title: "remote secrets are put back", apply: undoRemoteSecrets},
		{word: StepRemoteSecret, title: "the readers' tokens end", apply: undoToken},
		{word: StepRemoteSecret, title: "readers that were made go", apply: undoReader},
		{word: StepNetwork, title: "networks and gateways are put back", apply: undoNetwork},
		{word: StepGateway, title: "gateways that were made go", apply: undoGateways},
		{word: StepCACerts, title: "Secret cacerts is put back", apply: undoCACerts},
		{word: StepIstiodRestart, title: "istiod reads it", apply: undoRestart(isIstiod)},
		{word: StepRootConfigMap, title: "the former root in every namespace", apply: undoRootConfigMaps},
		{word: StepGatewayRestart, title: "gateways take former certificates", apply: undoRestart(isGateway)},
		{word: StepWorkloadRestart, title: "workloads take former certificates", apply: undoRestart(isMeshed)},
	} {
		if err := f.run(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func undoCACerts(ctx context.Context, m *member) error { return m.side().restore(ctx) }

// restore puts cacerts back, and removes a key that waits.
func (s caSide) restore(ctx context.Context) error {
	if err := s.m.restore(ctx, secrets, s.m.ns, caSecret); err != nil {
		return err
	}
	return s.tidy(ctx)
}

func undoRestart(pick class) func(context.Context, *member) error {
	return func(ctx context.Context, m *member) error {
		found, err := m.rollables(ctx, pick)
		if err != nil {
			return err
		}
		for _, r := range found {
			if len(former(r.object)) == 0 {
				continue
			}
			if err := m.untouch(ctx, r.kind, r.object.GetNamespace(), r.object.GetName()); err != nil {
				return err
			}
		}
		return m.awaitRollouts(ctx, found)
	}
}

// undoRootConfigMaps waits for the root that istiod has now.
func undoRootConfigMaps(ctx context.Context, m *member) error {
	root, err := m.side().trusted(ctx)
	if err != nil || root == "" {
		return err
	}
	return m.awaitRoot(ctx, root)
}

// trusted is the root of cacerts, or, without one, of istiod's own self-signed
// CA. Where neither is there, the CA is not istiod's and nothing is known
// about it.
func (s caSide) trusted(ctx context.Context) (string, error) {
	for _, name := range []string{caSecret, selfSigned} {
		o, err := s.m.get(ctx, secrets, s.m.ns, name)
		if err != nil {
			return "", err
		}
		if o != nil {
			data := secretData(o)
			return cmp.Or(string(data[rootCertKey]), string(data["ca.crt"]), string(data[caCertKey])), nil
		}
	}
	return "", nil
}
