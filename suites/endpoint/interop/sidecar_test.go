// SPDX-License-Identifier: Apache-2.0

package interop_test

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// silent is an application that takes connections and says nothing.
func silent(t *testing.T) (addr string) {
	t.Helper()
	return hbonetest.Listen(t, func(ctx context.Context, _ net.Conn) { <-ctx.Done() })
}

// envoyOf runs an Envoy that shows a case of the corpus.
func (p pki) envoyOf(t *testing.T, config, name string, fill map[string]string) map[string]string {
	t.Helper()
	f := p.write(t, name)
	all := map[string]string{"CERT": f.chain, "KEY": f.key, "ROOT": f.root}
	maps.Copy(all, fill)
	return envoy(t, config, all)
}

// sidecar is how a sidecar is met that answers quickly.
var sidecar = wire.Target{Kind: wire.Sidecar, Quiet: 100 * time.Millisecond}

func TestEnvoySidecarStrict(t *testing.T) {
	t.Parallel()
	p := newPKI()
	at := p.envoyOf(t, "sidecar-strict.yaml", "good", map[string]string{"SILENT": port(t, silent(t))})
	t.Run("http", func(t *testing.T) {
		p.meets(t, at["http"], map[string]row{
			"good":                 {client: "good", target: sidecar, asked: endpoint.Asked{Identity: ratings}, want: accepted},
			"none":                 {client: "good", show: wire.None, target: sidecar, want: asExpected("certificate_required")},
			"foreign":              {client: "good", show: wire.Foreign, target: sidecar, want: asExpected("unknown_ca")},
			"expired client":       {client: "leaf-expired", target: sidecar, want: refused("certificate_expired", "leaf-expired-no-renewal")},
			"early client":         {client: "leaf-not-yet", target: sidecar, want: refused("certificate_expired", "clock-skew")},
			"client alone":         {client: "intermediate-not-sent", target: sidecar, want: refused("unknown_ca", "intermediate-not-sent")},
			"client same dn":       {client: "root-same-dn-not-sent", target: sidecar, want: refused("unknown_ca", "root-mismatch-same-dn")},
			"client other dn":      {client: "root-other-dn", target: sidecar, want: refused("unknown_ca", "root-mismatch-distinct-dn")},
			"other trust domain":   {client: "leaf-other-trust-domain", target: sidecar, want: refused("certificate_unknown", "td-mismatch-sidecar-no-alias")},
			"server auth only":     {client: "leaf-server-auth-only", target: sidecar, want: refused("unsupported_certificate", "eku-restricted")},
			"somebody expected":    {client: "good", target: sidecar, asked: endpoint.Asked{Identity: reviews}, want: want{last: "accepted", cause: "inner-san-wrong-workload", verdict: probe.Nonconformant}},
			"tls 1.2":              {client: "good", target: wire.Target{Kind: wire.Sidecar, MaxVersion: tls.VersionTLS12}, want: accepted},
			"tls 1.2, none":        {client: "good", show: wire.None, target: wire.Target{Kind: wire.Sidecar, MaxVersion: tls.VersionTLS12}, want: asExpected("handshake_failure")},
			"tls 1.2, foreign":     {client: "good", show: wire.Foreign, target: wire.Target{Kind: wire.Sidecar, MaxVersion: tls.VersionTLS12}, want: asExpected("unknown_ca")},
			"as hbone, no CONNECT": {client: "good", target: wire.Target{Kind: wire.HBONE}, want: want{last: "accepted", verdict: probe.Conformant}},
			"as hbone":             {client: "good", target: wire.Target{Kind: wire.HBONE, To: "ratings.shop:9080"}, want: want{last: "accepted", cause: "ambient-multinetwork-flag", verdict: probe.Nonconformant}},
		})
	})
	t.Run("silent application", func(t *testing.T) {
		p.meets(t, at["silent"], map[string]row{
			"good":    {client: "good", target: sidecar, want: want{last: "not refused | accepted", verdict: probe.Conformant}},
			"foreign": {client: "good", show: wire.Foreign, target: sidecar, want: asExpected("unknown_ca")},
		})
	})
	t.Run("dead application", func(t *testing.T) {
		p.meets(t, at["dead"], map[string]row{
			// It is closed before, during or right behind the handshake, whichever
			// Envoy comes to first; in none of them is it a refusal.
			"good": {client: "good", target: sidecar, want: want{last: "closed | accepted", cause: "closed-without-alert | "}},
		})
	})
	t.Run("network RBAC", func(t *testing.T) {
		denied := sidecar
		denied.Send = []byte("x") // it judges on the first byte, behind a handshake that it takes
		p.meets(t, at["denied"], map[string]row{
			"good": {client: "good", target: denied, want: want{last: "closed | accepted", cause: "closed-without-alert | "}},
		})
	})
}

func TestEnvoySidecarPermissive(t *testing.T) {
	t.Parallel()
	p := newPKI()
	// The application has a TLS of its own, with another certificate.
	app := p.goServer(t, "leaf-dns-san-only", func(c *tls.Config) { c.ClientAuth = tls.NoClientCert })
	at := p.envoyOf(t, "sidecar-permissive.yaml", "good", map[string]string{"APPLICATION": port(t, app)})["inbound"]
	p.meets(t, at, map[string]row{
		"good":          {client: "good", target: sidecar, asked: endpoint.Asked{Identity: ratings}, want: accepted},
		"foreign":       {client: "good", show: wire.Foreign, target: sidecar, want: asExpected("unknown_ca")},
		"no istio ALPN": {client: "good", target: wire.Target{Kind: wire.Sidecar, ALPN: []string{}}, want: want{last: "accepted", cause: "permissive-wrong-alpn | tls-terminated-in-middle | spiffe-san-shape", verdict: probe.Nonconformant}},
	})
}

func TestEnvoyGatewaySNI(t *testing.T) {
	t.Parallel()
	p := newPKI()
	inbound := p.envoyOf(t, "sidecar-strict.yaml", "good", map[string]string{"SILENT": port(t, silent(t))})
	at := envoy(t, "gateway-sni.yaml", map[string]string{"SIDECAR": port(t, inbound["http"])})["gateway"]
	to := func(service string) wire.Target {
		target := sidecar
		target.SNI = "outbound_.9080_._." + service + ".shop.svc.cluster.local"
		return target
	}
	noMarker := to("ratings")
	noMarker.ALPN = []string{"h2"}
	p.meets(t, at, map[string]row{
		"good":          {client: "good", target: to("ratings"), asked: endpoint.Asked{Identity: ratings}, want: accepted},
		"foreign":       {client: "good", show: wire.Foreign, target: to("ratings"), want: asExpected("unknown_ca")},
		"unknown name":  {client: "good", target: to("unknown"), want: want{last: "closed", cause: "closed-without-alert", verdict: probe.Nonconformant}},
		"no endpoint":   {client: "good", target: to("gone"), want: want{last: "closed", cause: "closed-without-alert", verdict: probe.Nonconformant}},
		"no name":       {client: "good", target: sidecar, want: want{last: "closed", cause: "closed-without-alert", verdict: probe.Nonconformant}},
		"no istio ALPN": {client: "good", target: noMarker, want: want{last: "closed", cause: "closed-without-alert", verdict: probe.Nonconformant}},
	})
}
