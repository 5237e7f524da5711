// SPDX-License-Identifier: Apache-2.0

package wire

// Gate bounds how many handshakes compute at the same time. Whoever connects,
// or waits for bytes of a peer, is outside: a thousand silent endpoints hold up
// nobody. A nil Gate bounds nothing.
type Gate struct {
	slots chan struct{}
}

// NewGate makes a gate for n handshakes; n below one means one.
func NewGate(n int) *Gate { return &Gate{slots: make(chan struct{}, max(n, 1))} }
