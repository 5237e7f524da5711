// SPDX-License-Identifier: Apache-2.0

package interop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// envoy runs one with a configuration of fixtures/envoy, in which it replaces
// what stands between @ signs, and returns the addresses of its listeners by
// their names.
func envoy(t *testing.T, config string, fill map[string]string) map[string]string {
	t.Helper()
	path := hbonetest.EnvoyPath(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "fixtures", "envoy", config))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pairs := []string{"@DEAD@", filepath.Join(dir, "nobody-listens-here")}
	for name, value := range fill {
		pairs = append(pairs, "@"+name+"@", value)
	}
	file, admin := filepath.Join(dir, config), filepath.Join(dir, "admin")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	p := hbonetest.Run(t, path, "-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "warning", "--admin-address-path", admin)
	var at string
	p.Until(t, func() bool {
		b, err := os.ReadFile(admin)
		at = strings.TrimSpace(string(b))
		return err == nil && at != ""
	})
	var found map[string]string
	p.Until(t, func() bool {
		found = listeners(t.Context(), at)
		return len(found) > 0
	})
	return found
}

// listeners asks an Envoy for its TCP listeners, nil while it is not live.
func listeners(ctx context.Context, admin string) map[string]string {
	if body := fetch(ctx, admin, "/ready"); !strings.HasPrefix(string(body), "LIVE") {
		return nil
	}
	var list struct {
		Statuses []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if json.Unmarshal(fetch(ctx, admin, "/listeners?format=json"), &list) != nil {
		return nil
	}
	found := map[string]string{}
	for _, l := range list.Statuses {
		if l.Local.Socket.Port != 0 {
			found[l.Name] = net.JoinHostPort(l.Local.Socket.Address, strconv.Itoa(l.Local.Socket.Port))
		}
	}
	return found
}

func fetch(ctx context.Context, host, path string) []byte {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s%s", host, path), nil)
	if err != nil {
		return nil
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return body
}

// port is that of an address.
func port(t testing.TB, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
