// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Outcome is how a peer answered a handshake. Accepted and NotRefused are only
// said after a read; Closed says nothing of any certificate.
type Outcome string

// The outcomes.
const (
	Accepted    Outcome = "accepted"
	NotRefused  Outcome = "not refused"
	Refused     Outcome = "refused"      // an alert
	Closed      Outcome = "closed"       // FIN or RST without an alert
	Unreachable Outcome = "unreachable"  // no TCP connection
	Unclear     Outcome = "unclear"      // something else; see Error
	OutOfReach  Outcome = "out of reach" // the provider has no stream there, which says nothing of the peer
)

// OK says that the peer did not refuse.
func (o Outcome) OK() bool { return o == Accepted || o == NotRefused }

// Handshake is one TLS handshake as its client saw it. The client takes any
// server: whether it should have is judged from Chain.
type Handshake struct {
	Address string   `json:"address"`
	SNI     string   `json:"sni,omitempty"`
	Offered []string `json:"offered,omitempty"` // ALPN
	Client  Certs    `json:"client"`            // chain that was shown, empty for none

	Outcome Outcome `json:"outcome"`
	Proof   string  `json:"proof,omitempty"` // what acceptance rests on
	Alert   string  `json:"alert,omitempty"` // sent by the peer, RFC 8446 name
	Error   string  `json:"error,omitempty"`
	Timeout bool    `json:"timeout,omitempty"` // Unreachable, Unclear: nothing came back in time

	Version     string   `json:"version,omitempty"`
	Cipher      string   `json:"cipher,omitempty"`
	ALPN        string   `json:"alpn,omitempty"` // as negotiated
	Chain       Certs    `json:"chain,omitempty"`
	Asked       bool     `json:"asked"`                 // for a client certificate
	Authorities []string `json:"authorities,omitempty"` // CA names that the server gave

	far *cluster.OutOfReachError // OutOfReach: what would reach it
}

// Dial opens the stream that a handshake runs over.
type Dial func(ctx context.Context) (net.Conn, error)

// Hello is what a client says.
type Hello struct {
	Address    string
	SNI        string
	ALPN       []string
	Identity   *cluster.Identity // nil shows an empty certificate
	MinVersion uint16            // 0 means TLS 1.2, Istio's floor
	MaxVersion uint16            // 0 means the newest
}

// patience is how long silence must last before it means "not refused". A peer
// on a busy machine may take a good part of it to refuse, and only a peer that
// stays silent when it is content (Envoy's tcp_proxy in front of a silent
// application) costs it.
const patience = 500 * time.Millisecond

// Try makes one handshake and finds out what the peer thinks of it, again where
// what the peer said may have been lost on the way.
func Try(ctx context.Context, env *probe.Env, dial Dial, hello Hello) Handshake {
	listen := firstWord
	return relayed(dial, func(dial Dial) Handshake {
		h := try(ctx, env, dial, hello, listen)
		listen *= 2
		return h
	})
}

func try(ctx context.Context, env *probe.Env, dial Dial, hello Hello, listen time.Duration) Handshake {
	h := Handshake{Address: hello.Address, SNI: hello.SNI, Offered: hello.ALPN}
	conn, err := dial(ctx)
	if err != nil {
		h.unreachable(err)
		return h
	}
	cfg := h.Config(env.Now, hello)
	acceptor := hbone.Acceptor{TLS: cfg, Floor: patience}
	if r, ok := conn.(cluster.Relayed); ok && r.Relayed() {
		acceptor.Listen = listen
	}
	got := acceptor.Try(ctx, conn)
	h.Outcome, h.Proof = outcome(got.Verdict), string(got.Proof)
	if got.Verdict == hbone.VerdictRefused {
		h.Alert = hbone.AlertName(got.Alert)
	}
	if got.Err != nil && !h.Outcome.OK() {
		h.Error = got.Err.Error()
		h.Timeout = h.Outcome == Unclear && timedOut(got.Err)
	}
	return h
}

// Silent says that TCP connected, and that no word of TLS came back.
func (h Handshake) Silent() bool { return h.Outcome == Unclear && h.Timeout && len(h.Chain) == 0 }

func timedOut(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

func outcome(v hbone.Verdict) Outcome {
	switch v {
	case hbone.VerdictAccepted:
		return Accepted
	case hbone.VerdictNotRefused:
		return NotRefused
	case hbone.VerdictRefused:
		return Refused
	case hbone.VerdictClosed:
		return Closed
	default:
		return Unclear
	}
}

func (h *Handshake) unreachable(err error) {
	h.Outcome, h.Error = Unreachable, err.Error()
	if far, ok := errors.AsType[*cluster.OutOfReachError](err); ok {
		h.Outcome, h.far = OutOfReach, far
		return
	}
	h.Timeout = timedOut(err)
}

// Config is the TLS configuration of one handshake that accepts any server and
// records in h what it presents and asks for.
func (h *Handshake) Config(now func() time.Time, hello Hello) *tls.Config {
	cert := &tls.Certificate{}
	if hello.Identity != nil {
		cert = hello.Identity.TLS()
		h.Client = FromX509(hello.Identity.Certificates)
	}
	return &tls.Config{
		ServerName:             hello.SNI,
		NextProtos:             hello.ALPN,
		MinVersion:             hello.MinVersion,
		MaxVersion:             hello.MaxVersion,
		InsecureSkipVerify:     true, //nolint:gosec // what the peer presents is recorded and judged
		SessionTicketsDisabled: true,
		Time:                   now,
		VerifyConnection: func(cs tls.ConnectionState) error {
			h.Version, h.Cipher, h.ALPN = tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite), cs.NegotiatedProtocol
			h.Chain = FromX509(cs.PeerCertificates)
			return nil
		},
		GetClientCertificate: func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			h.Asked, h.Authorities = true, authorityNames(info.AcceptableCAs)
			return cert, nil
		},
	}
}

// authorityNames are the CA names that a server gave, as text, sorted. Names
// are not keys: two roots of one name look like one.
func authorityNames(raw [][]byte) []string {
	var names []string
	for _, der := range raw[:min(len(raw), maxCerts)] {
		var rdn pkix.RDNSequence
		if _, err := asn1.Unmarshal(der, &rdn); err != nil {
			names = append(names, "(unreadable name)")
			continue
		}
		var n pkix.Name
		n.FillFromRDNSequence(&rdn)
		names = append(names, n.String())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Said is one line about how a handshake ended, for evidence.
func (h Handshake) Said() string {
	switch h.Outcome {
	case Refused:
		return "refused by " + h.Address + " with the alert " + h.Alert
	case Closed:
		return "closed by " + h.Address + " without an alert"
	case Unreachable:
		if h.Timeout {
			return h.Address + " does not answer (timeout)"
		}
		return h.Address + " cannot be reached: " + h.Error
	case Unclear:
		return h.Error
	default:
		said := string(h.Outcome) + " by " + h.Address
		if h.Version != "" {
			said += ", " + h.Version
		}
		if h.Proof != "" {
			said += ", proved by " + h.Proof
		}
		return said
	}
}

// URIs are the URI SANs of the leaf that the peer presented.
func (h Handshake) URIs() []string {
	leaf := h.Chain.Leaf()
	if leaf == nil {
		return nil
	}
	uris := make([]string, 0, len(leaf.URIs))
	for _, u := range leaf.URIs {
		uris = append(uris, u.String())
	}
	return uris
}

// Spiffe says whether the leaf has any SPIFFE ID at all.
func (h Handshake) Spiffe() bool {
	return slices.ContainsFunc(h.URIs(), func(u string) bool { return strings.HasPrefix(u, "spiffe://") })
}
