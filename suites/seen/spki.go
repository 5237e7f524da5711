// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// spkiOf is the SHA-256 of a public key as a certificate would hold it.
func spkiOf(pub crypto.PublicKey) (spki, problem string) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", "unsupported key type"
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), ""
}
