// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"net"
	"net/netip"
	"sync"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// pod is what a process is told of the pod that it runs in.
type pod struct {
	namespace, name, uid, serviceAccount string
	labels                               map[string]string
	addr                                 netip.Addr
	dataPlane                            cluster.DataPlane
}

// process is what runs in a pod. stop ends it and returns when nothing of it
// is left; it may be called once.
type process interface{ stop() }

// proc is the part that all processes share: listeners on the pod's address
// and the goroutines that serve them.
type proc struct {
	in     *instance
	pod    pod
	ctx    context.Context //nolint:containedctx // the life of the process, ended by stop
	cancel context.CancelFunc
	wg     sync.WaitGroup
	detach func()
	forget func() // nil, or takes the process out of the table of agents
}

// newProc puts the pod on the network.
func (in *instance) newProc(p pod) *proc {
	ctx, cancel := context.WithCancel(in.ctx)
	return &proc{in: in, pod: p, ctx: ctx, cancel: cancel, detach: in.net.Attach(in.spec.Network, p.addr)}
}

// listen serves a port of the pod until the process stops.
func (p *proc) listen(port uint16, serve func(context.Context, net.Listener) error) error {
	ln, err := p.in.net.Listen(p.ctx, p.in.spec.Network, netip.AddrPortFrom(p.pod.addr, port))
	if err != nil {
		return err
	}
	p.wg.Go(func() {
		if err := serve(p.ctx, ln); err != nil && p.ctx.Err() == nil {
			p.in.log.Warn("listener died", "pod", p.pod.name, "port", port, "err", err)
		}
	})
	return nil
}

func (p *proc) stop() {
	p.cancel()
	p.wg.Wait()
	if p.forget != nil {
		p.forget()
	}
	p.detach()
}

// kind says which program the pods of a Deployment run.
type kind int

const (
	workloadKind kind = iota
	istiodKind
	sidecarGatewayKind
	ambientGatewayKind
	ztunnelKind
	waypointKind
)

func kindOf(p pod) kind {
	if p.labels[managedLabel] == managedWaypoint {
		return waypointKind
	}
	if p.namespace != rootNamespace {
		return workloadKind
	}
	switch {
	case p.labels["app"] == istiodName:
		return istiodKind
	case p.labels["app"] == ztunnelName:
		return ztunnelKind
	case p.labels["istio"] == "eastwestgateway":
		return sidecarGatewayKind
	case p.labels[managedLabel] == managedValue:
		return ambientGatewayKind
	}
	return workloadKind
}

// launch starts what a pod runs and returns when it is ready. On error nothing
// of it is left; the error is what the pod's status will say.
func (in *instance) launch(ctx context.Context, p pod) (process, error) {
	base := in.newProc(p)
	var (
		started process
		err     error
	)
	switch kindOf(p) {
	case istiodKind:
		started, err = startIstiod(ctx, base)
	case ztunnelKind:
		started, err = startZtunnel(ctx, base)
	case sidecarGatewayKind:
		started, err = startSidecarGateway(base)
	case ambientGatewayKind:
		started, err = startAmbientGateway(ctx, base)
	case waypointKind:
		started, err = startWaypoint(ctx, base)
	case workloadKind:
		started, err = startWorkload(ctx, base)
	}
	if err != nil {
		base.stop()
		return nil, err
	}
	return started, nil
}
