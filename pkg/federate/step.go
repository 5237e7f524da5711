// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"crypto/x509"
	"sync"

	"k8s.io/client-go/dynamic"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// federation is one run over a set of clusters.
type federation struct {
	set     *cluster.Set
	opts    Options
	members []*member
	root    *x509.Certificate // nil before there is one
	events  *emitter

	dropping bool // former roots go, whoever kept them
}

// member is one cluster in such a run, with what the steps hand to each other.
type member struct {
	f       *federation
	cluster cluster.Cluster
	name    string
	ns      string // of the control plane

	revision string // of the control plane, "" is the default one
	dyn      dynamic.Interface
	api      cluster.APIServer

	ca    caState
	csr   []byte
	chain []*x509.Certificate
	token []byte // of this cluster's reader, for the others

	overlaps bool // a plan: both roots will be trusted for a while
	retired  bool // the former roots went just now

	planned sync.Once // config, for plans: what remote secrets to here hold
	config  []byte
	confErr error
}

// step is one word of the order. plan only reads; apply does what plan says
// and returns when it is done.
type step struct {
	word, title string
	mesh        func(context.Context) error // once, instead of per cluster
	plan        func(context.Context, *member) ([]Change, error)
	apply       func(context.Context, *member) error
	quiet       bool // told only where it has something to do, which plan says
}

// steps is the order of apply until the handshakes.
func (f *federation) steps() []step {
	steps := []step{
		{word: StepRoot, title: "one shared root", mesh: f.ensureRoot},
		{word: StepTrust, title: "the new root beside the old", plan: planTrust, apply: applyTrust, quiet: true},
		{word: StepTrustRollout, title: "everybody trusts both roots", plan: planTrustRollout, apply: applyTrustRollout, quiet: true},
		{word: StepCSR, title: "a CA key per cluster, kept there", plan: planCSR, apply: applyCSR},
		{word: StepIntermediate, title: "an intermediate per cluster, signed by the root", plan: planIntermediate, apply: applyIntermediate},
		{word: StepCACerts, title: "Secret cacerts", plan: planCACerts, apply: applyCACerts},
		{word: StepIstiodRestart, title: "istiod reads it", plan: planRestart(isIstiod), apply: applyRestart(isIstiod, ErrNoIstiod)},
		{word: StepRootConfigMap, title: "the root in every namespace", plan: planRootConfigMaps, apply: applyRootConfigMaps},
		{word: StepGatewayRestart, title: "gateways take new certificates", plan: planRestart(isGateway), apply: applyRestart(isGateway, nil)},
		{word: StepWorkloadRestart, title: "workloads take new certificates", plan: planRestart(isMeshed), apply: applyRestart(isMeshed, nil)},
		{word: StepGateway, title: "east-west gateways where there are none", plan: planGateways, apply: applyGateways},
		{word: StepNetwork, title: "networks and gateways", plan: planNetwork, apply: applyNetwork},
		{word: StepRemoteSecret, title: "remote secrets", plan: planRemoteSecrets, mesh: f.applyRemoteSecrets},
	}
	if f.opts.ServiceEntries {
		steps = append(steps, step{word: StepServiceEntry, title: "service entries", plan: planServiceEntries, apply: applyServiceEntries})
	}
	return steps
}

// last are the steps that come after the handshakes.
func (f *federation) last() []step {
	return []step{
		{word: StepRetire, title: "the former roots go", plan: planRetire, apply: applyRetire, quiet: true},
		{word: StepRetireRollout, title: "nobody trusts them any more", plan: planRetireRollout, apply: applyRetireRollout, quiet: true},
	}
}

// ensureRoot makes sure that the root exists and is kept.
func (f *federation) ensureRoot(ctx context.Context) error {
	root, err := f.opts.Issuer.Root(ctx)
	if err != nil {
		return err
	}
	f.root = root
	f.events.note(StepRoot, "", describeCert(root))
	return nil
}
