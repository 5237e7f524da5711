// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Kind is what an endpoint is taken for.
type Kind string

// The kinds.
const (
	TLS         Kind = "tls"          // any TLS server
	Sidecar     Kind = "sidecar"      // the mTLS of an Istio sidecar, or of what an SNI passthrough leads to
	HBONE       Kind = "hbone"        // ztunnel, waypoint: CONNECT over HTTP/2 over mTLS
	DoubleHBONE Kind = "double-hbone" // the same twice, through an east-west gateway
)

// ClientCert is which certificate a client shows.
type ClientCert string

// The client certificates. Without an identity, own is none.
const (
	Own     ClientCert = "own"     // that of Target.Identity; the zero value means it, too
	None    ClientCert = "none"    // an empty one
	Foreign ClientCert = "foreign" // the same SPIFFE ID under a root that nobody knows
)

// Dial opens the stream that a connection runs over; the network is "tcp".
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// DefaultTimeout is all the time that one endpoint gets.
const DefaultTimeout = 10 * time.Second

// DefaultQuiet is how long a tunnel, or an application behind TLS, may stay
// silent before the observation ends.
const DefaultQuiet = time.Second

// Target is one endpoint and how to meet it. It must not change while it is
// observed.
type Target struct {
	Kind    Kind
	Address string // "host:port"

	// SNI is sent as it is; empty sends none. ALPN is offered as it is; nil
	// means the kind's own: none for TLS, "istio" for a sidecar, "h2" for HBONE.
	SNI  string
	ALPN []string
	// MinVersion and MaxVersion are as in crypto/tls. 0 means TLS 1.2 and the
	// newest; for HBONE, TLS 1.3 (ztunnel src/tls).
	MinVersion, MaxVersion uint16
	// Groups are the key exchanges to offer; nil means Go's default.
	Groups []tls.CurveID
	// InnerSNI is as SNI, for the inner handshake of double HBONE.
	InnerSNI string

	// Identity is nil for none. Where Client is not Own, it is the control: what a
	// rejection is compared with.
	Identity *cluster.Identity
	Client   ClientCert

	// To is the authority of the CONNECT, InnerTo that of the inner one. An empty
	// To ends the observation at SETTINGS; an empty InnerTo means To.
	To, InnerTo string
	// Send is what goes through: into the tunnel after a 200, or to a TLS server
	// after the handshake, to see what an L4 policy makes of it. nil sends
	// nothing and reads all the same.
	Send []byte

	// Timeout bounds the whole observation; 0 means DefaultTimeout. Quiet is how
	// long to wait for bytes of an application; 0 means DefaultQuiet.
	Timeout, Quiet time.Duration
	// NoSniff keeps to one connection: an endpoint that says nothing is not asked
	// again in other ways.
	NoSniff bool
}

// nested says that the target has two layers.
func (t Target) nested() bool { return t.Kind == DoubleHBONE }

// tunnels says that the target speaks HBONE.
func (t Target) tunnels() bool { return t.Kind == HBONE || t.Kind == DoubleHBONE }

// alpn is what is offered.
func (t Target) alpn() []string {
	switch {
	case t.ALPN != nil:
		return t.ALPN
	case t.Kind == Sidecar:
		return cluster.SidecarALPN()
	case t.tunnels():
		return []string{"h2"}
	default:
		return nil
	}
}
