// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// Ztunnel is what a ztunnel does for one pod: HBONE on 15008, and captured
// plaintext on 15006 (ztunnel src/proxy/inbound.rs).
//
// The fields must not change while a Serve runs; the functions are called from
// many goroutines.
type Ztunnel struct {
	// Identity is the pod's current SVID with the roots that clients are
	// verified against, asked once per handshake; the same pointer means the
	// same identity. nil means that no certificate was issued yet: connections
	// are reset.
	Identity func() *cluster.Identity

	// TrustDomain is the only one that is admitted: ztunnel knows no aliases.
	TrustDomain func() string

	// Address is the pod's: the only IP address that an authority may name.
	Address netip.Addr

	// Mode is the PeerAuthentication mode in force; only 15006 depends on it.
	Mode func() cluster.MTLSMode

	// Ports maps the port of a service that selects the pod, by host name, to
	// the port of the pod. nil knows no service.
	Ports func(host string, port uint16) (target uint16, ok bool)

	// Listens says on which ports the application accepts; nil means on all.
	Listens func(port uint16) bool

	// App is the application; nil refuses every connection.
	App App

	// AnyAuthority says that the pod's own address is not insisted on, as in a
	// ztunnel that somebody patched: a hole. nil insists.
	AnyAuthority func() bool

	// Deny is the authorization policy, asked for each tunnel with the SPIFFE ID
	// of the client; nil denies nobody.
	Deny func(peer string) bool

	// Baggage is sent with each 200, as key=value,key=value; see [Baggage].
	Baggage string

	// Now judges validity periods; nil means time.Now.
	Now func() time.Time

	// SendRoot appends the trust anchor to the chain that is presented.
	SendRoot bool

	Limits Limits

	profiles profiles
}

// Baggage is the value with which a ztunnel says whose workload answers
// (ztunnel src/baggage.rs).
func Baggage(clusterName string, w cluster.Workload) string {
	service := w.Name
	if w.Service != nil {
		service = w.Service.Name
	}
	return "k8s.cluster.name=" + clusterName + ",k8s.namespace.name=" + w.Namespace +
		",k8s.pod.name=" + w.Name + ",service.name=" + service + ",service.version=latest"
}

// ServeHBONE serves 15008 until ctx is done (it closes ln and returns nil) or
// ln fails. It returns after every connection has ended.
func (z *Ztunnel) ServeHBONE(ctx context.Context, ln net.Listener) error {
	srv := &hbone.Server{Handler: z.connect, Timeout: z.Limits.handshake(), Now: z.Now}
	defer func() { _ = srv.Close() }()
	return serve(ctx, ln, z.Limits, func(ctx context.Context, c net.Conn, _ *conns) {
		id := z.Identity()
		if id == nil {
			reset(c)
			return
		}
		until(c, z.Limits.handshake())
		secure := tls.Server(c, z.profiles.byALPN(id, pickStrict, z.config))
		if shake(secure, c) {
			_ = srv.ServeConn(ctx, secure)
		}
	})
}

// ServePlaintext serves 15006, where connections to the pod's other ports
// land. STRICT accepts and closes them (istio architecture/ambient,
// peer-authentication.md), every other mode hands them to the application. It
// ends as ServeHBONE does.
func (z *Ztunnel) ServePlaintext(ctx context.Context, ln net.Listener) error {
	return serve(ctx, ln, z.Limits, func(ctx context.Context, c net.Conn, _ *conns) {
		if z.Mode() != cluster.Strict && z.App != nil {
			z.App(ctx, c)
		}
	})
}

func (z *Ztunnel) config(id *cluster.Identity) *tls.Config {
	return serverTLS(id, policy{
		say: verifier.Ztunnel, now: z.Now, sendRoot: z.SendRoot,
		trustDomains: func() []string { return []string{z.TrustDomain()} },
	})
}

// pickStrict is rustls with ALPN h2: a client that offers no protocol is let
// in, one that offers others is refused. Go would let http/1.1 pass as if it
// were no offer, so such clients get a configuration with nothing in common.
func pickStrict(offered []string) string {
	switch {
	case len(offered) == 0:
		return ""
	case slices.Contains(offered, "h2"):
		return "h2"
	default:
		return "hbone-speaks-h2-only"
	}
}

// connect decides about one CONNECT in ztunnel's order. Requests with another
// method never get here: the server answers 400 itself.
func (z *Ztunnel) connect(_ context.Context, r *hbone.Request) hbone.Answer {
	to, err := hbone.ParseAuthority(r.Authority)
	if err != nil {
		return hbone.Answer{Status: http.StatusBadRequest}
	}
	target := to.Port
	if addr, ok := to.Addr(); ok {
		if addr.Unmap() != z.Address.Unmap() && (z.AnyAuthority == nil || !z.AnyAuthority()) {
			return hbone.Answer{Status: http.StatusBadRequest}
		}
	} else if target, ok = z.target(to); !ok {
		return hbone.Answer{Status: http.StatusServiceUnavailable}
	}
	if illegal(target) {
		return hbone.Answer{Status: http.StatusServiceUnavailable}
	}
	if z.Deny != nil && z.Deny(peerIdentity(r.TLS.PeerCertificates[0])) {
		return hbone.Answer{Status: http.StatusUnauthorized}
	}
	if z.App == nil || z.Listens != nil && !z.Listens(target) {
		return hbone.Answer{Status: http.StatusServiceUnavailable}
	}
	a := hbone.Answer{Serve: func(ctx context.Context, c *hbone.Conn) { z.App(ctx, c) }}
	if z.Baggage != "" {
		a.Header = http.Header{"Baggage": {z.Baggage}}
	}
	return a
}

func (z *Ztunnel) target(to hbone.Authority) (uint16, bool) {
	if z.Ports == nil {
		return 0, false
	}
	return z.Ports(to.Host, to.Port)
}

// illegal are the ports of the ztunnel itself: a CONNECT to them would be a
// loop (ztunnel src/config.rs, illegal_ports).
func illegal(port uint16) bool { return port == 15008 || port == 15006 || port == 15001 }
