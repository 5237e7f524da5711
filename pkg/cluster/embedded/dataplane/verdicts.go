// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"sync"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// maxVerdicts bounds what a listener remembers of its clients.
const maxVerdicts = 256

// verdicts remember which chains were accepted under one set of roots, because
// a mesh's clients come back and checking signatures twice is most of what
// their second handshake would cost here. Refusals are not remembered.
type verdicts struct {
	mu       sync.Mutex
	accepted map[[sha256.Size]byte]window
}

// window is when nothing in a chain or its roots begins or ends to be valid,
// so that the verdict holds for all of it.
type window struct{ from, to time.Time }

// judge is the function [judge] with a memory; opts.Roots must be the same in
// every call.
func (v *verdicts) judge(say rules, chain []*x509.Certificate, opts verifier.Options) error {
	key := fingerprint(chain, opts.TrustDomains)
	v.mu.Lock()
	w, known := v.accepted[key]
	v.mu.Unlock()
	if known && !opts.At.Before(w.from) && !opts.At.After(w.to) {
		return nil
	}
	if err := judge(say, chain, opts); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.accepted == nil || len(v.accepted) >= maxVerdicts {
		v.accepted = make(map[[sha256.Size]byte]window)
	}
	v.accepted[key] = steady(opts.At, chain, opts.Roots)
	return nil
}

// steady is the time around at in which no certificate changes its validity.
func steady(at time.Time, sets ...[]*x509.Certificate) window {
	w := window{from: at.Add(-time.Hour), to: at.Add(time.Hour)}
	for _, set := range sets {
		for _, c := range set {
			for _, edge := range []time.Time{c.NotBefore, c.NotAfter} {
				// An edge is itself valid on one side, so a second is left to it.
				if edge.After(at) && edge.Add(-time.Second).Before(w.to) {
					w.to = edge.Add(-time.Second)
				}
				if !edge.After(at) && edge.Add(time.Second).After(w.from) {
					w.from = edge.Add(time.Second)
				}
			}
		}
	}
	return w
}

// fingerprint names a chain and the trust domains that it is judged by.
func fingerprint(chain []*x509.Certificate, domains []string) [sha256.Size]byte {
	h := sha256.New()
	part := func(b []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	for _, c := range chain {
		part(c.Raw)
	}
	part(nil)
	for _, d := range domains {
		part([]byte(d))
	}
	return [sha256.Size]byte(h.Sum(nil))
}
