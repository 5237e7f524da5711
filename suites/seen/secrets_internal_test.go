// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
)

func dumpOf(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := fixtures.FS.ReadFile("material/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestReadSecrets reads what Envoys say of their secrets, in each form.
func TestReadSecrets(t *testing.T) {
	const warming = `{"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.SecretsConfigDump.DynamicSecret","name":"default","version_info":"uninitialized","secret":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret","name":"default"}}]}`
	for name, tc := range map[string]struct {
		raw     string
		warming bool
		want    []string
	}{
		"dynamic secrets":  {raw: string(dumpOf(t, "envoy-dynamic-secrets.json")), want: []string{"default 3 0", "ROOTCA 0 1", "kubernetes://shop-credential 0 0 warming"}},
		"empty section":    {raw: "{}", warming: true},
		"no entries":       {raw: " {\"configs\" : [ ] }\n"},
		"not initialised":  {raw: warming, want: []string{"default 0 0 warming"}},
		"warming section":  {raw: warming, warming: true, want: []string{"default 0 0 warming"}},
		"names of nothing": {raw: `{"configs":[{"@type":"envoy.admin.v3.SecretsConfigDump.DynamicSecret"}]}`, want: []string{" 0 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			held, err := readSecrets([]byte(tc.raw), tc.warming)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range held {
				line := fmt.Sprintf("%s %d %d", h.Name, len(h.Certificates), len(h.Roots))
				if h.Warming {
					line += " warming"
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("secrets (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadSecretsHostile: a proxy may say anything, and never for long.
func TestReadSecretsHostile(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":   "",
		"a list":    "[]",
		"text":      "<html>",
		"no dump":   `{"configs":[{"@type":"x","private_key":"y"}]}`,
		"deep":      `{"configs":[` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + `]}`,
		"half":      `{"configs":[{"@type":"envoy.admin.v3.SecretsConfigDump.DynamicSecret"`,
		"of a list": `{"configs":"all of them"}`,
	} {
		if held, err := readSecrets([]byte(raw), false); err == nil {
			t.Errorf("%s: read as %+v", name, held)
		}
	}
	one := `{"@type":"envoy.admin.v3.SecretsConfigDump.DynamicSecret","name":"n"}`
	held, err := readSecrets([]byte(`{"configs":[`+one+strings.Repeat(","+one, 4*maxSecrets)+`]}`), false)
	if err != nil || len(held) != maxSecrets {
		t.Errorf("kept %d secrets, want %d (%v)", len(held), maxSecrets, err)
	}
}

// FuzzReadSecrets: no panic, and never more than the bounds.
func FuzzReadSecrets(f *testing.F) {
	for _, name := range []string{"envoy-dynamic-secrets.json", "envoy-secrets-section.json", "envoy-spire-config_dump.json"} {
		f.Add(dumpOf(f, name), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, warming bool) {
		held, err := readSecrets(raw, warming)
		if err != nil && held != nil || len(held) > maxSecrets {
			t.Errorf("%d secrets, error %v", len(held), err)
		}
		for _, h := range held {
			if len(h.Certificates) > maxCerts || len(h.Roots) > maxCerts || warming && !h.Warming {
				t.Errorf("%+v", h)
			}
		}
	})
}
