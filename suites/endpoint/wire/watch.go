// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// watch is one TLS handshake in progress and what is recorded of it.
type watch struct {
	layer *Layer
	tap   *tap
	keys  *secrets
	cfg   *tls.Config
	begin time.Time
	head  []byte // first bytes of an answer that led to no handshake
}

// watch prepares a layer: a configuration that takes any server, records what
// it shows, and keeps what crosses the wire for the case that crypto/tls gives
// up on it.
func (v *visit) watch(address, sni string) *watch {
	l := &Layer{}
	l.Address, l.SNI, l.Offered = address, sni, v.t.alpn()
	minVersion := v.t.MinVersion
	if v.t.tunnels() && v.t.MaxVersion == 0 {
		minVersion = cmp.Or(minVersion, tls.VersionTLS13) // ztunnel src/tls
	}
	w := &watch{layer: l, tap: &tap{}, keys: &secrets{}, begin: time.Now()}
	w.cfg = l.Config(v.o.now, seen.Hello{
		Address: address, SNI: sni, ALPN: l.Offered, Identity: v.id, MinVersion: minVersion, MaxVersion: v.t.MaxVersion,
	})
	w.cfg.CurvePreferences = v.t.Groups
	w.cfg.KeyLogWriter = w.keys
	w.cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		w.state(cs)
		return nil
	}
	answer := w.cfg.GetClientCertificate
	w.cfg.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		l.Signatures = schemeNames(info.SignatureSchemes)
		return answer(info)
	}
	l.OfferedMin = tls.VersionName(cmp.Or(minVersion, tls.VersionTLS12))
	l.OfferedMax = tls.VersionName(cmp.Or(v.t.MaxVersion, tls.VersionTLS13))
	for _, g := range v.t.Groups {
		l.OfferedGroups = append(l.OfferedGroups, g.String())
	}
	return w
}

// wrap puts the gate and the tap around a stream.
func (w *watch) wrap(ctx context.Context, v *visit) func(net.Conn) net.Conn {
	return func(conn net.Conn) net.Conn {
		w.tap.Conn = conn
		return v.o.Gate.through(ctx, v.clock, w.tap)
	}
}

// state records what crypto/tls knows of the connection.
func (w *watch) state(cs tls.ConnectionState) {
	l := w.layer
	l.Version, l.Cipher, l.ALPN = tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite), clip(cs.NegotiatedProtocol)
	l.Retried, l.SCTs, l.OCSP = cs.HelloRetryRequest, len(cs.SignedCertificateTimestamps), readOCSP(cs.OCSPResponse)
	w.group(cs.CurveID)
	l.chain(cs.PeerCertificates)
}

func (w *watch) group(id tls.CurveID) {
	if id == 0 {
		return
	}
	w.layer.Group = id.String()
	w.layer.PostQuantum = id == tls.X25519MLKEM768 || id == tls.SecP256r1MLKEM768 || id == tls.SecP384r1MLKEM1024
}

// finish records a handshake that came to its end on our side.
func (w *watch) finish(cs tls.ConnectionState) {
	w.group(cs.CurveID) // TLS 1.2 settles it behind VerifyConnection
	w.tap.forget()
}

// times records how long it took and how much came.
func (w *watch) times() {
	w.tap.mu.Lock()
	defer w.tap.mu.Unlock()
	w.layer.RTTMS, w.layer.TookMS, w.layer.Received = ms(w.tap.rtt), ms(time.Since(w.begin)), w.tap.received
}

// unfinished records what the wire tells of a handshake that failed on our
// side, and names the outcome where err leaves it open.
func (w *watch) unfinished(ctx context.Context, err error) {
	l := w.layer
	l.Early = true
	in, out, end := w.tap.kept()
	r := readServer(in, w.keys)
	w.fill(r)
	l.OwnAlert = ownAlert(out, r.cipher, w.keys)
	w.head = bytes.Clone(in[:min(len(in), maxPlain)])
	switch {
	case len(in) > 0 && !isTLS(in):
		l.Outcome, l.Alert, l.OwnAlert = NotTLS, "", ""
	case l.Outcome == seen.Refused:
		l.AlertBy = Peer
	case l.Outcome == seen.Closed:
		l.End = end
	case l.OwnAlert != "":
		l.Outcome, l.AlertBy = Rejected, Us
	case end == EndFIN, end == EndRST:
		l.Outcome, l.End = seen.Closed, end
	case ctx.Err() != nil:
		l.Outcome = Stalled
	case local(err):
		l.Outcome = Rejected
	default:
		l.Outcome = seen.Unclear
	}
	l.Error = clip(cmp.Or(l.Error, errorText(err)))
	w.tap.forget()
}

// local says that an error is that of our own TLS, not that of a connection.
func local(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op == "local error"
	}
	_, reset := errors.AsType[*hbone.ResetError](err)
	_, away := errors.AsType[*hbone.GoAwayError](err)
	return err != nil && !reset && !away && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) &&
		!errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, os.ErrDeadlineExceeded)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// fill takes from the wire what crypto/tls had not told before it gave up.
func (w *watch) fill(r reading) {
	l := w.layer
	l.Messages = r.messages
	if l.Version == "" && r.version != 0 {
		l.Version, l.Cipher = tls.VersionName(r.version), tls.CipherSuiteName(r.cipher)
	}
	l.ALPN = cmp.Or(l.ALPN, clip(r.alpn))
	l.Retried = l.Retried || r.retried
	l.Asked = l.Asked || r.asked
	l.SCTs = max(l.SCTs, r.scts)
	if l.Group == "" {
		w.group(r.group)
	}
	if l.OCSP == nil {
		l.OCSP = readOCSP(r.ocsp)
	}
	if len(l.Signatures) == 0 {
		l.Signatures = schemeNames(r.signatures)
	}
	if len(l.Authorities) == 0 {
		l.Authorities = distinguished(r.authorities)
	}
	if len(l.Chain) == 0 {
		l.raw(r.certs, r.cut)
	}
}

// answer says what protocol came back.
func (w *watch) answer() Answer {
	_, _, end := w.tap.kept()
	switch {
	case w.tap.count() > 0 && w.layer.Version == "" && len(w.head) > 0:
		return classify(w.head, PromptHello)
	case w.tap.count() > 0:
		return Answer{Protocol: ProtocolTLS, To: PromptHello}
	case end == EndFIN, end == EndRST:
		return Answer{Protocol: ProtocolClosed, To: PromptHello, End: end}
	default:
		return Answer{Protocol: ProtocolSilence, To: PromptHello}
	}
}

func schemeNames(schemes []tls.SignatureScheme) []string {
	var out []string
	for _, s := range schemes[:min(len(schemes), maxNames)] {
		out = append(out, s.String())
	}
	return out
}

// chain records certificates that crypto/x509 parsed.
func (l *Layer) chain(certs []*x509.Certificate) {
	l.Chain, l.Certificates = nil, nil
	for _, cert := range certs {
		if !l.keep(cert.Raw, describe(cert)) {
			return
		}
	}
}

// raw records a chain as it was sent.
func (l *Layer) raw(certs [][]byte, cut bool) {
	l.Chain, l.Certificates, l.ChainCut = nil, nil, cut
	for _, der := range certs {
		if !l.keep(der, readCertificate(der)) {
			return
		}
	}
}

// keep adds a certificate to the chain, if there is room.
func (l *Layer) keep(der []byte, c Certificate) bool {
	size := len(der)
	for _, c := range l.Certificates {
		size += c.Bytes
	}
	if len(l.Chain) >= maxCertificates || size > maxChain {
		l.ChainCut = true
		return false
	}
	l.Chain, l.Certificates = append(l.Chain, der), append(l.Certificates, c)
	l.Unparsable = cmp.Or(l.Unparsable, c.Error)
	return true
}

// ended maps the verdict of an acceptance.
func ended(v hbone.Verdict) seen.Outcome {
	switch v {
	case hbone.VerdictAccepted:
		return seen.Accepted
	case hbone.VerdictNotRefused:
		return seen.NotRefused
	case hbone.VerdictRefused:
		return seen.Refused
	case hbone.VerdictClosed:
		return seen.Closed
	default:
		return seen.Unclear
	}
}
