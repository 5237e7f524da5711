// SPDX-License-Identifier: Apache-2.0

// Package standin lets a pod stand where a pod of the ambient data plane would,
// in a cluster that has no ztunnel: it takes HBONE on 15008 with a certificate
// of its own from the cluster's istiod, and answers plaintext as its mTLS mode
// says. What it does with a connection is what the embedded ztunnel does, so
// that its alerts are crypto/tls's.
//
// Its pod carries the label networking.istio.io/tunnel: http, by which istiod
// tells others to speak HBONE to it.
package standin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/dataplane"
	"github.com/meshprobe/meshprobe/pkg/cluster/istioca"
)

const (
	lookEvery = 2 * time.Second // at files that the kubelet renews, and at istiod while it does not answer
	callTime  = 10 * time.Second
	maxFile   = 1 << 20
)

// Pod is one pod. Workload (its Service may be nil), TrustDomain and the files
// are required.
type Pod struct {
	Workload    cluster.Workload // who it is, where it is, its mode and its service
	TrustDomain string           // of the mesh
	TokenFile   string           // service account token with the audience istio-ca
	RootFile    string           // root-cert.pem of istio-ca-root-cert

	// Dial reaches istiod; nil is a net.Dialer.
	Dial func(ctx context.Context, addr string) (net.Conn, error)

	// Listen opens a port of the pod; nil listens on all of its addresses.
	Listen func(ctx context.Context, port uint16) (net.Listener, error)

	// Look is how often the files are looked at; 0 means 2 s.
	Look time.Duration

	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Serve gets the pod a certificate, then answers on 15008 and on the port of
// its service until the context ends. It returns an error where it cannot
// listen; while istiod does not answer it waits.
func (p *Pod) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	held := &holder{pod: p}
	if err := held.await(ctx); err != nil {
		return nil // the context ended first
	}
	z := &dataplane.Ztunnel{
		Identity:    held.current.Load,
		TrustDomain: func() string { return p.TrustDomain },
		Address:     p.Workload.Address,
		Mode:        func() cluster.MTLSMode { return p.Workload.MTLS },
		Ports:       p.port,
		Baggage:     dataplane.Baggage(p.Workload.Cluster, p.Workload),
		App:         dataplane.HTTPApp(p.Workload.String()),
		Listens:     func(port uint16) bool { return p.Workload.Service != nil && p.Workload.Service.Port == port },
		Now:         p.Now,
	}
	listeners := map[uint16]func(context.Context, net.Listener) error{cluster.PortHBONE: z.ServeHBONE}
	if s := p.Workload.Service; s != nil {
		listeners[s.Port] = z.ServePlaintext
	}
	return p.listen(ctx, held, listeners)
}

// listen serves every port, and renews the certificate, until the first ends.
func (p *Pod) listen(ctx context.Context, held *holder, listeners map[uint16]func(context.Context, net.Listener) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var mu sync.Mutex
	var errs []error
	for port, serve := range listeners {
		l, err := p.open(ctx, port)
		if err != nil {
			return fmt.Errorf("standin: %w", err)
		}
		running.Go(func() {
			defer cancel()
			err := serve(ctx, l)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	held.keep(ctx)
	running.Wait()
	return errors.Join(errs...)
}

func (p *Pod) open(ctx context.Context, port uint16) (net.Listener, error) {
	if p.Listen != nil {
		return p.Listen(ctx, port)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", ":"+strconv.Itoa(int(port)))
}

func (p *Pod) dial(ctx context.Context, addr string) (net.Conn, error) {
	if p.Dial != nil {
		return p.Dial(ctx, addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

// port maps a port of the pod's own service to the port of the pod.
func (p *Pod) port(host string, port uint16) (uint16, bool) {
	s := p.Workload.Service
	return port, s != nil && strings.EqualFold(host, s.Host) && port == s.Port
}

// holder keeps the certificate of a pod fresh.
type holder struct {
	pod     *Pod
	current atomic.Pointer[cluster.Identity]
	roots   []byte // file that the current one was asked for under
}

// await asks until there is a certificate; its error is the context's.
func (h *holder) await(ctx context.Context) error {
	again := time.NewTicker(cmp.Or(h.pod.Look, lookEvery))
	defer again.Stop()
	for h.renew(ctx) != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
	return nil
}

// keep renews the certificate at half of its life, and when the roots change,
// until the context ends.
func (h *holder) keep(ctx context.Context) {
	look := time.NewTicker(cmp.Or(h.pod.Look, lookEvery))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if h.due() {
			_ = h.renew(ctx) // the old one stays in use until it works
		}
	}
}

func (h *holder) due() bool {
	leaf := h.current.Load().Certificates[0]
	half := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	roots, err := read(h.pod.RootFile)
	return h.pod.now().After(half) || err == nil && !bytes.Equal(roots, h.roots)
}

func (p *Pod) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// renew asks istiod for a certificate.
func (h *holder) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	roots, err := read(h.pod.RootFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return errors.New("standin: no root")
	}
	w := h.pod.Workload
	client := &istioca.Client{
		Dial:  h.pod.dial,
		Roots: pool, ClusterID: w.Cluster, Now: h.pod.Now,
		Token: func(context.Context) (string, error) {
			token, err := read(h.pod.TokenFile)
			return strings.TrimSpace(string(token)), err
		},
	}
	id, err := client.Create(ctx, w.SPIFFEID(h.pod.TrustDomain), 0)
	if err != nil {
		return err
	}
	if anchors := parse(roots); len(anchors) > 0 {
		// Peers are held to the roots that the cluster publishes.
		id.Roots = anchors
	}
	h.current.Store(id)
	h.roots = roots
	return nil
}

func parse(text []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return out
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, c)
		}
	}
}

// read reads a small file.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("standin: %s is larger than 1 MiB", path)
	}
	return os.ReadFile(path)
}
