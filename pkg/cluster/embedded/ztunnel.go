// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// ztunnel is the ztunnel of the cluster's node. It holds the certificates of
// all captured pods, one per service account, obtained in their name, and
// keeps each while a pod of that account runs: a rollout of an ambient workload
// alone does not renew it, a restart of ztunnel renews them all (ztunnel
// src/identity/manager.rs).
type ztunnel struct {
	*proc

	anyAuthority atomic.Bool

	mu    sync.Mutex
	certs map[impersonation]*held
}

// held is a certificate with the number of pods that use it.
type held struct {
	*svid
	pods int
}

// startZtunnel fetches certificates for the pods that are captured already and
// takes over from the ztunnel before it.
func startZtunnel(ctx context.Context, base *proc) (process, error) {
	z := &ztunnel{proc: base, certs: map[impersonation]*held{}}
	if before := base.in.ztunnel.Load(); before != nil {
		for who, pods := range before.enrolled() {
			h, err := z.fetch(ctx, who)
			if err != nil {
				return nil, err
			}
			h.pods = pods
		}
	}
	base.in.ztunnel.Store(z)
	return z, nil
}

func (z *ztunnel) enrolled() map[impersonation]int {
	z.mu.Lock()
	defer z.mu.Unlock()
	out := map[impersonation]int{}
	for who, h := range z.certs {
		out[who] = h.pods
	}
	return out
}

// fetch returns the certificate of a service account, a new one where there is
// none yet.
func (z *ztunnel) fetch(ctx context.Context, who impersonation) (*held, error) {
	z.mu.Lock()
	h := z.certs[who]
	z.mu.Unlock()
	if h != nil {
		return h, nil
	}
	h = &held{svid: &svid{now: z.in.now, fetch: func(ctx context.Context) (*cluster.Identity, error) {
		return z.in.create(ctx, z.pod.namespace, z.pod.serviceAccount, &boundImpersonation{who, z.pod.name})
	}}}
	if err := h.start(ctx); err != nil {
		return nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.certs[who] = h
	return h, nil
}

// ambientShare is one pod's part in a certificate of ztunnel's.
type ambientShare struct {
	in  *instance
	who impersonation
}

// enroll captures a pod.
func (in *instance) enroll(ctx context.Context, p pod) (*ambientShare, error) {
	z := in.ztunnel.Load()
	if z == nil {
		return nil, errors.New("failed to send request to ztunnel: no ztunnel connected")
	}
	share := &ambientShare{in, impersonation{p.namespace, p.serviceAccount}}
	h, err := z.fetch(ctx, share.who)
	if err != nil {
		return nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	h.pods++
	return share, nil
}

// identity is the certificate that the ztunnel of the moment has for the pod.
func (s *ambientShare) identity(ctx context.Context) *cluster.Identity {
	z := s.in.ztunnel.Load()
	z.mu.Lock()
	h := z.certs[s.who]
	z.mu.Unlock()
	if h == nil {
		return nil
	}
	return h.svid.identity(ctx)
}

func (s *ambientShare) leave() {
	z := s.in.ztunnel.Load()
	z.mu.Lock()
	defer z.mu.Unlock()
	if h := z.certs[s.who]; h != nil {
		if h.pods--; h.pods <= 0 {
			delete(z.certs, s.who)
		}
	}
}
