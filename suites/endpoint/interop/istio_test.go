// SPDX-License-Identifier: Apache-2.0

package interop_test

import (
	"context"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// istioHBONE builds the server of module interop, which is Istio's own, and
// skips the test where its modules are not to be had.
func istioHBONE(t *testing.T) (path string) {
	t.Helper()
	module := filepath.Join("..", "..", "..", "interop")
	path = filepath.Join(t.TempDir(), "hbone")
	if out, err := goCommand(t, "list", "-C", module, "-deps", "./hbone"); err != nil {
		t.Skipf("the modules of interop are not to be had here: %v\n%s", err, out)
	}
	if out, err := goCommand(t, "build", "-C", module, "-o", path, "./hbone"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func goCommand(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.WaitDelay = time.Second
	return cmd.CombinedOutput()
}

// echo is an application that says everything back.
func echo(t *testing.T) (addr string) {
	t.Helper()
	return hbonetest.Listen(t, func(_ context.Context, conn net.Conn) {
		_, _ = io.Copy(conn, conn)
		if tc, ok := conn.(*net.TCPConn); ok {
			_ = tc.CloseWrite()
		}
	})
}

func TestIstioHBONE(t *testing.T) {
	t.Parallel()
	p := newPKI()
	path := istioHBONE(t)
	f := p.write(t, "good")
	app, dead := echo(t), hbonetest.Loopback(hbonetest.FreePort(t))
	serve := func(args ...string) string {
		return hbonetest.Run(t, path, append([]string{"-cert", f.chain, "-key", f.key, "-root", f.root}, args...)...).Prints(t, `(127\.0\.0\.1:\d+)`)
	}
	to := func(authority string) wire.Target {
		return wire.Target{Kind: wire.HBONE, To: authority, Send: []byte("hello, istio"), Quiet: ample}
	}
	t.Run("single", func(t *testing.T) {
		p.meets(t, serve(), map[string]row{
			"good":    {client: "good", target: to(app), want: want{last: "accepted", status: 200, verdict: probe.Conformant}},
			"none":    {client: "good", show: wire.None, target: to(app), want: asExpected("certificate_required")},
			"foreign": {client: "good", show: wire.Foreign, target: to(app), want: asExpected("unknown_ca")},
			// It says 200 before it dials, so that the tunnel ends in order and the
			// dead application does not show.
			"dead": {client: "good", target: to(dead), want: want{last: "accepted", status: 200, verdict: probe.Conformant}},
		})
	})
	t.Run("double", func(t *testing.T) {
		double := func(authority string) wire.Target {
			return wire.Target{Kind: wire.DoubleHBONE, To: authority, InnerTo: app, Send: []byte("hello, istio"), Quiet: ample}
		}
		p.meets(t, serve("-double"), map[string]row{
			// Its inner server loses h2 from its ALPN list (net/http adjustNextProtos).
			"inner alpn": {client: "good", target: double("ratings.shop:9080"), want: refused("no_application_protocol", "alpn-h2-missing")},
			"foreign":    {client: "good", show: wire.Foreign, target: double("ratings.shop:9080"), want: asExpected("unknown_ca")},
		})
	})
}
