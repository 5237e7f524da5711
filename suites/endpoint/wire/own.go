// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ours records that our own TLS ended a connection after the handshake, because
// of what the server sent then, if that is what err says.
func (l *Layer) ours(err error) bool {
	if l.Outcome.OK() || l.Outcome == seen.Refused || !ownTLS(err) {
		return false
	}
	l.Outcome, l.AlertBy, l.OwnAlert = Rejected, Us, alertSent(err)
	return true
}

// ownTLS says that an error is what crypto/tls had to object to in what it was
// sent. It has no type for most of that.
func ownTLS(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op == "local error"
	}
	switch err := err.(type) { //nolint:errorlint // a walk down to the leaves
	case nil:
		return false
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), ownTLS)
	case interface{ Unwrap() error }:
		return ownTLS(err.Unwrap())
	default:
		return strings.HasPrefix(err.Error(), "tls: ")
	}
}

// broke records what the peer did against HTTP/2, if that is what err says.
func (l *Layer) broke(err error) {
	pe, protocol := errors.AsType[*hbone.ProtocolError](err)
	re, reset := errors.AsType[*hbone.ResetError](err)
	switch {
	case protocol:
		l.Broke = seen.ResetName(pe.Code)
	case reset && !re.Remote:
		l.Broke = seen.ResetName(re.Code)
	case errors.Is(err, hbone.ErrHeaderList):
		l.Broke = seen.ResetName(http2.ErrCodeEnhanceYourCalm)
	}
}

// alertSent is the alert that crypto/tls says it sent, empty where it does not
// say. As with [hbone.RemoteAlert], the text is all that it gives.
func alertSent(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Err == nil {
		return ""
	}
	for code := range 256 {
		if a := tls.AlertError(code); a.Error() == op.Err.Error() {
			return hbone.AlertName(a)
		}
	}
	return ""
}
