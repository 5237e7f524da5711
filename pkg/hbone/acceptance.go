// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Verdict is what a TLS server's behaviour after the handshake says about the
// client certificate that it was shown.
type Verdict uint8

// The verdicts. VerdictClosed is never a statement about the certificate.
const (
	// VerdictUnknown: nothing was learned (ctx ended, no TLS spoken); see Err.
	VerdictUnknown Verdict = iota
	// VerdictAccepted: data, a session ticket or close_notify came back.
	VerdictAccepted
	// VerdictNotRefused: silence for several round trips, in which a refusal would
	// have come (Envoy tcp_proxy in front of a silent upstream).
	VerdictNotRefused
	// VerdictRefused: an alert came; Alert names it.
	VerdictRefused
	// VerdictClosed: FIN or RST without any record: a dead upstream, an L4
	// policy, something in the middle.
	VerdictClosed
	// VerdictUnverified: our own side refused the server; Err says why.
	VerdictUnverified
)

// String returns the verdict in lower case.
func (v Verdict) String() string {
	switch v {
	case VerdictAccepted:
		return "accepted"
	case VerdictNotRefused:
		return "not refused"
	case VerdictRefused:
		return "refused"
	case VerdictClosed:
		return "closed"
	case VerdictUnverified:
		return "unverified"
	case VerdictUnknown:
	}
	return "unknown"
}

// Proof is what a VerdictAccepted rests on.
type Proof string

// The proofs.
const (
	ProofNone        Proof = ""
	ProofHandshake   Proof = "handshake" // TLS 1.2: the server judges within it
	ProofTicket      Proof = "session ticket"
	ProofData        Proof = "application data"
	ProofCloseNotify Proof = "close_notify"
)

// Acceptance is the outcome of one handshake with one client certificate.
type Acceptance struct {
	Verdict     Verdict
	Proof       Proof
	Alert       tls.AlertError      // with VerdictRefused
	InHandshake bool                // refused, closed or failed before the handshake was over here
	State       tls.ConnectionState // zero when the handshake failed
	Request     *CertificateRequest // whether the server asked; an acceptance without is worth nothing
	Data        []byte              // the first bytes that the server sent, at most 4 KiB
	RTT         time.Duration       // round trip as measured in the handshake
	Err         error               // what was read; io.EOF and nil included
}

// Acceptor finds out whether a TLS server accepts a client certificate, without
// waiting: a client's TLS 1.3 handshake returns before the server has judged
// it. It sends close_notify right behind the handshake and reads. Go, OpenSSL
// and Envoy with an HTTP filter answer with close_notify, a refusal is an alert.
// An Acceptor is a value without state; for HBONE, SETTINGS are the proof and
// [Dialer.Connect] is the tool.
type Acceptor struct {
	// TLS is the handshake's configuration, used as it is but for resumption,
	// which is disabled, and a client certificate, which is always sent.
	TLS *tls.Config
	// Send, if set, is written before close_notify: Envoy's network RBAC judges
	// on the first byte. What comes of it is then read under TLS 1.2, too.
	Send []byte
	// Floor is the shortest wait before silence means "not refused"; the wait is
	// four round trips if that is longer. 0 means 50 ms.
	Floor time.Duration
	// Listen, if set, is how long a refusal is waited for before close_notify is
	// sent. A server that closes with it unread resets the connection, and what
	// lies between, such as a port-forward, may then forget the alert.
	Listen time.Duration
	// Timeout bounds the handshake where ctx has no deadline; 0 means 15 s.
	Timeout time.Duration
}

const maxAcceptanceData = 4 << 10

// Try handshakes over conn, which must be fresh and which it closes.
func (a Acceptor) Try(ctx context.Context, conn net.Conn) Acceptance {
	ctx, cancel := withTimeout(ctx, orDefault(a.Timeout, defaultTimeout))
	defer cancel()
	raw := &meter{Conn: conn}
	defer func() { _ = raw.Close() }()
	cfg, rec := Recording(a.TLS)
	tickets := &ticketWatch{conn: raw, patient: len(a.Send) > 0}
	cfg.ClientSessionCache, cfg.SessionTicketsDisabled = tickets, false
	refused := watchVerify(cfg)
	tc := tls.Client(raw, cfg)
	out := Acceptance{Request: rec}
	if err := tc.HandshakeContext(ctx); err != nil {
		out.InHandshake, out.Err = true, handshakeError(ctx, err)
		out.Verdict, out.Alert = failedHandshake(ctx, err, *refused)
		return out
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	out.State, out.RTT = tc.ConnectionState(), raw.rtt
	old := out.State.Version < tls.VersionTLS13
	if old && len(a.Send) == 0 {
		out.Verdict, out.Proof = VerdictAccepted, ProofHandshake
		return out
	}
	before := raw.received.Load()
	if a.Listen > 0 && !old && len(a.Send) == 0 && a.listen(ctx, tc, raw, tickets, &out, before) {
		return out
	}
	// A refusal may already have closed the connection under these writes; the
	// read tells.
	if len(a.Send) > 0 {
		_, _ = tc.Write(a.Send)
	}
	_ = tc.CloseWrite()
	_ = raw.SetReadDeadline(time.Now().Add(max(orDefault(a.Floor, 50*time.Millisecond), 4*raw.rtt)))
	if tickets.seen.Load() && len(a.Send) == 0 {
		out.Verdict, out.Proof = VerdictAccepted, ProofTicket
		return out
	}
	buf := make([]byte, maxAcceptanceData)
	n, err := tc.Read(buf)
	out.Data, out.Err = buf[:n:n], err
	out.judge(ctx, tickets.seen.Load(), raw.received.Load() > before)
	if old && out.Verdict == VerdictNotRefused {
		out.Verdict, out.Proof = VerdictAccepted, ProofHandshake
	}
	return out
}

// listen waits for the server's first word, and says whether there was one.
func (a Acceptor) listen(ctx context.Context, tc *tls.Conn, raw *meter, tickets *ticketWatch, out *Acceptance, before int64) bool {
	_ = raw.SetReadDeadline(time.Now().Add(a.Listen))
	buf := make([]byte, maxAcceptanceData)
	n, err := tc.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) && !tickets.seen.Load() && ctx.Err() == nil {
		return false
	}
	out.Data, out.Err = buf[:n:n], err
	out.judge(ctx, tickets.seen.Load(), raw.received.Load() > before)
	return true
}

// judge classifies the read after the handshake. crypto/tls says io.EOF both
// for close_notify and for a bare FIN, so received, whether any byte came, tells
// them apart.
func (o *Acceptance) judge(ctx context.Context, ticket, received bool) {
	alert, isAlert := RemoteAlert(o.Err)
	switch {
	case len(o.Data) > 0:
		o.Verdict, o.Proof = VerdictAccepted, ProofData
	case isAlert:
		o.Verdict, o.Alert = VerdictRefused, alert
	case ticket:
		o.Verdict, o.Proof = VerdictAccepted, ProofTicket
	case errors.Is(o.Err, io.EOF) && received:
		o.Verdict, o.Proof = VerdictAccepted, ProofCloseNotify
	case ctx.Err() != nil:
		o.Err = handshakeError(ctx, o.Err)
	case connectionEnded(o.Err):
		o.Verdict = VerdictClosed
	case errors.Is(o.Err, os.ErrDeadlineExceeded):
		o.Verdict = VerdictNotRefused
	}
}

func failedHandshake(ctx context.Context, err error, refusedHere bool) (Verdict, tls.AlertError) {
	if alert, ok := RemoteAlert(err); ok {
		return VerdictRefused, alert
	}
	switch {
	case refusedHere:
		return VerdictUnverified, 0
	case ctx.Err() != nil:
		return VerdictUnknown, 0
	case connectionEnded(err):
		return VerdictClosed, 0
	}
	return VerdictUnknown, 0
}

func connectionEnded(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// watchVerify tells whether our own verification was what ended the handshake.
func watchVerify(cfg *tls.Config) *bool {
	refused := new(bool)
	if verify := cfg.VerifyConnection; verify != nil {
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			err := verify(cs)
			*refused = err != nil
			return err
		}
	}
	return refused
}

// meter counts what arrives and times the first answer.
type meter struct {
	net.Conn
	received atomic.Int64
	sent     time.Time
	rtt      time.Duration
}

func (m *meter) Write(p []byte) (int, error) {
	if m.sent.IsZero() {
		m.sent = time.Now()
	}
	return m.Conn.Write(p)
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if m.received.Add(int64(n)) > 0 && m.rtt == 0 {
		m.rtt = time.Since(m.sent)
	}
	return n, err
}

// ticketWatch is a session cache that never offers a session: a ticket that the
// server sends is proof that it is content, nothing more.
type ticketWatch struct {
	conn    net.Conn
	patient bool // more than the ticket is waited for
	seen    atomic.Bool
}

func (w *ticketWatch) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

// Put is called inside Read; the deadline ends a wait that has become pointless.
func (w *ticketWatch) Put(string, *tls.ClientSessionState) {
	w.seen.Store(true)
	if !w.patient {
		_ = w.conn.SetReadDeadline(time.Now())
	}
}
