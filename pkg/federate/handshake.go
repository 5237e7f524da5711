// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// handshaker opens the handshakes of edges as their sources would: with the
// source's identity, to where the source's control plane sends it.
type handshaker struct {
	set  *cluster.Set
	root *x509.Certificate // nil: what each CA hands out
	now  func() time.Time

	mu        sync.Mutex
	workloads map[string][]cluster.Workload
}

func newHandshaker(set *cluster.Set, root *x509.Certificate, now func() time.Time) *handshaker {
	return &handshaker{set: set, root: root, now: now, workloads: map[string][]cluster.Workload{}}
}

// try proves one edge: both sides present a chain to the shared root, the
// server is whom the control plane named, and it takes the client's
// certificate.
func (h *handshaker) try(ctx context.Context, e cluster.Edge) error {
	c, ok := h.set.Cluster(e.From.Cluster)
	if !ok {
		return fmt.Errorf("there is no cluster %s", e.From.Cluster)
	}
	resolver, canResolve := cluster.As[cluster.Resolver](c)
	identities, canMint := cluster.As[cluster.Identities](c)
	if !canResolve || !canMint {
		return ErrCannotProve
	}
	from, err := h.find(ctx, e.From, func(w cluster.Workload) bool { return w.ServiceAccount == e.From.Name })
	if err != nil {
		return fmt.Errorf("service account %s: %w", e.From, err)
	}
	to, err := h.find(ctx, e.To, func(w cluster.Workload) bool { return w.Service != nil && w.Service.Name == e.To.Name })
	if err != nil {
		return fmt.Errorf("service %s: %w", e.To, err)
	}
	if to.MTLS == cluster.Disable {
		return nil // it speaks no TLS to its peers
	}
	endpoints, err := resolver.Resolve(ctx, from, to.Service.Host, to.Service.Port)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(endpoints, func(p cluster.Endpoint) bool { return p.Cluster == e.To.Cluster })
	if i < 0 && slices.ContainsFunc(endpoints, func(p cluster.Endpoint) bool { return p.Waypoint != "" }) {
		return nil // the caller's own waypoint takes every call, and no workload calls across
	}
	if i < 0 {
		return fmt.Errorf("%s knows no endpoint of %s in %s", e.From.Cluster, to.Service.Host, e.To.Cluster)
	}
	id, err := identities.Identity(ctx, from.Namespace, from.ServiceAccount)
	if err != nil {
		return err
	}
	d := dial{h: h, c: c, from: from, id: id, to: endpoints[i]}
	if d.to.DataPlane == cluster.Sidecar {
		return d.sidecar(ctx)
	}
	return d.ambient(ctx)
}

// find picks the first workload of a cluster and namespace; lists are read
// again until they have it.
func (h *handshaker) find(ctx context.Context, ref cluster.Ref, match func(cluster.Workload) bool) (cluster.Workload, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for range 2 {
		for _, w := range h.workloads[ref.Cluster] {
			if w.Namespace == ref.Namespace && match(w) {
				return w, nil
			}
		}
		c, ok := h.set.Cluster(ref.Cluster)
		if !ok {
			break
		}
		list, err := c.Workloads(ctx)
		if err != nil {
			return cluster.Workload{}, err
		}
		h.workloads[ref.Cluster] = list
	}
	return cluster.Workload{}, errors.New("no workload has it")
}

// dial is one handshake about to be opened.
type dial struct {
	h    *handshaker
	c    cluster.Cluster
	from cluster.Workload
	id   *cluster.Identity
	to   cluster.Endpoint
}

func (d dial) stream(ctx context.Context, _, addr string) (net.Conn, error) {
	return d.c.Dial(ctx, d.from, addr)
}

func (d dial) tls(want []string) *tls.Config {
	return hbone.ClientTLS(func() (*tls.Certificate, error) { return d.id.TLS(), nil }, func(s tls.ConnectionState) error { return d.check(s, want) })
}

func (d dial) sidecar(ctx context.Context) error {
	conn, err := d.stream(ctx, "tcp", d.to.Address)
	if err != nil {
		return err
	}
	cfg := d.tls(d.to.Identities)
	cfg.MinVersion, cfg.NextProtos, cfg.ServerName = tls.VersionTLS12, cluster.SidecarALPN(), d.to.SNI
	got := hbone.Acceptor{TLS: cfg}.Try(ctx, conn)
	switch {
	case got.Verdict == hbone.VerdictRefused:
		return fmt.Errorf("the peer refused our certificate: %s", hbone.AlertName(got.Alert))
	case got.Verdict != hbone.VerdictAccepted && got.Verdict != hbone.VerdictNotRefused:
		return fmt.Errorf("handshake %s: %w", got.Verdict, cause(got.Err))
	case !got.Request.Seen():
		return errors.New("the peer did not ask for our certificate")
	}
	return nil
}

func cause(err error) error {
	if err == nil {
		return errors.New("the connection ended")
	}
	return err
}

func (d dial) ambient(ctx context.Context) (err error) {
	want := d.to.Identities
	if d.to.Gateway {
		want = d.to.GatewayIdentities
	}
	outer := &hbone.Dialer{TLS: d.tls(want), Dial: d.stream, Now: d.h.now}
	defer func() { err = errors.Join(err, outer.Close()) }()
	conn, err := outer.DialContext(ctx, d.to.Address, d.to.Authority)
	if err != nil {
		return err
	}
	if d.to.Gateway {
		if conn, err = hbone.Nest(ctx, conn, d.tls(d.to.Identities), d.to.Authority, nil); err != nil {
			return err
		}
	}
	return conn.Close()
}

// check verifies the peer's chain by the shared root, without help from
// anything but what it sent, and its identity.
func (d dial) check(s tls.ConnectionState, want []string) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the peer sent no certificate")
	}
	roots, inter := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range d.id.Roots {
		if d.h.root == nil || r.Equal(d.h.root) {
			roots.AddCert(r)
		}
	}
	for _, c := range s.PeerCertificates[1:] {
		inter.AddCert(c)
	}
	leaf := s.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, CurrentTime: d.h.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return err
	}
	if len(leaf.URIs) != 1 || !slices.Contains(want, leaf.URIs[0].String()) {
		return fmt.Errorf("the peer is %v, expected one of %v", leaf.URIs, want)
	}
	return nil
}
