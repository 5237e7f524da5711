// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
)

// Builtin is an issuer whose root meshprobe makes itself, once, and keeps in a
// [Store].
type Builtin struct {
	store Store
	opts  Options

	mu   sync.Mutex
	root *Root
}

var _ Issuer = (*Builtin)(nil)

// NewBuiltin is an issuer whose root is kept in store.
func NewBuiltin(store Store, o Options) (*Builtin, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	return &Builtin{store: store, opts: o}, nil
}

// NewProvided is an issuer with a root given in PEM. What the certificate says
// of itself wins over Options.KeyType only for the root: the intermediates are
// made as the options say.
func NewProvided(certPEM, keyPEM []byte, o Options) (*Builtin, error) {
	if o.KeyType == "" {
		o.KeyType = RSA
	}
	root, err := ParseRoot(certPEM, keyPEM, "the provided root")
	if err != nil {
		return nil, err
	}
	if o.Org == "" && len(root.Cert.Subject.Organization) > 0 {
		o.Org = root.Cert.Subject.Organization[0]
	}
	b, err := NewBuiltin(&provided{root}, o)
	if err != nil {
		return nil, err
	}
	if err := root.check(b.String(), b.opts.Now()); err != nil {
		return nil, err
	}
	return b, nil
}

// Current is the root in the store, nil where there is none.
func (b *Builtin) Current(ctx context.Context) (*x509.Certificate, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, err := b.load(ctx)
	if err != nil || r == nil || r.Cert == nil {
		return nil, err
	}
	return r.Cert, nil
}

// Root is the root in the store, made and kept there first where there is none.
func (b *Builtin) Root(ctx context.Context) (*x509.Certificate, error) {
	r, err := b.ensure(ctx)
	if err != nil {
		return nil, err
	}
	return r.Cert, nil
}

// Sign issues the intermediate of a cluster.
func (b *Builtin) Sign(ctx context.Context, csr []byte, clusterName string) ([]*x509.Certificate, error) {
	p := b.Profile()
	req, err := p.CheckRequest(csr, clusterName)
	if err != nil {
		return nil, err
	}
	root, err := b.ensure(ctx)
	if err != nil {
		return nil, err
	}
	cert, err := root.sign(req, p, clusterName, b.opts)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{cert}, nil
}

// Profile says which keys and names the CSRs must have.
func (b *Builtin) Profile() Profile { return b.opts.profile() }

// String says where the root is kept and how it would be made.
func (b *Builtin) String() string {
	if _, ok := b.store.(*provided); ok {
		return b.store.String()
	}
	kind := string(b.opts.KeyType)
	if b.opts.KeyType == RSA {
		kind = fmt.Sprintf("rsa %d", b.opts.KeySize)
	}
	return fmt.Sprintf("builtin root (O=%s, %s, valid %s) in %s", b.opts.Org, kind, b.opts.TTL, b.store)
}

// load reads and checks what the store has. A key without a certificate is a
// root whose making was interrupted. The caller holds mu.
func (b *Builtin) load(ctx context.Context) (*Root, error) {
	if b.root != nil {
		return b.root, b.root.check(b.store.String(), b.opts.Now())
	}
	r, err := b.store.Load(ctx)
	if err != nil || r == nil || r.Cert == nil {
		return r, err
	}
	if err := r.check(b.store.String(), b.opts.Now()); err != nil {
		return nil, err
	}
	b.root = r
	return r, nil
}

// ensure makes the root where there is none. Another process may do so at the
// same time: whoever stores first wins, and the other goes on with that root.
func (b *Builtin) ensure(ctx context.Context) (*Root, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range 3 {
		r, err := b.load(ctx)
		if err != nil || (r != nil && r.Cert != nil) {
			return r, err
		}
		if r == nil {
			r = &Root{}
			if r.key, err = generate(b.opts.KeyType, b.opts.KeySize); err != nil {
				return nil, err
			}
		}
		made, err := newRoot(r.key, b.opts)
		if err != nil {
			return nil, err
		}
		if err := b.store.Save(ctx, made); err != nil && !errors.Is(err, ErrRootExists) {
			return nil, err
		}
	}
	return nil, &RootError{Problem: StoreFailed, Source: b.store.String(), Msg: "the root keeps changing", Hint: "let one meshprobe federate at a time"}
}

// provided is the store of a root that was given.
type provided struct{ root *Root }

var _ Store = (*provided)(nil)

func (p *provided) Load(context.Context) (*Root, error) { return p.root, nil }
func (p *provided) Save(context.Context, *Root) error   { return ErrRootExists }
func (p *provided) String() string                      { return "the provided root" }
