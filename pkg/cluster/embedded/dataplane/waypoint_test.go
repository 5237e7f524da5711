// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// tunnel is what a client of the mesh learns of one CONNECT: what the application
// says, a status, or a reset once bytes flow.
func tunnel(t *testing.T, addr, authority string, id *cluster.Identity) string {
	t.Helper()
	d := &hbone.Dialer{TLS: hboneTLS(id)}
	defer func() { _ = d.Close() }()
	c, err := d.DialContext(t.Context(), addr, authority)
	if he, ok := errors.AsType[*hbone.Error](err); ok && he.Status != 0 {
		return fmt.Sprint(he.Status)
	}
	if err != nil {
		return err.Error()
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	err = echoed(c, []byte("ping"))
	if re, ok := errors.AsType[*hbone.ResetError](err); ok && re.Remote && re.Code == http2.ErrCodeConnect {
		return "200, reset"
	}
	if err != nil {
		return err.Error()
	}
	return "200"
}

// TestWaypoint: names and addresses of its own services lead to a workload, to
// which the waypoint is a client like any other; everything else is refused as an
// Envoy refuses it.
func TestWaypoint(t *testing.T) {
	a := newCA(t)
	z := newZtunnel(t, a)
	behind := start(t, z.ServeHBONE)
	up := &hbone.Dialer{TLS: hboneTLS(a.svid(t, spiffe(ownDomain, "waypoint")))}
	t.Cleanup(func() { _ = up.Close() })
	through := func(ctx context.Context) (net.Conn, error) { return up.DialContext(ctx, behind, "10.1.0.7:9080") }
	dead := to(closedPort(t))
	w := &Waypoint{
		Identity: fixed(a.svid(t, spiffe(ownDomain, "waypoint"))), TrustDomains: fixed([]string{ownDomain, alias}),
		Route: func(to hbone.Authority) (Dial, bool) {
			addr, ip := to.Addr()
			switch {
			case to.Host == "dead.shop.svc.cluster.local":
				return dead, true
			case to.Host != "ratings.shop.svc.cluster.local" && (!ip || addr != netip.MustParseAddr("10.96.0.7")):
				return nil, false
			case to.Port != 80:
				return nil, true
			}
			return through, true
		},
	}
	addr := start(t, w.Serve)
	for authority, want := range map[string]string{
		"ratings.shop.svc.cluster.local:80": "200",
		"10.96.0.7:80":                      "200",
		"10.96.0.7:81":                      "200, reset",
		"dead.shop.svc.cluster.local:80":    "200, reset",
		"10.96.0.8:80":                      "503",
		"nobody.shop.svc.cluster.local:80":  "503",
	} {
		for _, domain := range []string{ownDomain, alias} { // an Envoy takes aliases
			if got := tunnel(t, addr, authority, a.svid(t, spiffe(domain, "reviews"))); got != want {
				t.Errorf("%s from %s: %s, want %s", authority, domain, got, want)
			}
		}
	}
	if got := verdict(dial(t, addr), clientTLS(newCA(t).svid(t, spiffe(ownDomain, "reviews")), "h2"), settingsProof); got != "unknown_ca" {
		t.Errorf("a foreign root: %s", got)
	}
}

// TestSidecarHBONE: beside its application's port a sidecar takes tunnels to that
// port, and to nothing else; the mode has no part in it.
func TestSidecarHBONE(t *testing.T) {
	a := newCA(t)
	client := a.svid(t, spiffe(ownDomain, "reviews"))
	own := netip.MustParseAddrPort("10.1.0.7:9080")
	for _, mode := range []cluster.MTLSMode{cluster.Strict, cluster.Permissive, cluster.Disable} {
		s := newSidecar(t, a, mode, "tcp")
		addr := start(t, func(ctx context.Context, ln net.Listener) error { return s.ServeHBONE(ctx, ln, own) })
		for authority, want := range map[string]string{
			"10.1.0.7:9080":                       "200",
			"10.1.0.7:9081":                       "200, reset",
			"10.1.0.8:9080":                       "503",
			"ratings.shop.svc.cluster.local:9080": "503",
		} {
			if got := tunnel(t, addr, authority, client); got != want {
				t.Errorf("%s, %s: %s, want %s", mode, authority, got, want)
			}
		}
		if got := verdict(dial(t, addr), clientTLS(nil, "h2"), settingsProof); got != "certificate_required" {
			t.Errorf("%s, no certificate: %s", mode, got)
		}
	}
}
