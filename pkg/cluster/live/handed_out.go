// SPDX-License-Identifier: Apache-2.0

package live

import (
	"net"
	"sync"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// maxHandedOut bounds what is remembered of a control plane's answers.
const maxHandedOut = 4096

// handedOut remembers what a control plane said of addresses: which are pods
// of other clusters, and which are gateways.
type handedOut struct {
	mu       sync.Mutex
	pods     map[string]bool // host:port of pods elsewhere
	gateways map[string]bool // hosts
}

// note keeps the endpoints of one answer. own is the cluster that was asked;
// internal tells addresses that exist only inside another cluster.
func (h *handedOut) note(own string, endpoints []cluster.Endpoint, internal func(host string) bool) {
	far := make([]bool, len(endpoints)) // internal reads other clusters: not under the lock
	for i, e := range endpoints {
		if host, _, err := net.SplitHostPort(e.Address); err == nil && e.Gateway {
			far[i] = internal(host)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pods == nil || len(h.pods)+len(h.gateways) > maxHandedOut {
		h.pods, h.gateways = map[string]bool{}, map[string]bool{}
	}
	for i, e := range endpoints {
		host, _, err := net.SplitHostPort(e.Address)
		switch {
		case err != nil:
		case far[i]:
			h.pods[e.Address] = true
		case e.Gateway:
			h.gateways[host] = true
		case e.Cluster != own:
			h.pods[e.Address] = true
		}
	}
}

func (h *handedOut) foreign(addr string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pods[addr]
}

func (h *handedOut) gateway(host string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gateways[host]
}
