// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// TLS record types (RFC 8446 §5.1).
const (
	recordCCS       = 20
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23

	recordHeader = 5
	maxRecord    = 16<<10 + 2048 // TLS 1.2's ciphertext, the larger one
)

// classify says what protocol the first bytes of a peer belong to. It is total
// and never quotes more than a bounded, escaped part of them.
func classify(b []byte, to Prompt) Answer {
	a := Answer{To: to}
	lower := strings.ToLower(string(b[:min(len(b), 16)]))
	switch {
	case len(b) == 0:
		a.Protocol, a.To = ProtocolSilence, ""
		return a
	case isTLS(b):
		a.Protocol = ProtocolTLS
		if b[0] == recordAlert && len(b) >= recordHeader+2 && binary.BigEndian.Uint16(b[3:]) == 2 {
			a.Alert = hbone.AlertName(tls.AlertError(b[recordHeader+1]))
		}
		return a
	case strings.HasPrefix(lower, "http/"), strings.HasPrefix(lower, "<html"), strings.HasPrefix(lower, "<!doctype html"):
		a.Protocol, a.Server = ProtocolHTTP, serverHeader(b)
	case isHTTP2(b):
		a.Protocol = ProtocolHTTP2
	case strings.HasPrefix(lower, "ssh-"):
		a.Protocol = ProtocolSSH
	case bytes.HasPrefix(b, []byte("PROXY ")), bytes.HasPrefix(b, []byte("\r\n\r\n\x00\r\nQUIT\n")):
		a.Protocol = ProtocolProxy
	case isBanner(b):
		a.Protocol = ProtocolBanner
	default:
		a.Protocol = ProtocolOther
	}
	a.Line = firstLine(b)
	return a
}

// isTLS recognises the start of a TLS record.
func isTLS(b []byte) bool {
	if b[0] < recordCCS || b[0] > recordData || len(b) > 1 && b[1] != 3 {
		return false
	}
	return len(b) < recordHeader || binary.BigEndian.Uint16(b[3:]) <= maxRecord && b[2] <= 4
}

// isHTTP2 recognises SETTINGS and GOAWAY on stream 0, the only frames a server
// can begin with (RFC 9113 §3.4).
func isHTTP2(b []byte) bool {
	const frameHeader, settings, goAway = 9, 4, 7
	if len(b) < frameHeader || binary.BigEndian.Uint32(b[5:]) != 0 {
		return false
	}
	n := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	return b[3] == settings && n%6 == 0 && n < 1<<10 || b[3] == goAway && n >= 8 && n < 16<<10
}

// isBanner recognises the greetings of SMTP and FTP (a code of three digits),
// POP3 and IMAP.
func isBanner(b []byte) bool {
	if bytes.HasPrefix(b, []byte("+OK")) || bytes.HasPrefix(b, []byte("* OK")) || bytes.HasPrefix(b, []byte("-ERR")) {
		return true
	}
	if len(b) < 4 || b[3] != ' ' && b[3] != '-' {
		return false
	}
	code, err := strconv.Atoi(string(b[:3]))
	return err == nil && code >= 100 && code < 600
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	if len(bytes.TrimSpace(line)) == 0 {
		line = b // a line of nothing: what is behind it tells more
	}
	return escape(bytes.TrimRight(line, "\r"))
}

// serverHeader is the Server header of an HTTP answer, as far as that came.
func serverHeader(b []byte) string {
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && textproto.CanonicalMIMEHeaderKey(string(name)) == "Server" {
			return escape(bytes.TrimSpace(value))
		}
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
	}
	return ""
}

// escape makes bytes of a peer fit for a report: bounded, and without anything
// that a terminal obeys. A bound that was reached shows as "…".
func escape(b []byte) string {
	cut := len(b) > maxText
	quoted := strconv.QuoteToASCII(string(b[:min(len(b), maxText)]))
	out := strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	if cut {
		out += "…"
	}
	return out
}

// clip is escape for text that may hold a peer's words, errors above all.
func clip(s string) string { return escape([]byte(s)) }
