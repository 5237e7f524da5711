// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"errors"
	"sync"
)

// ErrRootExists says that a store holds a root already.
var ErrRootExists = errors.New("issuer: the store holds a root already")

// The names under which stores keep a root: files of a directory, keys of a
// Secret.
const (
	RootCertName = "root-cert.pem"
	RootKeyName  = "root-key.pem"
)

// Store keeps one root. A root is never replaced.
type Store interface {
	// Load reads the root, nil where there is none. A root whose saving was
	// interrupted may come back as a key without certificate.
	Load(ctx context.Context) (*Root, error)

	// Save keeps a root durably before it returns. It fails with
	// [ErrRootExists], and changes nothing, where there is one.
	Save(ctx context.Context, r *Root) error

	// String says where, for people.
	String() string
}

// Memory is a store that lives as long as the process.
type Memory struct {
	mu   sync.Mutex
	root *Root
}

var _ Store = (*Memory)(nil)

// Load returns the root that was saved.
func (m *Memory) Load(context.Context) (*Root, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.root, nil
}

// Save keeps the root.
func (m *Memory) Save(_ context.Context, r *Root) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.root != nil {
		return ErrRootExists
	}
	m.root = r
	return nil
}

// String is "memory".
func (m *Memory) String() string { return "memory" }
