// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

var _ cluster.Dumper = (*instance)(nil)

// errNoSuchPath is for what the admin interface of an Envoy has and these
// proxies have not.
var errNoSuchPath = errors.New("answered 404")

// Dump implements cluster.Dumper for the secrets of sidecars, which is what
// these proxies have in common with an Envoy: /config_dump?resource= with
// dynamic_active_secrets or dynamic_warming_secrets. None is ever warming: a
// sidecar does not start without its certificate.
func (in *instance) Dump(ctx context.Context, w cluster.Workload, path string) ([]byte, error) {
	u, err := url.Parse(path)
	if err != nil || u.Path != "/config_dump" {
		return nil, fmt.Errorf("embedded: %s of %s: %w", path, w.Ref, errNoSuchPath)
	}
	own := in.sidecarAt(w.Address)
	if own == nil {
		return nil, fmt.Errorf("embedded: %s has no proxy of its own", w.Ref)
	}
	switch u.Query().Get("resource") {
	case "dynamic_active_secrets":
		return secretsDump(own.identity(ctx))
	case "dynamic_warming_secrets":
		return []byte("{}"), nil
	}
	return nil, fmt.Errorf("embedded: %s of %s: %w", path, w.Ref, errNoSuchPath)
}

// sidecarAt is the certificate of the sidecar in the pod of an address, nil
// where there is none.
func (in *instance) sidecarAt(addr netip.Addr) *svid {
	in.agents.mu.Lock()
	defer in.agents.mu.Unlock()
	for _, all := range in.agents.running {
		for _, a := range all {
			if a.svid != nil && a.addr == addr {
				return a.svid
			}
		}
	}
	return nil
}

// The secrets of a sidecar as Envoy dumps them (envoy.admin.v3
// SecretsConfigDump.DynamicSecret). Private keys have no place in it.
type (
	dumpedSecrets struct {
		Configs []dumpedSecret `json:"configs"`
	}
	dumpedSecret struct {
		Type   string         `json:"@type"`
		Name   string         `json:"name"`
		Secret map[string]any `json:"secret"`
	}
)

func secretsDump(id *cluster.Identity) ([]byte, error) {
	inline := func(certs []*x509.Certificate) map[string]any {
		var text bytes.Buffer
		for _, c := range certs {
			_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
		}
		return map[string]any{"inline_bytes": text.Bytes()}
	}
	secret := func(name, field, part string, certs []*x509.Certificate) dumpedSecret {
		return dumpedSecret{
			Type: "type.googleapis.com/envoy.admin.v3.SecretsConfigDump.DynamicSecret", Name: name,
			Secret: map[string]any{"name": name, field: map[string]any{part: inline(certs)}},
		}
	}
	return json.Marshal(dumpedSecrets{[]dumpedSecret{
		secret("default", "tls_certificate", "certificate_chain", id.Certificates),
		secret("ROOTCA", "validation_context", "trusted_ca", id.Roots),
	}})
}
