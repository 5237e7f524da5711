// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
)

func hboneTLS(id *cluster.Identity) *tls.Config {
	return hbone.ClientTLS(
		func() (*tls.Certificate, error) { return id.TLS(), nil },
		func(tls.ConnectionState) error { return nil })
}

// connect sends one request with the given pseudo-headers over a connection of
// its own and returns the :status.
func connect(t *testing.T, addr string, id *cluster.Identity, fields ...hpack.HeaderField) string {
	t.Helper()
	c := tls.Client(dial(t, addr), hboneTLS(id))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	var block strings.Builder
	enc := hpack.NewEncoder(&block)
	for _, f := range fields {
		_ = enc.WriteField(f)
	}
	fr := http2.NewFramer(c, c)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = fr.WriteSettings()
	_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true})
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return f.ErrCode.String()
		}
	}
}

// TestZtunnelStatuses is the table of ztunnel's inbound status codes.
func TestZtunnelStatuses(t *testing.T) {
	a := newCA(t)
	z := newZtunnel(t, a)
	z.Deny = func(peer string) bool { return peer == spiffe(ownDomain, "intruder") }
	addr := start(t, z.ServeHBONE)
	reviews, intruder := a.svid(t, spiffe(ownDomain, "reviews")), a.svid(t, spiffe(ownDomain, "intruder"))
	host := "ratings.shop.svc.cluster.local"
	for name, tc := range map[string]struct {
		id                *cluster.Identity
		method, authority string
		want              string
	}{
		"own-address":              {reviews, "CONNECT", "10.1.0.7:9080", "200"},
		"own-address-as-ipv6":      {reviews, "CONNECT", "[::ffff:10.1.0.7]:9080", "200"},
		"host-name":                {reviews, "CONNECT", host + ":80", "200"},
		"not-connect":              {reviews, "POST", "10.1.0.7:9080", "400"},
		"no-authority":             {reviews, "CONNECT", "", "400"},
		"no-port":                  {reviews, "CONNECT", "10.1.0.7", "400"},
		"no-host":                  {reviews, "CONNECT", ":9080", "400"},
		"foreign-address":          {reviews, "CONNECT", "10.1.0.8:9080", "400"},
		"denied":                   {intruder, "CONNECT", "10.1.0.7:9080", "401"},
		"unknown-host":             {reviews, "CONNECT", "nobody.shop.svc.cluster.local:80", "503"},
		"no-such-service-port":     {reviews, "CONNECT", host + ":8080", "503"},
		"own-hbone-port":           {reviews, "CONNECT", "10.1.0.7:15008", "503"},
		"own-plaintext-port":       {reviews, "CONNECT", "10.1.0.7:15006", "503"},
		"own-outbound-port":        {reviews, "CONNECT", "10.1.0.7:15001", "503"},
		"service-on-own-port":      {reviews, "CONNECT", host + ":81", "503"},
		"nobody-listens":           {reviews, "CONNECT", "10.1.0.7:9081", "503"},
		"nobody-listens-for-host":  {reviews, "CONNECT", host + ":82", "503"},
		"denied-before-connecting": {intruder, "CONNECT", "10.1.0.7:9081", "401"},
	} {
		t.Run(name, func(t *testing.T) {
			fields := []hpack.HeaderField{{Name: ":method", Value: tc.method}}
			if tc.method != http.MethodConnect {
				fields = append(fields, hpack.HeaderField{Name: ":scheme", Value: "https"}, hpack.HeaderField{Name: ":path", Value: "/"})
			}
			if tc.authority != "" {
				fields = append(fields, hpack.HeaderField{Name: ":authority", Value: tc.authority})
			}
			if got := connect(t, addr, tc.id, fields...); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestZtunnelTunnelAndSettings(t *testing.T) {
	a := newCA(t)
	addr := start(t, newZtunnel(t, a).ServeHBONE)
	d := &hbone.Dialer{TLS: hboneTLS(a.svid(t, spiffe(ownDomain, "reviews")))}
	defer func() { _ = d.Close() }()
	c, err := d.DialContext(t.Context(), addr, "10.1.0.7:9080")
	if err != nil {
		t.Fatal(err)
	}
	if err := echoed(c, []byte("through the tunnel")); err != nil {
		t.Error(err)
	}
	_, header := c.Response()
	if diff := cmp.Diff("k8s.cluster.name=west", header.Get("Baggage")); diff != "" {
		t.Errorf("baggage (-want +got):\n%s", diff)
	}
	want := hbone.Settings{StreamWindow: 4 << 20, MaxFrameSize: 1 << 20, MaxHeaderListSize: 65536, MaxConcurrentStreams: 200, HeaderTableSize: 4096}
	if diff := cmp.Diff(want, c.Session().Settings()); diff != "" {
		t.Errorf("SETTINGS (-want +got):\n%s", diff)
	}
	_ = c.CloseWrite()
	if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
		t.Errorf("after the half-close: %q, %v", rest, err)
	}
}

// TestSettingsOrder: a ztunnel speaks at once, an Envoy after the preface.
func TestSettingsOrder(t *testing.T) {
	a := newCA(t)
	client := a.svid(t, spiffe(ownDomain, "reviews"))
	z := start(t, newZtunnel(t, a).ServeHBONE)
	first := verdict(dial(t, z), hboneTLS(client), func(c *tls.Conn) error {
		_, err := io.ReadFull(c, make([]byte, 9))
		return err
	})
	if first != "accepted" {
		t.Errorf("ztunnel before the preface: %s", first)
	}
	g := &EastWest{Identity: fixed(a.svid(t, spiffe(ownDomain, "gateway"))), TrustDomains: fixed([]string{ownDomain})}
	addr := start(t, g.Serve)
	// The end of the client's side brings out everything that it would say unasked.
	unasked := verdict(dial(t, addr), hboneTLS(client), func(c *tls.Conn) error {
		_ = c.CloseWrite()
		if said, err := io.ReadAll(c); err != nil || len(said) > 0 {
			return errors.Join(errors.New("the gateway spoke first"), err)
		}
		return nil
	})
	if unasked != "accepted" {
		t.Error(unasked)
	}
	if got := verdict(dial(t, addr), hboneTLS(client), settingsProof); got != "accepted" {
		t.Errorf("gateway after the preface: %s", got)
	}
}

func TestZtunnelPlaintext(t *testing.T) {
	for mode, want := range map[cluster.MTLSMode]string{
		cluster.Strict: "eof", cluster.Permissive: "app", cluster.Disable: "app",
	} {
		t.Run(string(mode), func(t *testing.T) {
			z := newZtunnel(t, newCA(t))
			z.Mode = fixed(mode)
			c := dial(t, start(t, z.ServePlaintext))
			var got string
			if want == "eof" {
				got = ending(c)
			} else {
				got = rawOutcome(c, []byte("hello"))
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestBaggage(t *testing.T) {
	w := cluster.Workload{
		Ref:     cluster.Ref{Cluster: "west", Namespace: "shop", Name: "ratings-v1"},
		Service: &cluster.Service{Name: "ratings"},
	}
	want := "k8s.cluster.name=west,k8s.namespace.name=shop,k8s.pod.name=ratings-v1,service.name=ratings,service.version=latest"
	if diff := cmp.Diff(want, Baggage("west", w)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
