// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"
)

func TestMemoRemembersGoodSignaturesOnly(t *testing.T) {
	m := memo{good: map[[sha256.Size]byte]struct{}{}}
	calls := 0
	bad := errors.New("bad")
	answer := func(err error) func(_, _ *x509.Certificate) error {
		return func(_, _ *x509.Certificate) error { calls++; return err }
	}
	child, issuer, other := &x509.Certificate{Raw: []byte("child")}, &x509.Certificate{RawSubjectPublicKeyInfo: []byte("key")}, &x509.Certificate{RawSubjectPublicKeyInfo: []byte("other")}
	for i, step := range []struct {
		issuer *x509.Certificate
		answer error
		want   error
		calls  int
	}{
		{issuer, bad, bad, 1}, {issuer, bad, bad, 2}, // a bad one is checked again
		{issuer, nil, nil, 3}, {issuer, bad, nil, 3}, // a good one is not
		{other, bad, bad, 4}, // of another key nothing is known
	} {
		if err := m.check(child, step.issuer, answer(step.answer)); !errors.Is(err, step.want) || calls != step.calls {
			t.Errorf("step %d: %v after %d calls, want %v after %d", i, err, calls, step.want, step.calls)
		}
	}
	for i := range maxMemo + 1 {
		if err := m.check(&x509.Certificate{Raw: []byte{byte(i), byte(i >> 8)}}, issuer, answer(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.good) > maxMemo {
		t.Errorf("%d remembered, bound %d", len(m.good), maxMemo)
	}
}

func TestFormsRememberWithinBounds(t *testing.T) {
	m, calls := forms{form: map[string]string{}}, 0
	canon := func(raw []byte) string { calls++; return "form of " + string(raw) }
	for range 2 {
		if got := m.get([]byte("name"), canon); got != "form of name" || calls != 1 {
			t.Errorf("%q after %d calls", got, calls)
		}
	}
	long := make([]byte, maxForm+1)
	if m.get(long, canon) == "" || len(m.form) != 1 {
		t.Errorf("%d remembered, a long name among them", len(m.form))
	}
	for i := range maxForms + 1 {
		m.get([]byte{byte(i), byte(i >> 8)}, canon)
	}
	if len(m.form) > maxForms {
		t.Errorf("%d remembered, bound %d", len(m.form), maxForms)
	}
}
