// SPDX-License-Identifier: Apache-2.0

package interop_test

import (
	"crypto/tls"
	"os/exec"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// openssl runs `openssl s_server` with a case of the corpus and returns its
// address and itself.
func (p pki) openssl(t *testing.T, name string, sendChain bool, args ...string) (string, *hbonetest.Process) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	f := p.write(t, name)
	all := []string{"s_server", "-accept", "127.0.0.1:0", "-cert", f.cert, "-key", f.key, "-CAfile", f.root}
	if sendChain {
		all = append(all, "-cert_chain", f.rest)
	}
	proc := hbonetest.Run(t, path, append(all, args...)...)
	return proc.Prints(t, `ACCEPT (\S+)`), proc
}

// demands makes s_server refuse clients without a good certificate.
var demands = []string{"-Verify", "5", "-verify_return_error"}

func TestOpenSSL(t *testing.T) {
	t.Parallel()
	p := newPKI()
	for name, tc := range map[string]struct {
		args []string
		rows map[string]row
	}{
		"verify": {demands, map[string]row{
			"good":             {client: "good", want: accepted},
			"none":             {client: "good", show: wire.None, want: asExpected("certificate_required")},
			"foreign":          {client: "good", show: wire.Foreign, want: asExpected("unknown_ca")},
			"expired client":   {client: "leaf-expired", want: refused("certificate_expired", "leaf-expired-no-renewal")},
			"client alone":     {client: "intermediate-not-sent", want: refused("unknown_ca", "intermediate-not-sent")},
			"client same dn":   {client: "root-same-dn-not-sent", want: refused("unknown_ca | decrypt_error", "root-mismatch-same-dn")},
			"expected refusal": {client: "leaf-expired", asked: endpoint.Asked{Expect: &endpoint.Wanted{What: endpoint.ExpectAlert, Value: "certificate_expired"}}, want: want{last: "refused certificate_expired", verdict: probe.Conformant}},
			"other refusal expected": {
				client: "leaf-expired", asked: endpoint.Asked{Expect: &endpoint.Wanted{What: endpoint.ExpectAlert, Value: "unknown_ca"}},
				want: want{last: "refused certificate_expired", cause: "leaf-expired-no-renewal | unexpected-outcome", verdict: probe.Nonconformant},
			},
			"hbone": {client: "good", target: wire.Target{Kind: wire.HBONE}, want: want{cause: "alpn-h2-missing", verdict: probe.Nonconformant}},
		}},
		"verify, tls 1.2": {append([]string{"-no_tls1_3"}, demands...), map[string]row{
			"good":    {client: "good", want: accepted},
			"none":    {client: "good", show: wire.None, want: asExpected("handshake_failure")},
			"foreign": {client: "good", show: wire.Foreign, want: asExpected("unknown_ca")},
			"tls 1.3": {client: "good", target: wire.Target{MinVersion: tls.VersionTLS13}, want: refused("protocol_version", "tls-version-floor")},
		}},
		"alpn": {append([]string{"-alpn", "istio,http/1.1"}, demands...), map[string]row{
			"sidecar": {client: "good", target: wire.Target{Kind: wire.Sidecar}, want: accepted},
			"hbone":   {client: "good", target: wire.Target{Kind: wire.HBONE}, want: refused("no_application_protocol", "alpn-h2-missing")},
		}},
		"www": {[]string{"-www"}, map[string]row{
			"request": {client: "good", target: wire.Target{Send: []byte("GET / HTTP/1.0\r\n\r\n")}, want: want{last: "accepted", verdict: probe.Conformant}},
			"sidecar": {
				client: "good", target: wire.Target{Kind: wire.Sidecar},
				want: want{last: "accepted", cause: "client-cert-not-required", verdict: probe.Nonconformant},
			},
		}},
		"groups": {append([]string{"-groups", "P-384"}, demands...), map[string]row{
			"retried":        {client: "good", want: accepted},
			"none in common": {client: "good", target: wire.Target{Groups: []tls.CurveID{tls.X25519}}, want: refused("handshake_failure", "fips-curve-mismatch | unknown")},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, _ := p.openssl(t, "good", true, tc.args...)
			p.meets(t, addr, tc.rows)
		})
	}
}

// TestOpenSSLChains: s_server sends what it is given.
func TestOpenSSLChains(t *testing.T) {
	t.Parallel()
	p := newPKI()
	for name, cause := range map[string]string{
		"intermediate-not-sent": "intermediate-not-sent", "wrong-intermediate": "wrong-intermediate-shipped",
		"root-same-dn": "root-mismatch-same-dn", "root-other-dn": "root-mismatch-distinct-dn", "leaf-expired": "leaf-expired-no-renewal",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, _ := p.openssl(t, name, len(p.of(t, name).Chain) > 1, demands...)
			p.meets(t, addr, map[string]row{
				"": {client: "good", want: want{last: "accepted", cause: cause, verdict: probe.Nonconformant}},
			})
		})
	}
}

// TestOpenSSLGoes: s_server leaves after one connection.
func TestOpenSSLGoes(t *testing.T) {
	t.Parallel()
	p := newPKI()
	addr, proc := p.openssl(t, "good", true, append([]string{"-naccept", "1"}, demands...)...)
	meet := func(w want) {
		target := wire.Target{Kind: wire.TLS, Address: addr, Identity: p.identity(t, "good"), Timeout: ample}
		ask(t, &wire.Observer{}, target, endpoint.Asked{Bundle: p.bundle()}).check(t, w)
	}
	meet(accepted)
	<-proc.Exited()
	meet(want{last: "tcp refused", cause: "port-closed", verdict: probe.Nonconformant})
}
