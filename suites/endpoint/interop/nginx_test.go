// SPDX-License-Identifier: Apache-2.0

package interop_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// nginxConfig has one server per way to be met. All paths are below %[1]s.
const nginxConfig = `
daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr warn;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	ssl_certificate %[1]s/chain.pem;
	ssl_certificate_key %[1]s/key.pem;
	ssl_protocols TLSv1.2 TLSv1.3;
	server { listen %[2]s ssl http2; ssl_verify_client on; ssl_verify_depth 4; ssl_client_certificate %[1]s/root.pem; return 200 "ratings\n"; }
	server { listen %[3]s; return 200 "plaintext\n"; }
	server { listen %[4]s ssl; ssl_reject_handshake on; }
	server { listen %[5]s ssl; return 200 "anybody\n"; }
	server { listen %[6]s ssl proxy_protocol; return 200 "behind a load balancer\n"; }
}
`

type nginxAddresses struct{ mutual, plain, rejects, anybody, proxied string }

func (p pki) nginx(t *testing.T) nginxAddresses {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if path = "/usr/sbin/nginx"; !isFile(path) {
			t.Skip("nginx is not installed")
		}
	}
	f := p.write(t, "good")
	var at [5]string
	for i := range at {
		at[i] = hbonetest.Loopback(hbonetest.FreePort(t))
	}
	config := filepath.Join(f.dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, f.dir, at[0], at[1], at[2], at[3], at[4]), 0o600); err != nil {
		t.Fatal(err)
	}
	hbonetest.Run(t, path, "-p", f.dir, "-c", config).Listens(t, at[4])
	return nginxAddresses{at[0], at[1], at[2], at[3], at[4]}
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestNginx(t *testing.T) {
	t.Parallel()
	p := newPKI()
	at := p.nginx(t)
	ask := []byte("GET / HTTP/1.0\r\nHost: ratings\r\n\r\n")
	for addr, rows := range map[string]map[string]row{
		// nginx takes any certificate within TLS and says 400 above it.
		at.mutual: {
			"good":    {client: "good", target: wire.Target{Send: ask}, want: accepted},
			"none":    {show: wire.None, target: wire.Target{Send: ask}, want: want{last: "accepted", cause: "client-cert-not-required", verdict: probe.Nonconformant}},
			"foreign": {client: "good", show: wire.Foreign, target: wire.Target{Send: ask}, want: want{last: "accepted", cause: "client-cert-not-verified", verdict: probe.Nonconformant}},
			"hbone":   {client: "good", target: wire.Target{Kind: wire.HBONE, To: "ratings.shop:9080"}, want: want{verdict: probe.Nonconformant, cause: "hbone-authority-refused"}},
		},
		at.plain: {
			"plaintext": {client: "good", want: want{protocol: wire.ProtocolHTTP, last: "not TLS", cause: "plaintext-on-mtls", verdict: probe.Nonconformant}},
		},
		at.rejects: {
			"no server name": {client: "good", want: refused("unrecognized_name", "sni-unknown")},
			"a server name":  {client: "good", target: wire.Target{SNI: "ratings.example.org"}, want: refused("unrecognized_name", "sni-unknown")},
		},
		at.anybody: {
			"tls":     {want: want{last: "accepted", verdict: probe.Conformant}},
			"sidecar": {client: "good", target: wire.Target{Kind: wire.Sidecar}, want: refused("no_application_protocol", "alpn-h2-missing")},
		},
		at.proxied: {
			"no PROXY header": {client: "good", want: want{last: "closed", cause: "closed-without-alert", verdict: probe.Nonconformant}},
		},
	} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			p.meets(t, addr, rows)
		})
	}
}
