// SPDX-License-Identifier: Apache-2.0

// Package issuer is where the bytes of a mesh's certificate authorities come
// from: a shared root, made here or given, and one intermediate per cluster,
// signed from a CSR.
//
// The package never sees a cluster's CA key: it takes a CSR, checks it against
// the [Profile] and decides by itself what the certificate says. What the CSR
// asks beyond its key and its name is ignored.
package issuer

import (
	"context"
	"crypto/x509"
)

// Issuer signs the intermediate CAs of a mesh under one root.
//
// Implementations are safe for concurrent use. Errors about the root are
// [*RootError], errors about a CSR are [*RequestError].
type Issuer interface {
	// Current is the root in force, or nil where there is none yet. It changes
	// nothing.
	Current(ctx context.Context) (*x509.Certificate, error)

	// Root is the root in force. Where there is none yet it makes one and
	// keeps it before it returns, so that whoever is interrupted later goes on
	// with the same root.
	Root(ctx context.Context) (*x509.Certificate, error)

	// Sign issues the intermediate of a cluster for csr, which is DER or one
	// PEM block. The chain starts with the intermediate and leaves out the
	// root.
	Sign(ctx context.Context, csr []byte, cluster string) ([]*x509.Certificate, error)

	// Profile says which keys and names the CSRs must have.
	Profile() Profile

	// String says where the root comes from, for people: "builtin root (RSA
	// 4096) in directory /x".
	String() string
}
