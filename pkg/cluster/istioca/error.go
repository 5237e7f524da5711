// SPDX-License-Identifier: Apache-2.0

package istioca

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Phase says how far a call came.
type Phase string

// The phases of a call, in order.
const (
	PhaseRequest   Phase = "request"   // the key or the CSR could not be made
	PhaseToken     Phase = "token"     // no service account token
	PhaseDial      Phase = "dial"      // istiod is not reachable
	PhaseHandshake Phase = "handshake" // istiod's certificate is not trusted, or TLS failed
	PhaseCall      Phase = "call"      // istiod answered with a gRPC status
	PhaseResponse  Phase = "response"  // the answer is not a certificate chain
)

// Error is why a CA gave no identity. Code is istiod's gRPC status in
// PhaseCall, codes.OK before and after it: Unauthenticated means that the token was
// refused, InvalidArgument that the CSR or the lifetime was.
type Error struct {
	Phase Phase
	Code  codes.Code
	Err   error
}

// Error names phase, code and cause.
func (e *Error) Error() string {
	if e.Phase == PhaseCall {
		return fmt.Sprintf("istioca: %s: %s: %v", e.Phase, e.Code, e.Err)
	}
	return fmt.Sprintf("istioca: %s: %v", e.Phase, e.Err)
}

// Unwrap is the cause: the network's, crypto/tls's or crypto/x509's error.
func (e *Error) Unwrap() error { return e.Err }

func callError(err error) *Error {
	s := status.Convert(err)
	return &Error{Phase: PhaseCall, Code: s.Code(), Err: callMessage(s.Message())}
}

// callMessage is what istiod said: its text is the whole of the error.
type callMessage string

func (m callMessage) Error() string { return string(m) }
