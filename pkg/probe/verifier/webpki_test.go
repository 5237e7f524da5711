// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
)

// measured is an answer of rustls-webpki itself to what has that digest.
type measured struct{ answer, digest string }

// webpkiAnswers reads what fixtures/webpki, a program in Rust, has recorded, by
// "CASE ROLE".
func webpkiAnswers(t *testing.T) map[string]measured {
	t.Helper()
	file, err := os.Open("testdata/webpki.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	answers := map[string]measured{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) != 4 {
			t.Fatalf("testdata/webpki.txt: %q is not CASE ROLE ANSWER DIGEST", lines.Text())
		}
		answers[f[0]+" "+f[1]] = measured{f[2], f[3]}
	}
	return answers
}

// digestOf is the digest that fixtures/webpki writes.
func digestOf(chain, roots [][]byte) string {
	h := sha256.New()
	for _, certs := range [][][]byte{chain, roots} {
		for _, der := range certs {
			h.Write(der)
		}
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// webpkiWords are the errors of webpki that ztunnel's log words otherwise.
func webpkiWords() map[string]string {
	return map[string]string{
		"CertExpired":                  "certificate expired",
		"CertNotValidYet":              "certificate not valid yet",
		"InvalidSignatureForPublicKey": "BadSignature",
		"RequiredEkuNotFoundContext":   "InvalidPurpose",
	}
}

// TestAgainstWebPKI holds the model of ztunnel's path building to the answers
// of rustls-webpki 0.103.13 with aws-lc, in both roles.
func TestAgainstWebPKI(t *testing.T) {
	answers, measuredHere, unmeasured := webpkiAnswers(t), 0, 0
	for _, c := range cases(t) {
		for _, role := range []Role{Client, Server} {
			m, ok := answers[c.Name+" "+role.String()]
			if !ok || m.digest != digestOf(c.Chain, c.Bundle(fixtures.PKITime())) {
				unmeasured++
				t.Logf("%s as %s: unmeasured", c.Name, role)
				continue
			}
			measuredHere++
			chain, roots, err := c.parse()
			if err != nil {
				if m.answer == "ok" {
					t.Logf("%s as %s: not parsed by Go (%v), accepted by webpki", c.Name, role, err)
				}
				continue
			}
			want := m.answer
			if word, ok := webpkiWords()[want]; ok {
				want = word
			}
			in, f := bounded(chain, Options{Roots: roots, At: fixtures.PKITime(), Role: role})
			if f == nil {
				f = verifyWebPKI(in)
			}
			got := "ok"
			if f != nil {
				got = f.reason
			}
			if got != want {
				t.Errorf("%s as %s (%s): webpki says %s, the model %s", c.Name, role, c.Note, want, got)
			}
		}
	}
	t.Logf("webpki: %d verdicts measured, %d unmeasured", measuredHere, unmeasured)
	if unmeasured > 0 {
		t.Logf("run the program in fixtures/webpki to measure them")
	}
}
