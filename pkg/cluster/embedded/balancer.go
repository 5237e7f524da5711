// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/dataplane"
)

// balancers are the load balancers of a cluster that do more than to pass TCP
// on: those of Services whose annotation gives them a certificate. They start
// when they are first needed.
type balancers struct {
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
	at     map[netip.AddrPort]netip.AddrPort // by external address
}

var errClosed = errors.New("the cluster is closed")

// terminator is where the load balancer listens that ends TLS in front of an
// external address.
func (in *instance) terminator(external netip.AddrPort) (netip.AddrPort, error) {
	b := &in.balancers
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.at[external]; ok {
		return at, nil
	}
	if b.closed {
		return netip.AddrPort{}, errClosed
	}
	cert, err := publicCertificate(in.now())
	if err != nil {
		return netip.AddrPort{}, err
	}
	at := netip.AddrPortFrom(in.addrs.node(), uint16(30000+len(b.at))) // a node port
	ln, err := in.net.Listen(in.ctx, in.spec.Network, at)
	if err != nil {
		return netip.AddrPort{}, err
	}
	t := &dataplane.Terminator{Certificate: cert, Dial: func(ctx context.Context) (net.Conn, error) {
		service := in.local().byAddress[external.Addr()]
		if service == nil {
			return nil, fmt.Errorf("no service has the address %s", external.Addr())
		}
		to, ok := in.pick(service.targets(external.Port()))
		if !ok {
			return nil, fmt.Errorf("no pod is ready behind %s", external)
		}
		return in.net.Dial(ctx, in.spec.Network, to)
	}}
	b.wg.Go(func() {
		if err := t.Serve(in.ctx, ln); err != nil {
			in.log.Warn("load balancer died", "address", external, "err", err)
		}
	})
	if b.at == nil {
		b.at = map[netip.AddrPort]netip.AddrPort{}
	}
	b.at[external] = at
	return at, nil
}

// close waits for them to end; the instance's context is done.
func (b *balancers) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.wg.Wait()
}

// publicCertificate is one as clouds give to load balancers: a DNS name, no
// SPIFFE ID, an issuer that no mesh knows.
func publicCertificate(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("generate key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.Unix()), Subject: pkix.Name{CommonName: "gateway.example.com"},
		DNSNames:  []string{"gateway.example.com"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 3, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	issuer := &x509.Certificate{Subject: pkix.Name{Organization: []string{"Public Trust Services"}, CommonName: "Public CA"}, SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("load balancer's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// balance is what a load balancer in front of the cluster does with a port of
// an external address.
func (in *instance) balance(external netip.Addr, port uint16) (netip.AddrPort, bool) {
	service := in.local().byAddress[external]
	if service == nil {
		return netip.AddrPort{}, false
	}
	if service.terminated {
		at, err := in.terminator(netip.AddrPortFrom(external, port))
		return at, err == nil
	}
	return in.pick(service.targets(port))
}
