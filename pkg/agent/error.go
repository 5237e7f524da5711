// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
)

// Reason says what became of a dial that the agent made.
type Reason string

// The reasons, as they travel in the header [ReasonHeader].
const (
	Refused     Reason = "refused"      // RST in answer to SYN
	Reset       Reason = "reset"        // RST later
	TimedOut    Reason = "timeout"      // nothing came back
	Unreachable Reason = "unreachable"  // no route, or an ICMP message that says so
	NoSuchHost  Reason = "no-such-host" // the pod's resolver knows no such name
	Busy        Reason = "busy"         // the agent has as many streams as it takes
	Other       Reason = "other"

	// What the agent did not even try.
	Unauthorized Reason = "unauthorized" // it serves another caller
	NotNamed     Reason = "not-named"    // it was not told of the host
)

// ReasonHeader is the header of a refused CONNECT that names the [Reason].
const ReasonHeader = "Meshprobe-Reason"

// DialError says that the agent could not reach a target. It implements
// [net.Error] and matches the syscall error of its reason with [errors.Is], so
// that it reads as if the dial had been made here.
type DialError struct {
	Target string // host:port, as it was asked for
	Reason Reason
	Detail string // the agent's words, bounded and printable
}

var _ net.Error = (*DialError)(nil)

// Error names the target and what was met.
func (e *DialError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("agent: dial %s: %s", e.Target, e.Reason)
	}
	return fmt.Sprintf("agent: dial %s: %s", e.Target, e.Detail)
}

// Timeout reports whether nothing came back.
func (e *DialError) Timeout() bool { return e.Reason == TimedOut }

// Temporary is part of [net.Error] and always false.
//
// Deprecated: as in [net.Error].
func (e *DialError) Temporary() bool { return false }

// Is matches the errors that a dial without an agent would have wrapped.
func (e *DialError) Is(target error) bool {
	switch e.Reason {
	case Refused:
		return target == syscall.ECONNREFUSED
	case Reset:
		return target == syscall.ECONNRESET
	case TimedOut:
		return target == os.ErrDeadlineExceeded
	case Unreachable:
		return target == syscall.EHOSTUNREACH
	case NoSuchHost, Busy, Other, Unauthorized, NotNamed:
	}
	return false
}

// reasonOf sorts the error of a dial.
func reasonOf(err error) Reason {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return NoSuchHost
	}
	ne, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET):
		return Reset
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Unreachable
	case errors.Is(err, context.DeadlineExceeded), ok && ne.Timeout():
		return TimedOut
	}
	return Other
}

// status is what RFC 9110 §15.6 has for a reason.
func (r Reason) status() int {
	switch r {
	case TimedOut:
		return http.StatusGatewayTimeout
	case Busy:
		return http.StatusServiceUnavailable
	case Unauthorized:
		return http.StatusProxyAuthRequired
	case NotNamed:
		return http.StatusForbidden
	default:
		return http.StatusBadGateway
	}
}

// Tried says whether the agent dialed at all: where it did not, nothing is known
// of the target.
func (e *DialError) Tried() bool {
	switch e.Reason {
	case Busy, Unauthorized, NotNamed, Other:
		return false
	case Refused, Reset, TimedOut, Unreachable, NoSuchHost:
	}
	return true
}

// known is r, or Other for what a client does not know.
func (r Reason) known() Reason {
	switch r {
	case Refused, Reset, TimedOut, Unreachable, NoSuchHost, Busy, Unauthorized, NotNamed:
		return r
	default:
		return Other
	}
}
