// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func serveApp(app App) func(context.Context, net.Listener) error {
	return func(ctx context.Context, ln net.Listener) error {
		return serve(ctx, ln, Limits{}, func(ctx context.Context, c net.Conn, _ *conns) { app(ctx, c) })
	}
}

func TestHTTPApp(t *testing.T) {
	addr := start(t, serveApp(HTTPApp("west/ratings-v1")))
	const get, ok = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200 west/ratings-v1\n"
	for name, tc := range map[string]struct {
		in   string
		want []string
	}{
		"one":            {get, []string{ok}},
		"keep-alive":     {get + get, []string{ok, ok}},
		"close":          {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get, []string{ok}},
		"http-1.0":       {"GET / HTTP/1.0\r\n\r\n", []string{ok}},
		"with-body":      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get, []string{ok, ok}},
		"garbage":        {"\x16\x03\x01\r\n\r\n", []string{"400 "}},
		"endless-header": {"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 2*appHeaders), []string{"400 "}},
		"nothing":        {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, addr)
			_, _ = io.WriteString(c, tc.in)
			_ = c.(*net.TCPConn).CloseWrite()
			var got []string
			for in := bufio.NewReader(c); ; {
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					break
				}
				body, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				got = append(got, resp.Status[:4]+string(body))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHTTPAppHTTP2(t *testing.T) {
	addr := start(t, serveApp(HTTPApp("ratings")))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.ProtoMajor != 2 || string(body) != "ratings\n" {
		t.Errorf("HTTP/%d: %q", resp.ProtoMajor, body)
	}
}
