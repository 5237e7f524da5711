// SPDX-License-Identifier: Apache-2.0

package interop_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// goServer is crypto/tls, which demands a client certificate and closes in
// order; change makes it wrong.
func (p pki) goServer(t *testing.T, name string, change func(*tls.Config)) (addr string) {
	t.Helper()
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{p.certificate(t, name)},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.pool(t),
	}
	if change != nil {
		change(cfg)
	}
	return hbonetest.Listen(t, func(ctx context.Context, conn net.Conn) {
		tc := tls.Server(conn, cfg)
		if tc.HandshakeContext(ctx) == nil {
			_, _ = io.Copy(io.Discard, tc)
			_ = tc.CloseWrite()
		}
	})
}

const (
	ratings  = "spiffe://cluster.local/ns/shop/sa/ratings"
	reviews  = "spiffe://cluster.local/ns/shop/sa/reviews"
	waypoint = "spiffe://cluster.local/ns/shop/sa/waypoint"
)

// accepted is what a counterpart without fault is called.
var accepted = want{protocol: wire.ProtocolTLS, last: "accepted", verdict: probe.Conformant}

func refused(alert, cause string) want {
	return want{protocol: wire.ProtocolTLS, last: "refused " + alert, cause: cause, verdict: probe.Nonconformant}
}

// asExpected is a refusal that had to come.
func asExpected(alert string) want {
	return want{protocol: wire.ProtocolTLS, last: "refused " + alert, verdict: probe.Conformant}
}

func TestGoTLS(t *testing.T) {
	t.Parallel()
	p := newPKI()
	for name, tc := range map[string]struct {
		server func(*tls.Config)
		rows   map[string]row
	}{
		"mutual": {nil, map[string]row{
			"good":           {client: "good", want: accepted},
			"none":           {client: "good", show: wire.None, want: asExpected("certificate_required")},
			"none, alone":    {show: wire.None, want: want{last: "refused certificate_required", verdict: probe.Partial}},
			"foreign, alone": {show: wire.Foreign, want: want{last: "refused unknown_ca", verdict: probe.Partial}},
			"foreign, and expired itself": {
				client: "leaf-expired", show: wire.Foreign, want: want{last: "refused unknown_ca", verdict: probe.Inconclusive},
			},
			"foreign":        {client: "good", show: wire.Foreign, want: asExpected("unknown_ca")},
			"expired client": {client: "leaf-expired", want: refused("certificate_expired", "leaf-expired-no-renewal")},
			"tls 1.2":        {client: "good", target: wire.Target{MaxVersion: tls.VersionTLS12}, want: accepted},
			"tls 1.2, foreign": {
				client: "good", show: wire.Foreign, target: wire.Target{MaxVersion: tls.VersionTLS12},
				want: asExpected("unknown_ca"),
			},
			"expected": {client: "good", asked: endpoint.Asked{Identity: ratings}, want: accepted},
			"somebody else expected": {
				client: "good", asked: endpoint.Asked{Identity: reviews},
				want: want{last: "accepted", cause: "inner-san-wrong-workload", verdict: probe.Nonconformant},
			},
		}},
		"tls 1.2 only": {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, map[string]row{
			"good":        {client: "good", want: accepted},
			"tls 1.3":     {client: "good", target: wire.Target{MinVersion: tls.VersionTLS13}, want: refused("protocol_version", "tls-version-floor")},
			"hbone":       {client: "good", target: wire.Target{Kind: wire.HBONE}, want: refused("protocol_version", "tls-version-floor")},
			"not foreign": {client: "good", show: wire.None, want: asExpected("handshake_failure")},
		}},
		"tls 1.3 only": {func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, map[string]row{
			"tls 1.2": {client: "good", target: wire.Target{MaxVersion: tls.VersionTLS12}, want: refused("protocol_version", "tls-version-floor")},
		}},
		"alpn": {func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, map[string]row{
			"none offered": {client: "good", want: accepted},
			"same":         {client: "good", target: wire.Target{ALPN: []string{"http/1.1"}}, want: accepted},
			"another":      {client: "good", target: wire.Target{ALPN: []string{"h2"}}, want: refused("no_application_protocol", "alpn-h2-missing | alpn-mismatch")},
			"hbone":        {client: "good", target: wire.Target{Kind: wire.HBONE}, want: refused("no_application_protocol", "alpn-h2-missing")},
		}},
		"groups": {func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} }, map[string]row{
			"retried": {client: "good", want: accepted},
			"none in common": {
				client: "good", target: wire.Target{Groups: []tls.CurveID{tls.X25519}},
				want: refused("handshake_failure", "fips-curve-mismatch | unknown"),
			},
		}},
		"asks for nothing": {func(c *tls.Config) { c.ClientAuth = tls.NoClientCert }, map[string]row{
			"tls":     {client: "good", want: want{last: "accepted", verdict: probe.Conformant}},
			"foreign": {client: "good", show: wire.Foreign, want: want{last: "accepted", cause: "client-cert-not-required", verdict: probe.Nonconformant}},
			"sidecar": {
				client: "good", target: wire.Target{Kind: wire.Sidecar},
				want: want{last: "accepted", cause: "client-cert-not-required", verdict: probe.Nonconformant},
			},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.meets(t, p.goServer(t, "good", tc.server), tc.rows)
		})
	}
}

// TestGoTLSChains: a server presents what is wrong, and takes the client.
func TestGoTLSChains(t *testing.T) {
	t.Parallel()
	p := newPKI()
	for name, w := range map[string]want{
		"root-not-sent":                   accepted,
		"root-twice":                      accepted,
		"intermediate-not-sent":           fails("intermediate-not-sent"),
		"wrong-intermediate":              fails("wrong-intermediate-shipped"),
		"root-other-dn":                   fails("root-mismatch-distinct-dn"),
		"root-same-dn":                    fails("root-mismatch-same-dn"),
		"root-same-dn-not-sent":           fails("root-mismatch-same-dn"),
		"leaf-expired":                    fails("leaf-expired-no-renewal"),
		"leaf-not-yet":                    fails("clock-skew"),
		"intermediate-expired":            fails("intermediate-expired"),
		"leaf-unknown-critical-extension": fails("unknown-critical-ext"),
		"leaf-no-san":                     fails("spiffe-san-shape"),
		"leaf-other-workload":             fails("inner-san-wrong-workload"),
		"leaf-serial-negative":            {protocol: wire.ProtocolTLS, cause: "certificate-unparsable", verdict: probe.Nonconformant},
		"leaf-extension-twice":            {protocol: wire.ProtocolTLS, cause: "certificate-unparsable", verdict: probe.Nonconformant},
		"leaf-uri-malformed":              {protocol: wire.ProtocolTLS, cause: "certificate-unparsable", verdict: probe.Nonconformant},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.meets(t, p.goServer(t, name, nil), map[string]row{
				"": {client: "good", target: wire.Target{Kind: wire.Sidecar}, asked: endpoint.Asked{Identity: ratings}, want: w},
			})
		})
	}
	t.Run("leaf-two-uri-sans", func(t *testing.T) {
		t.Parallel()
		p.meets(t, p.goServer(t, "leaf-two-uri-sans", nil), map[string]row{
			// Envoy and ztunnel are content when one of them is the expected one.
			"one expected": {client: "good", target: wire.Target{Kind: wire.Sidecar}, asked: endpoint.Asked{Identity: ratings}, want: accepted},
			"any":          {client: "good", target: wire.Target{Kind: wire.Sidecar}, want: fails("spiffe-san-shape")},
		})
	})
}
