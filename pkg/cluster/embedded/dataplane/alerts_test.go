// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

func newZtunnel(t testing.TB, a *ca) *Ztunnel {
	t.Helper()
	return &Ztunnel{
		Identity:    fixed(a.svid(t, spiffe(ownDomain, "ratings"))),
		TrustDomain: fixed(ownDomain),
		Address:     netip.MustParseAddr("10.1.0.7"),
		Mode:        fixed(cluster.Strict),
		Listens:     func(port uint16) bool { return port == 9080 },
		App:         EchoApp,
		Baggage:     "k8s.cluster.name=west",
		Ports: func(host string, port uint16) (uint16, bool) {
			if host != "ratings.shop.svc.cluster.local" {
				return 0, false
			}
			target, ok := map[uint16]uint16{80: 9080, 81: 15008, 82: 9999}[port]
			return target, ok
		},
	}
}

// TestAlerts is what each listener answers to a client that it must refuse,
// beside those that it must not.
func TestAlerts(t *testing.T) {
	a, foreign := newCA(t), newCA(t)
	good := a.svid(t, spiffe(ownDomain, "reviews"))
	lone := cluster.NewIdentity(good.ID, nil, nil, nil)
	sidecar := start(t, newSidecar(t, a, cluster.Strict, "tcp").Serve)
	ztunnel := start(t, newZtunnel(t, a).ServeHBONE)
	gateway := start(t, (&EastWest{
		Identity: fixed(a.svid(t, spiffe(ownDomain, "gateway"))), TrustDomains: fixed([]string{ownDomain, alias}),
	}).Serve)

	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	notYet := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	}
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	leafOnly := func(cfg *tls.Config) {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c := good.TLS()
			c.Certificate = c.Certificate[:1]
			return c, nil
		}
	}
	h2 := []string{"h2"}
	const ok = "accepted"
	for name, tc := range map[string]struct {
		id     *cluster.Identity
		alpn   []string
		change func(*tls.Config)
		want   [3]string // sidecar, ztunnel, east-west gateway
	}{
		"good":               {good, h2, nil, [3]string{ok, ok, ok}},
		"no-alpn":            {good, nil, nil, [3]string{ok, ok, ok}},
		"alpn-http-1.1":      {good, []string{"http/1.1"}, nil, [3]string{ok, "no_application_protocol", ok}},
		"alpn-foreign":       {good, []string{"foreign"}, nil, [3]string{ok, "no_application_protocol", ok}},
		"any-sni":            {good, h2, func(c *tls.Config) { c.ServerName = "elsewhere.example" }, [3]string{ok, ok, ok}},
		"no-certificate":     {nil, h2, nil, [3]string{"certificate_required", "certificate_required", "certificate_required"}},
		"foreign-root":       {foreign.svid(t, spiffe(ownDomain, "reviews")), h2, nil, [3]string{"unknown_ca", "unknown_ca", "unknown_ca"}},
		"no-intermediate":    {lone, h2, leafOnly, [3]string{"unknown_ca", "unknown_ca", "unknown_ca"}},
		"expired":            {a.svid(t, spiffe(ownDomain, "reviews"), expired), h2, nil, [3]string{"certificate_expired", "certificate_expired", "certificate_expired"}},
		"not-yet-valid":      {a.svid(t, spiffe(ownDomain, "reviews"), notYet), h2, nil, [3]string{"certificate_expired", "certificate_expired", "certificate_expired"}},
		"server-auth-only":   {a.svid(t, spiffe(ownDomain, "reviews"), serverOnly), h2, nil, [3]string{"bad_certificate", "bad_certificate", "bad_certificate"}},
		"other-trust-domain": {a.svid(t, spiffe("evil.example", "reviews")), h2, nil, [3]string{"bad_certificate", "bad_certificate", "bad_certificate"}},
		"longer-domain":      {a.svid(t, spiffe(ownDomain+".evil", "reviews")), h2, nil, [3]string{"bad_certificate", "bad_certificate", "bad_certificate"}},
		"alias":              {a.svid(t, spiffe(alias, "reviews")), h2, nil, [3]string{ok, "bad_certificate", ok}},
		"no-san":             {a.svid(t, ""), h2, nil, [3]string{"bad_certificate", "bad_certificate", "bad_certificate"}},
		"not-istio's-path":   {a.svid(t, "spiffe://"+ownDomain+"/workload/7"), h2, nil, [3]string{ok, "bad_certificate", ok}},
		"tls-1.2":            {good, h2, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, [3]string{ok, "protocol_version", "protocol_version"}},
		"tls-1.2-no-certificate": {
			nil, h2, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
			[3]string{"handshake_failure", "protocol_version", "protocol_version"},
		},
		"tls-1.1": {
			good, h2, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
			[3]string{"protocol_version", "protocol_version", "protocol_version"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i, addr := range []string{sidecar, ztunnel, gateway} {
				cfg := clientTLS(tc.id, tc.alpn...)
				if tc.change != nil {
					tc.change(cfg)
				}
				proof := settingsProof
				if i == 0 {
					proof = echoProof
				}
				if got := verdict(dial(t, addr), cfg, proof); got != tc.want[i] {
					t.Errorf("%s: got %s, want %s", []string{"sidecar", "ztunnel", "gateway"}[i], got, tc.want[i])
				}
			}
		})
	}
}

// TestClock: validity is judged by the injected clock.
func TestClock(t *testing.T) {
	a := newCA(t)
	client := a.svid(t, spiffe(ownDomain, "reviews"))
	s := newSidecar(t, a, cluster.Strict, "tcp")
	s.Now = func() time.Time { return time.Now().Add(24 * time.Hour) }
	if got := verdict(dial(t, start(t, s.Serve)), clientTLS(client), echoProof); got != "certificate_expired" {
		t.Errorf("a day later: %s", got)
	}
}

// TestWithoutIdentity: before the first certificate TLS cannot be served.
func TestWithoutIdentity(t *testing.T) {
	z, g := newZtunnel(t, newCA(t)), new(EastWest)
	z.Identity = fixed[*cluster.Identity](nil)
	g.Identity = z.Identity
	for name, serve := range map[string]func(context.Context, net.Listener) error{"ztunnel": z.ServeHBONE, "gateway": g.Serve} {
		if got := turnedAway(t, start(t, serve)); got != "reset" {
			t.Errorf("%s: %s", name, got)
		}
	}
}
