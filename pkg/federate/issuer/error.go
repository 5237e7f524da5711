// SPDX-License-Identifier: Apache-2.0

package issuer

import "fmt"

// Problem says what is wrong with a root. Its text is a stable slug.
type Problem string

// What can be wrong with a root.
const (
	RootWithoutKey    Problem = "root-without-key"
	KeyWithoutRoot    Problem = "key-without-root"
	RootUnreadable    Problem = "root-unreadable"
	RootExpired       Problem = "root-expired"
	RootNotYetValid   Problem = "root-not-yet-valid"
	RootKeyMismatch   Problem = "root-key-mismatch"
	RootNotCA         Problem = "root-not-a-ca"
	RootNotSelfSigned Problem = "root-not-self-signed"
	RootPathLen       Problem = "root-path-length"
	StoreUnsafe       Problem = "root-store-unsafe"
	StoreFailed       Problem = "root-store-failed"
)

// RootError says why a root cannot be used. It never holds key material.
type RootError struct {
	Problem Problem
	Source  string // where the root is kept
	Msg     string // what is wrong
	Hint    string // what to do instead
	Err     error  // the cause, where there is one
}

// Error is "issuer: SOURCE: what is wrong".
func (e *RootError) Error() string {
	s := "issuer: " + e.Source + ": " + e.Msg
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *RootError) Unwrap() error { return e.Err }

// OptionError is an option that makes no sense.
type OptionError struct {
	Option string // as the flag is called: key-type, key-size, ttl
	Msg    string
	Hint   string
}

// Error is "issuer: OPTION: what is wrong".
func (e *OptionError) Error() string { return "issuer: " + e.Option + ": " + e.Msg }

// RequestError says why a CSR was not signed.
type RequestError struct {
	Cluster string
	Msg     string
	Err     error
}

// Error is "issuer: csr of CLUSTER: what is wrong".
func (e *RequestError) Error() string {
	s := fmt.Sprintf("issuer: csr of %s: %s", e.Cluster, e.Msg)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *RequestError) Unwrap() error { return e.Err }
