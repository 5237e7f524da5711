// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Lab is the ability of an embedded cluster to go wrong in ways that no object
// of its API asks for: a proxy that is stuck, a clock that is off. Find it with
// [cluster.As]. What it does to a process lasts until that process ends, so a
// restart cures it, as it would cure the real thing.
type Lab interface {
	// Hold makes the agents of a service account present id and renew it no
	// more. The error says that no pod of that account holds a certificate.
	Hold(namespace, serviceAccount string, id *cluster.Identity) error

	// HoldMode makes the proxies of a service account's pods enforce a mode
	// whatever the policies say, as one does that lost its control plane. The
	// error is Hold's.
	HoldMode(namespace, serviceAccount string, mode cluster.MTLSMode) error

	// AnyAuthority makes the ztunnel of the cluster open tunnels to every
	// address that it is asked for.
	AnyAuthority()

	// ShiftClock sets the clock of the cluster's processes, its CA included,
	// off by d; 0 sets it right again. Its API keeps the right time.
	ShiftClock(d time.Duration)
}

var _ Lab = (*instance)(nil)

// now is the clock of the cluster's processes.
func (in *instance) now() time.Time { return in.mesh.now().Add(time.Duration(in.shift.Load())) }

// ShiftClock implements Lab.
func (in *instance) ShiftClock(d time.Duration) { in.shift.Store(int64(d)) }

// agents are the proxies' agents that run in a cluster.
type agents struct {
	mu      sync.Mutex
	running map[impersonation][]*agent
}

// agent is what a proxy was told: its certificate, and its mode where that is
// not the one in force any more.
type agent struct {
	*svid
	addr netip.Addr                       // of its pod
	mode atomic.Pointer[cluster.MTLSMode] // nil: what the policies say
}

// register keeps an agent in the table for as long as the process runs.
func (p *proc) register(who impersonation, a *agent) *agent {
	t := &p.in.agents
	a.addr = p.pod.addr
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running == nil {
		t.running = map[impersonation][]*agent{}
	}
	t.running[who] = append(t.running[who], a)
	p.forget = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.running[who] = slices.DeleteFunc(t.running[who], func(other *agent) bool { return other == a })
	}
	return a
}

func (t *agents) of(who impersonation) []*agent {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.running[who])
}

// Hold implements Lab.
func (in *instance) Hold(namespace, serviceAccount string, id *cluster.Identity) error {
	who := impersonation{namespace, serviceAccount}
	var holders []*svid
	for _, a := range in.agents.of(who) {
		if a.svid != nil {
			holders = append(holders, a.svid)
		}
	}
	if z := in.ztunnel.Load(); z != nil {
		z.mu.Lock()
		if h := z.certs[who]; h != nil {
			holders = append(holders, h.svid)
		}
		z.mu.Unlock()
	}
	for _, s := range holders {
		s.pin(id)
	}
	return found(len(holders), in, who)
}

// HoldMode implements Lab.
func (in *instance) HoldMode(namespace, serviceAccount string, mode cluster.MTLSMode) error {
	who := impersonation{namespace, serviceAccount}
	held := in.agents.of(who)
	for _, a := range held {
		a.mode.Store(&mode)
	}
	return found(len(held), in, who)
}

func found(n int, in *instance, who impersonation) error {
	if n == 0 {
		return fmt.Errorf("embedded: no pod of %s/%s/%s runs", in.spec.Name, who.namespace, who.serviceAccount)
	}
	return nil
}

// AnyAuthority implements Lab.
func (in *instance) AnyAuthority() {
	if z := in.ztunnel.Load(); z != nil {
		z.anyAuthority.Store(true)
	}
}

// pin makes id the certificate for good: the agent is stuck.
func (s *svid) pin(id *cluster.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = id
	s.renewal = id.Certificates[0].NotAfter.AddDate(100, 0, 0)
}
