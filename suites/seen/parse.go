// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"crypto/x509"
	"sync"
)

// parsed remembers certificates that crypto/x509 could read: one observation is
// described, judged and compared, and the same roots and intermediates stand in
// every other.
type parsed struct {
	mu    sync.RWMutex
	certs map[string]*x509.Certificate
}

// Bounds of the memory: some 10 MiB with certificates as long as these, 2 MiB
// with those of a mesh. When it is full it starts afresh.
const (
	maxParsed    = 1024
	maxParsedDER = 4 << 10
)

var certsSeen = parsed{certs: map[string]*x509.Certificate{}}

// parse is x509.ParseCertificate. What it returns is shared: nobody changes it.
func (m *parsed) parse(der []byte) (*x509.Certificate, error) {
	m.mu.RLock()
	cert, known := m.certs[string(der)]
	m.mu.RUnlock()
	if known {
		return cert, nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil || len(der) > maxParsedDER {
		return cert, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.certs) >= maxParsed {
		clear(m.certs)
	}
	m.certs[string(der)] = cert
	return cert, nil
}
