// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

func alertError(code int) tls.AlertError { return tls.AlertError(code) } //nolint:gosec // of 0 to 255

// said is how a layer ended, in one sentence: the alert and who sent it, or
// that there was none.
func said(l *wire.Layer) string {
	switch l.Outcome {
	case seen.Refused:
		return "the peer sent the alert " + l.Alert + when(l)
	case wire.Rejected:
		return join(" ", "meshprobe ended", what(l), told(l.OwnAlert)) + ": " + l.Error
	case seen.Closed:
		return "closed by the peer without an alert (" + ended(l.End) + ")" + when(l)
	case wire.Stalled:
		return fmt.Sprintf("the handshake stalled after %s%s", plural(l.Received, "byte"), messages(l))
	case seen.Accepted:
		return "accepted, proved by " + l.Proof
	case seen.NotRefused:
		return "not refused: silence for longer than a refusal takes"
	case wire.NotTLS:
		return "what answered is not TLS"
	default:
		return l.Error
	}
}

func what(l *wire.Layer) string {
	if l.Early {
		return "the handshake"
	}
	return "the connection after the handshake"
}

func told(alert string) string {
	if alert == "" {
		return ""
	}
	return "with the alert " + alert
}

// when says on which side of our own part of the handshake something came.
func when(l *wire.Layer) string {
	if l.Early {
		return ", during the handshake"
	}
	return ", after the handshake"
}

func messages(l *wire.Layer) string {
	if len(l.Messages) == 0 {
		return ""
	}
	return " (" + strings.Join(l.Messages, ", ") + ")"
}

func ended(e wire.End) string {
	switch e {
	case wire.EndFIN:
		return "TCP FIN"
	case wire.EndRST:
		return "TCP RST"
	case wire.EndNotify:
		return "close_notify"
	case wire.EndTimeout:
		return "meshprobe gave up waiting"
	default:
		return "end not seen"
	}
}

// saidTCP is what came of a connect.
func saidTCP(t wire.TCP) string {
	switch t.Outcome {
	case wire.TCPConnected:
		return "connected to " + t.Remote
	case wire.TCPRefused:
		return "connection refused: nothing listens there"
	case wire.TCPReset:
		return "connected, then reset before a byte was sent"
	case wire.TCPTimeout:
		return "no answer in time: a dead address, or a filter that drops"
	case wire.TCPUnreachable:
		return "no way there: " + t.Error
	case wire.TCPUnresolvable:
		return "the name has no address: " + t.Error
	default:
		return t.Error
	}
}

// saidAnswer is what an endpoint speaks, in one sentence.
func saidAnswer(a wire.Answer) string {
	said := ""
	switch a.Protocol {
	case wire.ProtocolTLS:
		return "TLS"
	case wire.ProtocolHTTP:
		said = "plaintext HTTP/1"
	case wire.ProtocolHTTP2:
		said = "plaintext HTTP/2"
	case wire.ProtocolSSH:
		said = "SSH"
	case wire.ProtocolProxy:
		said = "a PROXY protocol header"
	case wire.ProtocolBanner:
		said = "the greeting of a mail or file server"
	case wire.ProtocolSilence:
		return "silence: connected, and not a byte came"
	case wire.ProtocolClosed:
		return "closed without a byte (" + ended(a.End) + ")"
	default:
		said = "bytes of something else"
	}
	if a.Line != "" {
		said += ": " + a.Line
	}
	if a.Server != "" {
		said += " (Server: " + a.Server + ")"
	}
	return said
}

// parameters is what a handshake agreed on, in one line.
func parameters(l *wire.Layer) string {
	parts := []string{l.Version, l.Cipher, l.Group}
	if l.Group != "" && !l.PostQuantum {
		parts[2] += " (not post-quantum)"
	}
	switch {
	case l.ALPN != "":
		parts = append(parts, "ALPN "+l.ALPN)
	case len(l.Offered) > 0 && l.Version != "":
		parts = append(parts, "no ALPN chosen of "+strings.Join(l.Offered, ","))
	}
	if l.Retried {
		parts = append(parts, "HelloRetryRequest")
	}
	if l.OCSP != nil {
		parts = append(parts, "OCSP "+l.OCSP.Status)
	}
	return join(" · ", parts...)
}

// join joins what is not empty.
func join(by string, parts ...string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, by)
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
