// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// endpoint resolves an edge and picks the endpoint in its destination.
func endpoint(t testing.TB, set *cluster.Set, e cluster.Edge) (cluster.Endpoint, bool) {
	t.Helper()
	from, _ := set.Cluster(e.From.Cluster)
	r, ok := cluster.As[cluster.Resolver](from)
	if !ok {
		t.Fatal("no resolver")
	}
	found, err := r.Resolve(t.Context(), cluster.Workload{Ref: e.From}, e.To.Name+"."+e.To.Namespace+".svc.cluster.local", 9080)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(found, func(ep cluster.Endpoint) bool { return ep.Cluster == e.To.Cluster && ep.DataPlane == e.DataPlane })
	if i < 0 {
		return cluster.Endpoint{}, false
	}
	return found[i], true
}

func identity(t testing.TB, set *cluster.Set, r cluster.Ref) *cluster.Identity {
	t.Helper()
	c, _ := set.Cluster(r.Cluster)
	ids, ok := cluster.As[cluster.Identities](c)
	if !ok {
		t.Fatal("no identities")
	}
	id, err := ids.Identity(t.Context(), r.Namespace, r.Name)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// verify accepts a chain to the identity's roots with one of the SPIFFE IDs.
func verify(id *cluster.Identity, want []string) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		roots, inter := x509.NewCertPool(), x509.NewCertPool()
		for _, r := range id.Roots {
			roots.AddCert(r)
		}
		for _, c := range s.PeerCertificates[1:] {
			inter.AddCert(c)
		}
		leaf := s.PeerCertificates[0]
		// Some tests move the clock of the clusters; validity is not theirs to judge.
		at := leaf.NotBefore.Add(time.Minute)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, CurrentTime: at}); err != nil {
			return err
		}
		if len(leaf.URIs) != 1 || !slices.Contains(want, leaf.URIs[0].String()) {
			return fmt.Errorf("peer is %v, want one of %v", leaf.URIs, want)
		}
		return nil
	}
}

// call makes one HTTP request over whatever data plane the endpoint needs.
func call(ctx context.Context, c cluster.Cluster, id *cluster.Identity, ep cluster.Endpoint) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		return c.Dial(ctx, cluster.Workload{}, addr)
	}
	certificate := func() (*tls.Certificate, error) { return id.TLS(), nil }
	switch {
	case ep.DataPlane == cluster.Sidecar:
		raw, err := dial(ctx, "tcp", ep.Address)
		if err != nil {
			return "", err
		}
		defer raw.Close()
		conn := tls.Client(raw, &tls.Config{
			ServerName: ep.SNI, NextProtos: cluster.SidecarALPN(), InsecureSkipVerify: true, VerifyConnection: verify(id, ep.Identities),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.TLS(), nil },
		})
		if err := conn.HandshakeContext(ctx); err != nil {
			return "", err
		}
		return get(conn)
	case ep.Gateway:
		outer := &hbone.Dialer{TLS: hbone.ClientTLS(certificate, verify(id, ep.GatewayIdentities)), Dial: dial}
		defer outer.Close()
		tunnel, err := outer.DialContext(ctx, ep.Address, ep.Authority)
		if err != nil {
			return "", err
		}
		conn, err := hbone.Nest(ctx, tunnel, hbone.ClientTLS(certificate, verify(id, ep.Identities)), ep.Authority, nil)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		return get(conn)
	default:
		d := &hbone.Dialer{TLS: hbone.ClientTLS(certificate, verify(id, ep.Identities)), Dial: dial}
		defer d.Close()
		conn, err := d.DialContext(ctx, ep.Address, ep.Authority)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		return get(conn)
	}
}

func get(c net.Conn) (string, error) {
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	if len(answer) == 0 {
		return "", errors.Join(errors.New("no answer"), err)
	}
	lines := strings.Split(strings.TrimSpace(string(answer)), "\n")
	return lines[len(lines)-1], nil
}

func TestFederatedEdges(t *testing.T) {
	set := open(t, 3)
	for e := range set.Edges() {
		if _, found := endpoint(t, set, e); found {
			t.Errorf("%s resolves before anybody federated", e)
		}
	}
	begin := time.Now()
	root := federate(t, set)
	t.Log("federated in", time.Since(begin))
	for e := range set.Edges() {
		ep, found := endpoint(t, set, e)
		if !found {
			t.Errorf("%s (%s) does not resolve", e, e.DataPlane)
			continue
		}
		if !ep.Gateway {
			t.Errorf("%s does not go through a gateway: %+v", e, ep)
		}
		from, _ := set.Cluster(e.From.Cluster)
		id := identity(t, set, e.From)
		if !id.Roots[0].Equal(root.cert) {
			t.Errorf("%s: the identity's root is %s", e, id.Roots[0].Subject)
		}
		got, err := call(t.Context(), from, id, ep)
		if want := e.To.Cluster + "/" + e.To.Namespace + "/ratings-v1"; err != nil || got != want {
			t.Errorf("%s (%s)\n got %q, %v\nwant %q", e, e.DataPlane, got, err, want)
		}
	}
}

func TestResolveFederated(t *testing.T) {
	set := open(t, 2)
	federate(t, set)
	var got []cluster.Endpoint
	for _, dp := range []cluster.DataPlane{cluster.Sidecar, cluster.Ambient} {
		for e := range set.Edges() {
			if e.From.Cluster == "east" && e.DataPlane == dp {
				ep, _ := endpoint(t, set, e)
				got = append(got, ep)
			}
		}
	}
	want := []cluster.Endpoint{
		{
			Cluster: "west", Network: "west", Address: "192.0.2.3:15443", Gateway: true, DataPlane: cluster.Sidecar,
			SNI: "outbound_.9080_._.ratings.bookinfo.svc.cluster.local", Identities: []string{"spiffe://cluster.local/ns/bookinfo/sa/ratings"},
		},
		{
			Cluster: "west", Network: "west", Address: "192.0.2.4:15008", Gateway: true, DataPlane: cluster.Ambient,
			Authority: "ratings.bookinfo-ambient.svc.cluster.local:9080", Identities: []string{"spiffe://cluster.local/ns/bookinfo-ambient/sa/ratings"},
			GatewayIdentities: []string{"spiffe://cluster.local/ns/istio-system/sa/eastwest-ambient"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
}
