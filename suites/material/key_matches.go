// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// KeyMatches checks that the private key beside a chain is that of its first
// certificate. Only the hash of its public half is looked at.
var KeyMatches = probe.DefineOn(probe.Meta{
	ID:      "material/key-matches",
	Title:   "the private key is that of the first certificate",
	About:   "The public half of the key that came along is the public key of the first certificate, and the key can be read: proxies and istiod take no key under a passphrase. The key itself is never printed, recorded or quoted.",
	Clause:  spec.IstioKeyPair,
	Causes:  []probe.Cause{causeOtherKey, causeKeyUnread, causeKeyEncrypted},
	Applies: "chains with a key",
}, documents(sortKey), judgeKeyMatches)

var (
	causeOtherKey = probe.Cause{
		Code: "key-mismatch", Title: "the private key belongs to another certificate",
		Try: []string{"find the pair: openssl pkey -in KEY -pubout | openssl sha256; openssl x509 -in CERT -noout -pubkey | openssl sha256"},
	}
	causeKeyUnread = probe.Cause{
		Code: "key-unparsable", Title: "the private key cannot be read",
		Try: []string{"write it again as PKCS#8: openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW"},
	}
	causeKeyEncrypted = probe.Cause{
		Code: "key-encrypted", Title: "the private key is under a passphrase, which nothing in Istio can type",
		Try: []string{"write it without: openssl pkey -in KEY -out NEW"},
	}
)

func judgeKeyMatches(e Exam) []probe.Finding {
	if e.Key == nil || len(e.Certificates) == 0 {
		return []probe.Finding{probe.Skipping("there is no key")}
	}
	k, spki := e.Key, ""
	if c, err := e.Certificates[0].X509(); err == nil {
		spki = keyOf(c)
	}
	label := "private key"
	if k.Entry != "" {
		label += " in " + k.Entry
	}
	switch {
	case k.Encrypted:
		return []probe.Finding{probe.Failing(causeKeyEncrypted, probe.WantGot(label, "PKCS#8, PKCS#1 or SEC 1, in the clear", k.Encoding))}
	case k.Error != "" || k.SPKI == "":
		return []probe.Finding{probe.Failing(causeKeyUnread, probe.WantGot(label, "PKCS#8, PKCS#1 or SEC 1", "cannot be read: "+k.Error))}
	case spki == "":
		return []probe.Finding{probe.Skipping("the first certificate cannot be read")}
	}
	evidence := probe.WantGot(label, "SHA-256 of its public half: "+spki, "SHA-256 of its public half: "+k.SPKI)
	if k.SPKI != spki {
		return []probe.Finding{probe.Failing(causeOtherKey, evidence)}
	}
	return []probe.Finding{probe.Passing(evidence)}
}
