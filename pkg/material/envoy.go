// SPDX-License-Identifier: Apache-2.0

package material

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// redacted is what Envoy writes instead of a private key, in base64
// (source/server/admin/config_dump_handler.cc).
const redacted = "[redacted]"

// sections of a config_dump that are not looked into: routes, endpoints, bootstrap.
func worthReading(typ string) bool {
	for _, part := range []string{"Secret", "Listener", "Cluster", "tls.v3"} {
		if strings.Contains(typ, part) {
			return true
		}
	}
	return typ == ""
}

// envoyDump collects the documents of a dump: its secrets, then its TLS contexts.
type envoyDump struct {
	r        *reader
	kind     Kind
	docs     []Document
	contexts Document
}

// envoy reads a config_dump, one section or one entry of it, or what istioctl
// makes of the section of secrets.
func (r *reader) envoy(raw json.RawMessage, kind Kind) ([]Document, error) {
	var dump struct {
		Configs []json.RawMessage `json:"configs"`
	}
	if err := json.Unmarshal(raw, &dump); err != nil {
		return nil, r.fail("has configs that are no list, so it is no config_dump of Envoy", "pass the output of `pilot-agent request GET config_dump`")
	}
	parts := dump.Configs
	if len(parts) == 0 {
		parts = []json.RawMessage{raw}
	}
	e := &envoyDump{r: r, kind: kind, contexts: Document{Kind: kind, Source: r.source}}
	for _, part := range parts {
		var head struct {
			Type string `json:"@type"`
		}
		if json.Unmarshal(part, &head) != nil || !worthReading(head.Type) {
			continue
		}
		n, err := tree(part)
		if errors.Is(err, errBounds) {
			return nil, r.fail("has a section with "+errBounds.Error(), "pass the section of the secrets alone: `config_dump?resource=dynamic_active_secrets`")
		}
		if err != nil {
			return nil, r.fail("is not valid JSON", "")
		}
		e.section(n)
		if len(e.docs) > MaxDocuments {
			break
		}
	}
	return e.result()
}

// resources reads a list of listeners or clusters, as istioctl prints them.
func (r *reader) resources(raw json.RawMessage) ([]Document, error) {
	n, err := tree(raw)
	if err != nil {
		return nil, r.fail("has "+errBounds.Error(), "pass fewer of them")
	}
	e := &envoyDump{r: r, kind: KindEnvoyDump, contexts: Document{Kind: KindEnvoyDump, Source: r.source}}
	for _, one := range n.list() {
		e.resource(one, StateActive)
	}
	return e.result()
}

func (e *envoyDump) result() ([]Document, error) {
	if len(e.contexts.Contexts) > 0 || len(e.contexts.Problems) > 0 {
		e.docs = append(e.docs, e.contexts)
	}
	if len(e.docs) == 0 {
		return nil, e.r.fail("is a dump of Envoy without secrets and TLS contexts",
			"a proxy without certificates has not reached istiod yet; `istioctl proxy-status` tells")
	}
	return e.docs, nil
}

// section reads one element of configs, by its content rather than by its type.
func (e *envoyDump) section(n node) {
	for _, s := range []struct {
		key   string
		state State
	}{{"static_secrets", StateStatic}, {"dynamic_active_secrets", StateActive}, {"dynamic_warming_secrets", StateWarming}} {
		for _, one := range n.get(s.key).list() {
			e.secret(one, s.state)
		}
	}
	switch {
	case n.typeIs("SecretsConfigDump.DynamicSecret"), n.typeIs("SecretsConfigDump.StaticSecret"):
		state := StateActive
		if n.typeIs("StaticSecret") {
			state = StateStatic
		}
		e.secret(n, state)
	case n.typeIs("tls.v3.Secret"):
		e.secret(node{map[string]any{"name": n.get("name").value, "secret": n.value}}, StateActive)
	case n.typeIs("ListenersConfigDump.DynamicListener"):
		e.listener(n)
	case n.typeIs("listener.v3.Listener"), n.typeIs("cluster.v3.Cluster"):
		e.resource(n, StateActive)
	case n.typeIs("ClustersConfigDump.DynamicCluster"):
		e.resource(n.get("cluster"), StateActive)
	}
	for _, one := range n.get("dynamic_listeners").list() {
		e.listener(one)
	}
	for _, one := range n.get("static_listeners").list() {
		e.resource(one.get("listener"), StateStatic)
	}
	for _, s := range []struct {
		key   string
		state State
	}{{"static_clusters", StateStatic}, {"dynamic_active_clusters", StateActive}, {"dynamic_warming_clusters", StateWarming}} {
		for _, one := range n.get(s.key).list() {
			e.resource(one.get("cluster"), s.state)
		}
	}
}

func (e *envoyDump) listener(n node) {
	e.resource(n.get("active_state", "listener"), StateActive)
	e.resource(n.get("warming_state", "listener"), StateWarming)
}

// secret reads one secret of SDS (envoy/admin/v3/config_dump_shared.proto,
// envoy/extensions/transport_sockets/tls/v3/secret.proto).
func (e *envoyDump) secret(n node, state State) {
	d := Document{Kind: e.kind, Source: e.r.source, Name: clip(n.get("name").text()), SDS: &SDS{
		State: state, Version: clip(n.get("version_info").text()), Updated: n.get("last_updated").time(),
		Error: clip(n.get("error_state", "details").text()), Holds: "nothing",
	}}
	if d.SDS.Version == "uninitialized" && state == StateActive {
		d.SDS.State = StateWarming
	}
	s := n.get("secret")
	if d.Name == "" {
		d.Name = clip(s.get("name").text())
	}
	switch {
	case s.has("tls_certificate"):
		d.SDS.Holds = "certificate"
		e.tlsCertificate(&d, s.get("tls_certificate"))
	case s.has("validation_context"):
		d.SDS.Holds = "validation-context"
		v := e.validation(&d, s.get("validation_context"))
		d.Roots, d.TrustDomains, d.SANMatchers, d.CRLs = v.roots, v.trustDomains, v.matchers, v.lists
	case s.has("generic_secret"):
		d.SDS.Holds = "generic-secret"
	case s.has("session_ticket_keys"):
		d.SDS.Holds = "session-ticket-keys"
	}
	e.docs = append(e.docs, d)
}

func (e *envoyDump) tlsCertificate(d *Document, n node) {
	f := e.source(d, "certificate_chain", n.get("certificate_chain"))
	d.Certificates = f.certs
	d.Problems = append(d.Problems, f.problems...)
	if n.get("private_key").exists() {
		d.Key = e.privateKey(n.get("private_key"))
		d.match()
	}
}

// privateKey says what a dump tells of a key, which is nothing where Envoy wrote it.
func (e *envoyDump) privateKey(n node) *Key {
	k := &Key{Entry: "private_key", Encoding: encodingRedacted, Redacted: true}
	content := []byte(n.get("inline_string").text())
	if inline, err := base64.StdEncoding.DecodeString(n.get("inline_bytes").text()); err == nil && len(inline) > 0 {
		content = inline
	}
	if len(content) == 0 || string(content) == redacted {
		return k
	}
	if f := e.r.entry("private_key", content); len(f.keys) > 0 {
		return &f.keys[0]
	}
	k.Encoding, k.Redacted, k.Error = encodingUnknown, false, "is no key in PEM"
	return k
}

// source reads an Envoy DataSource (envoy/config/core/v3/base.proto).
func (e *envoyDump) source(d *Document, entry string, n node) found {
	complain := func(code Code, what string) {
		d.Problems = append(d.Problems, Problem{Code: code, Entry: entry, What: what})
	}
	content := []byte(n.get("inline_string").text())
	if inline := n.get("inline_bytes").text(); inline != "" {
		decoded, err := base64.StdEncoding.DecodeString(inline)
		if err != nil {
			complain(CodeBase64, "inline_bytes is not base64")
			return found{}
		}
		content = decoded
	}
	if len(content) == 0 {
		if n.get("filename").text() != "" || n.get("environment_variable").text() != "" {
			complain(CodeEmpty, "is read from a file or variable of the proxy, which the dump does not hold")
		}
		return found{}
	}
	f := e.r.entry(entry, content)
	if f.empty() && len(f.problems) == 0 {
		complain(CodeNotPEM, "holds no PEM block")
	}
	return f
}
