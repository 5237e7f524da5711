// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
)

// SPKI returns the SHA-256 of a certificate's SubjectPublicKeyInfo as 64 hex
// digits: the identity of its key. Roots are compared by it, never by name. It
// returns "" for nil.
func SPKI(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// ShortSPKI returns the first 16 digits of [SPKI], for people to compare.
func ShortSPKI(c *x509.Certificate) string {
	s := SPKI(c)
	return s[:min(16, len(s))]
}

// SKI returns the subject key identifier in hex, "" if there is none.
func SKI(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	return hex.EncodeToString(c.SubjectKeyId)
}

// SPKIs returns the distinct keys of a bundle, sorted.
func SPKIs(bundle []*x509.Certificate) []string {
	keys := make([]string, 0, len(bundle))
	for _, c := range bundle {
		if c != nil {
			keys = append(keys, SPKI(c))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// SameKeys reports whether two bundles hold the same keys, whatever their
// order, names and repetitions.
func SameKeys(a, b []*x509.Certificate) bool { return slices.Equal(SPKIs(a), SPKIs(b)) }

// Pair is two certificates that people take for one.
type Pair struct{ A, B *x509.Certificate }

// SameDNOtherKey returns the pairs of a certificate of a and one of b that
// share their subject and not their key: roots that look alike and do not
// trust each other.
func SameDNOtherKey(a, b []*x509.Certificate) (pairs []Pair) {
	for _, x := range a {
		for _, y := range b {
			if x == nil || y == nil || SPKI(x) == SPKI(y) {
				continue
			}
			if sameDN(x.RawSubject, y.RawSubject) {
				pairs = append(pairs, Pair{A: x, B: y})
			}
		}
	}
	return pairs
}
