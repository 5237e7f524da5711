// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
)

// TestAgainstOpenSSL holds the model of OpenSSL to OpenSSL itself, reason and
// depth included, in both roles.
func TestAgainstOpenSSL(t *testing.T) {
	bin, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl in PATH")
	}
	if version, err := exec.CommandContext(t.Context(), bin, "version").Output(); err != nil || !strings.HasPrefix(string(version), "OpenSSL 3.0.") {
		t.Skipf("the model is of OpenSSL 3.0, this is %q (%v)", version, err)
	}
	for _, c := range cases(t) {
		chain, roots, err := c.parse()
		if err != nil {
			t.Logf("%s: not parsed by Go: %v", c.Name, err)
			continue
		}
		for _, role := range []Role{Client, Server} {
			t.Run(c.Name+"/"+role.String(), func(t *testing.T) {
				t.Parallel()
				v := OpenSSL(chain, Options{Roots: roots, At: fixtures.PKITime(), Role: role})
				got := "ok"
				if !v.Accepts {
					got = fmt.Sprintf("%s at %d", strings.Split(v.Reason, " 1.3.6")[0], v.Depth)
				}
				if diff := cmp.Diff(askOpenSSL(t, bin, c, role), got); diff != "" {
					t.Errorf("(-openssl +model):\n%s", diff)
				}
			})
		}
	}
}

// askOpenSSL returns "ok" or "REASON at DEPTH".
func askOpenSSL(t *testing.T, bin string, c corpusCase, role Role) string {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, certs ...[]byte) string {
		var text []byte
		for _, der := range certs {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{
		"verify", "-purpose", "ssl" + role.String(),
		"-attime", strconv.FormatInt(fixtures.PKITime().Unix(), 10),
		"-no-CApath", "-no-CAstore", "-CAfile", file("roots.pem", c.Bundle(c.at)...),
	}
	if sent := c.Chain[1:]; len(sent) > 0 {
		args = append(args, "-untrusted", file("sent.pem", sent...))
	}
	args = slices.Concat(args, []string{file("leaf.pem", c.Chain[0])})
	out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput()
	if err == nil {
		return "ok"
	}
	m := regexp.MustCompile(`error \d+ at (\d+) depth lookup: (.*)`).FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	return m[2] + " at " + m[1]
}
