// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// ErrAuthority is wrapped by every error of [ParseAuthority].
var ErrAuthority = errors.New("malformed CONNECT authority")

// maxHost is the longest DNS name (RFC 1035 §2.3.4).
const maxHost = 253

// Authority is the target of a CONNECT, host and port (RFC 9113 §8.5, RFC 3986
// §3.2). It is comparable. Host is an IP address in its canonical text form
// without brackets, or a DNS name in lower case without a final dot.
type Authority struct {
	Host string
	Port uint16
}

// ParseAuthority reads "IP:port", "[IPv6]:port" or "host:port". Both parts are
// required, port 0 is refused, and so are user information, zones, paths and
// anything that is neither an address nor a DNS name. ParseAuthority of
// [Authority.String] gives the same value back.
func ParseAuthority(s string) (Authority, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Authority{}, fmt.Errorf("hbone: %w %q", ErrAuthority, clip(s))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '+' {
		return Authority{}, fmt.Errorf("hbone: %w %q: no valid port", ErrAuthority, clip(s))
	}
	host, ok := canonicalHost(host, strings.HasPrefix(s, "["))
	if !ok {
		return Authority{}, fmt.Errorf("hbone: %w %q: no valid host", ErrAuthority, clip(s))
	}
	return Authority{Host: host, Port: uint16(n)}, nil
}

// String returns the form that travels as :authority, IPv6 in brackets.
func (a Authority) String() string {
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

// Addr returns the host as an address; ok is false for a DNS name.
func (a Authority) Addr() (addr netip.Addr, ok bool) {
	addr, err := netip.ParseAddr(a.Host)
	return addr, err == nil
}

// AddrPort returns the authority as address and port; ok is false for a DNS name.
func (a Authority) AddrPort() (ap netip.AddrPort, ok bool) {
	addr, ok := a.Addr()
	return netip.AddrPortFrom(addr, a.Port), ok
}

func canonicalHost(host string, bracketed bool) (string, bool) {
	if addr, err := netip.ParseAddr(host); err == nil {
		// Brackets belong to IPv6 alone, and a zone means nothing on another machine.
		if addr.Zone() != "" || addr.Is4() == bracketed {
			return "", false
		}
		return addr.String(), true
	}
	if bracketed || !validName(host) {
		return "", false
	}
	return strings.ToLower(strings.TrimSuffix(host, ".")), true
}

// validName accepts underscores too: Kubernetes forbids them in service names,
// Istio's subset names do not.
func validName(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range []byte(label) {
			alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
			if !alnum && r != '-' && r != '_' {
				return false
			}
		}
	}
	return true
}

// clip bounds what a peer can put into an error message.
func clip(s string) string {
	const limit = 128
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
