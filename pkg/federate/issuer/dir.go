// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is a store in a directory of mode 0700, which Save makes where it is
// missing: root-cert.pem and root-key.pem, both 0600.
//
// The key is written first and each file appears at once and for good, so that
// whoever is interrupted, or is second, finds either nothing, a key to go on
// with, or the whole root.
type Dir struct{ Path string }

var _ Store = Dir{}

// String is "directory PATH".
func (d Dir) String() string { return "directory " + d.Path }

// Load reads the root. A directory that others can enter is refused.
func (d Dir) Load(context.Context) (*Root, error) {
	info, err := os.Stat(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, d.fail(StoreFailed, "name a directory that this user can read", "cannot be read", err)
	}
	if !info.IsDir() {
		return nil, d.fail(StoreFailed, "name a directory", "is not a directory", nil)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, d.fail(StoreUnsafe, "chmod 700 "+d.Path, fmt.Sprintf("has mode %04o, so others can reach the root key", mode), nil)
	}
	cert, err := d.read(RootCertName)
	if err != nil {
		return nil, err
	}
	key, err := d.read(RootKeyName)
	if err != nil {
		return nil, err
	}
	switch {
	case cert == nil && key == nil:
		return nil, nil
	case cert == nil:
		signer, err := ParseKey(key)
		if err != nil {
			return nil, d.fail(RootUnreadable, "move "+RootKeyName+" away", RootKeyName+" cannot be read", err)
		}
		return &Root{key: signer}, nil
	}
	return ParseRoot(cert, key, d.String())
}

// read returns nil where there is no such file.
func (d Dir) read(name string) ([]byte, error) {
	path := filepath.Join(d.Path, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && name == RootKeyName && info.Mode().Perm()&0o077 != 0 {
		return nil, d.fail(StoreUnsafe, "chmod 600 "+path, fmt.Sprintf("%s has mode %04o", name, info.Mode().Perm()), nil)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, d.fail(StoreFailed, "name a directory that this user can read", name+" cannot be read", err)
	}
	return data, nil
}

// Save writes the key, then the certificate.
func (d Dir) Save(_ context.Context, r *Root) error {
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return d.fail(StoreFailed, "name a directory that this user can write", "cannot be made", err)
	}
	key, err := EncodeKey(r.key)
	if err != nil {
		return err
	}
	had, err := d.read(RootKeyName)
	if err != nil {
		return err
	}
	switch {
	case had == nil:
		if err := d.write(RootKeyName, key); err != nil {
			return err
		}
	case !sameKey(had, r):
		return ErrRootExists
	}
	return d.write(RootCertName, EncodeCertificates(r.Cert))
}

func sameKey(keyPEM []byte, r *Root) bool {
	had, err := ParseKey(keyPEM)
	if err != nil {
		return false
	}
	pub, ok := had.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(r.key.Public())
}

// write makes a file that was not there, whole and on disk: a link, unlike a
// rename, never replaces.
func (d Dir) write(name string, data []byte) (err error) {
	f, err := os.CreateTemp(d.Path, "."+name+"-*") // mode 0600
	if err != nil {
		return d.fail(StoreFailed, "name a directory that this user can write", name+" cannot be written", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the file has its own name by then
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), filepath.Join(d.Path, name))
	}
	if errors.Is(err, fs.ErrExist) {
		return ErrRootExists
	}
	if err != nil {
		return d.fail(StoreFailed, "name a directory that this user can write", name+" cannot be written", err)
	}
	return d.sync()
}

// sync makes the new name itself durable.
func (d Dir) sync() error {
	f, err := os.Open(d.Path)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return d.fail(StoreFailed, "name a directory on a local disk", "cannot be synced", err)
	}
	return nil
}

func (d Dir) fail(p Problem, hint, msg string, err error) error {
	return &RootError{Problem: p, Source: d.String(), Msg: msg, Hint: hint, Err: err}
}
