// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// Token proves to an agent that its caller is the one that started it. It is a
// secret: only its Hash may be written down. The empty Token is no proof.
type Token string

// NewToken makes a token that nobody can guess.
func NewToken() Token { return Token(rand.Text()) }

// Hash is the SHA-256 of the token in hex, from which nobody finds the token.
func (t Token) Hash() string {
	sum := sha256.Sum256([]byte(t))
	return hex.EncodeToString(sum[:])
}

// String hides the token from logs.
func (Token) String() string { return "(token)" }

const bearer = "Bearer "

// authorized says whether a request shows the token that the hash is of
// (RFC 9110 §11.7.2, RFC 6750 §2.1).
func authorized(r *http.Request, hash string) bool {
	shown, ok := strings.CutPrefix(r.Header.Get("Proxy-Authorization"), bearer)
	return hash == "" || ok && subtle.ConstantTimeCompare([]byte(Token(shown).Hash()), []byte(strings.ToLower(hash))) == 1
}

// errSpecial says that a name led to an address that is nobody's peer.
var errSpecial = errors.New("a loopback, link-local or multicast address, which no check names")

// named says whether a target's host is among those that the agent was told of.
func named(target string, hosts []string) bool {
	host, _, err := net.SplitHostPort(target)
	return err == nil && slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// onlyOrdinary keeps a name that was allowed from leading to the agent itself or
// to what a cloud serves at a link-local address (net.Dialer.Control).
func onlyOrdinary(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := at.Addr().Unmap(); ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return errSpecial
	}
	return nil
}
