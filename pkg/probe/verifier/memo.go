// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
)

// memo remembers which signatures were found good. A signature that verified
// once verifies always, so remembering changes no answer; in a run over many
// clusters the same few hundred certificates come up in every chain.
type memo struct {
	mu   sync.Mutex
	good map[[sha256.Size]byte]struct{}
}

// maxMemo bounds the memory: about 150 KiB. When it is full it starts afresh.
const maxMemo = 4096

//nolint:gochecknoglobals // the memory of a pure function: no caller can tell whether it is there
var signaturesSeen = memo{good: map[[sha256.Size]byte]struct{}{}}

// check is verify, unless child was found to be signed by issuer before.
func (m *memo) check(child, issuer *x509.Certificate, verify func(child, issuer *x509.Certificate) error) error {
	h := sha256.New()
	// The key comes first and is self-delimiting DER, so no two pairs collide.
	h.Write(issuer.RawSubjectPublicKeyInfo)
	h.Write(child.Raw)
	key := [sha256.Size]byte(h.Sum(nil))
	m.mu.Lock()
	_, known := m.good[key]
	m.mu.Unlock()
	if known {
		return nil
	}
	err := verify(child, issuer)
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.good) >= maxMemo {
			clear(m.good)
		}
		m.good[key] = struct{}{}
	}
	return err
}

// forms remembers the canonical forms of names. A mesh has few names, and each
// is compared with several others for every chain.
type forms struct {
	mu   sync.RWMutex
	form map[string]string
}

// Bounds of the memory: about 600 KiB, in which long names have no place. When
// it is full it starts afresh.
const (
	maxForms = 1024
	maxForm  = 256
)

//nolint:gochecknoglobals // the memory of a pure function: no caller can tell whether it is there
var namesSeen = forms{form: map[string]string{}}

// get is canon, unless raw was given before.
func (m *forms) get(raw []byte, canon func([]byte) string) string {
	m.mu.RLock()
	form, known := m.form[string(raw)]
	m.mu.RUnlock()
	if known {
		return form
	}
	form = canon(raw)
	if len(raw) > maxForm {
		return form
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.form) >= maxForms {
		clear(m.form)
	}
	m.form[string(raw)] = form
	return form
}
