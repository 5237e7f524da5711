// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/netip"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestDump holds what a sidecar says of its secrets to the roots of its
// namespace, and keeps those without a sidecar from saying anything.
func TestDump(t *testing.T) {
	set := open(t, 2)
	c := set.Clusters[0]
	dumper, ok := cluster.As[cluster.Dumper](c)
	if !ok {
		t.Fatal("no proxy can be asked")
	}
	bundles, _ := cluster.As[cluster.Bundles](c)
	workloads, err := c.Workloads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sidecars := 0
	for _, w := range workloads {
		raw, err := dumper.Dump(t.Context(), w, "/config_dump?resource=dynamic_active_secrets")
		if (err == nil) != (w.DataPlane == cluster.Sidecar) {
			t.Errorf("%s, %s: %v", w.Ref, w.DataPlane, err)
		}
		if err != nil {
			continue
		}
		sidecars++
		roots, err := bundles.TrustBundle(t.Context(), w.Namespace)
		if err != nil {
			t.Fatal(err)
		}
		leaf, anchor := dumped(t, raw)
		if !anchor.Equal(roots[0]) {
			t.Errorf("%s verifies with %s", w.Ref, anchor.Subject)
		}
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != w.SPIFFEID(c.TrustDomain()) {
			t.Errorf("%s holds a certificate of %v", w.Ref, leaf.URIs)
		}
		warming, err := dumper.Dump(t.Context(), w, "/config_dump?resource=dynamic_warming_secrets")
		if err != nil || string(warming) != "{}" {
			t.Errorf("%s waits for %s (%v)", w.Ref, warming, err)
		}
		for _, path := range []string{"/certs", "/config_dump", "/config_dump?resource=dynamic_active_clusters", "%"} {
			if got, err := dumper.Dump(t.Context(), w, path); err == nil {
				t.Errorf("%s answered %s", path, got)
			}
		}
	}
	if sidecars == 0 {
		t.Error("no sidecar was asked")
	}
	nobody := cluster.Workload{Address: netip.MustParseAddr("192.0.2.99")}
	if got, err := dumper.Dump(t.Context(), nobody, "/config_dump?resource=dynamic_active_secrets"); err == nil {
		t.Errorf("nobody answered %s", got)
	}
}

// dumped is the leaf and the first root of a dump, which holds no key.
func dumped(t *testing.T, raw []byte) (leaf, root *x509.Certificate) {
	t.Helper()
	if bytes.Contains(raw, []byte("private_key")) {
		t.Error("the dump has a place for a private key")
	}
	var dump struct {
		Configs []struct {
			Secret struct {
				Certificate struct {
					Chain struct {
						Bytes []byte `json:"inline_bytes"`
					} `json:"certificate_chain"`
				} `json:"tls_certificate"`
				Context struct {
					CA struct {
						Bytes []byte `json:"inline_bytes"`
					} `json:"trusted_ca"`
				} `json:"validation_context"`
			} `json:"secret"`
		} `json:"configs"`
	}
	if err := json.Unmarshal(raw, &dump); err != nil || len(dump.Configs) != 2 {
		t.Fatalf("%d secrets (%v)", len(dump.Configs), err)
	}
	return first(t, dump.Configs[0].Secret.Certificate.Chain.Bytes), first(t, dump.Configs[1].Secret.Context.CA.Bytes)
}

func first(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no certificate in it")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
