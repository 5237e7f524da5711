// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"encoding/base64"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// secret recognises one kind of credential. anywhere means that source and
// documentation may not hold it either; the others are words that code which
// guards keys has to say.
type secret struct {
	name     string
	pattern  *regexp.Regexp
	anywhere bool
}

func secrets() []secret {
	return []secret{
		{"private key", regexp.MustCompile(`PRIVATE KEY`), false},
		{"private key in base64", base64Of("PRIVATE KEY"), false},
		{"private key with its bytes", regexp.MustCompile(`PRIVATE KEY-----(\s|\\n)*[A-Za-z0-9+/=]{32}`), true},
		{"JSON Web Token", regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}`), true},
		{"kubeconfig credential", regexp.MustCompile(`(client-key-data|clientKeyData)"?:\s*"?[A-Za-z0-9+/=]{16}`), true},
		{"bearer token", regexp.MustCompile(`(?i)bearer [A-Za-z0-9_.~+/-]{24}`), true},
	}
}

// base64Of matches text inside base64 of something longer, whichever of the
// three alignments it has there. The first and last characters also encode
// neighbouring bits and are left out.
func base64Of(text string) *regexp.Regexp {
	var forms []string
	for pad := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", pad) + text))
		forms = append(forms, regexp.QuoteMeta(encoded[(pad*8+5)/6:len(encoded)-1]))
	}
	return regexp.MustCompile(strings.Join(forms, "|"))
}

// isData reports whether the file is stored output or input of a test: nothing
// in it has a reason even to name a key.
func isData(name string) bool {
	if slices.Contains([]string{".go", ".md"}, path.Ext(name)) {
		return false
	}
	return strings.HasPrefix(name, "fixtures/") || strings.Contains(name, "testdata/") || strings.Contains(name, ".golden")
}

// findSecrets complains about every kind of credential in content.
func findSecrets(name string, content []byte) []string {
	var complaints []string
	for _, s := range secrets() {
		if (s.anywhere || isData(name)) && s.pattern.Match(content) {
			complaints = append(complaints, name+": holds a "+s.name)
		}
	}
	return complaints
}

func TestNoSecrets(t *testing.T) {
	data := 0
	walk(t, func(name string, content []byte) {
		if isData(name) {
			data++
		}
		complain(t, findSecrets(name, content))
	})
	if data == 0 {
		t.Fatal("archtest: no fixture or golden seen")
	}
}

// TestNoSecretsBites plants each kind of credential, split in two here so that
// this file does not hold one.
func TestNoSecretsBites(t *testing.T) {
	key := "-----BEGIN EC PRIVATE" + " KEY-----\n" + strings.Repeat("MHcCAQEE", 5)
	jwt := "eyJhbGciOiJSUzI1NiJ9" + ".eyJpc3MiOiJrdWJlIn0." + strings.Repeat("c2ln", 6)
	for name, planted := range map[string]string{
		"key":         key,
		"escaped key": strings.ReplaceAll(key, "\n", `\n`),
		"base64 0":    base64.StdEncoding.EncodeToString([]byte(key)),
		"base64 1":    base64.StdEncoding.EncodeToString([]byte("x" + key)),
		"base64 2":    base64.StdEncoding.EncodeToString([]byte("xx" + key)),
		"token":       `"token": "` + jwt + `"`,
		"kubeconfig":  "client-key-" + "data: " + strings.Repeat("LS0t", 5),
		"bearer":      "Authorization: Bearer" + " " + strings.Repeat("ab12", 8),
	} {
		if got := findSecrets("fixtures/"+name+".json", []byte(planted)); len(got) == 0 {
			t.Errorf("%s in a fixture goes unnoticed", name)
		}
	}
	if got := findSecrets("pkg/a.go", []byte(key)); len(got) == 0 {
		t.Error("a key in source goes unnoticed")
	}
	clean := "-----BEGIN CERTIFICATE-----\n" + strings.Repeat("MHcCAQEE", 5)
	if got := findSecrets("fixtures/a.pem", []byte(clean)); len(got) != 0 {
		t.Errorf("a certificate is taken for a secret: %q", got)
	}
}
