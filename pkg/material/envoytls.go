// SPDX-License-Identifier: Apache-2.0

package material

import (
	"fmt"
	"maps"
	"slices"
)

// validation is what a CertificateValidationContext asks for.
type validation struct {
	roots        []Certificate
	trustDomains []TrustDomain
	matchers     []SANMatcher
	lists        []RevocationList
}

func (v validation) empty() bool {
	return len(v.roots)+len(v.trustDomains)+len(v.matchers) == 0
}

// validation reads a CertificateValidationContext
// (envoy/extensions/transport_sockets/tls/v3/common.proto).
func (e *envoyDump) validation(d *Document, n node) validation {
	var v validation
	f := e.source(d, "trusted_ca", n.get("trusted_ca"))
	v.roots = f.certs
	d.Problems = append(d.Problems, f.problems...)
	if n.get("crl").exists() {
		f := e.source(d, "crl", n.get("crl"))
		v.lists = f.lists
		d.Problems = append(d.Problems, f.problems...)
	}
	for _, td := range n.get("custom_validator_config", "typed_config", "trust_domains").list() {
		f := e.source(d, "trust_bundle", td.get("trust_bundle"))
		d.Problems = append(d.Problems, f.problems...)
		if len(v.trustDomains) < maxNames {
			v.trustDomains = append(v.trustDomains, TrustDomain{Name: clip(td.get("name").text()), Roots: f.certs})
		}
	}
	for _, m := range n.get("match_typed_subject_alt_names").list() {
		v.match(m.get("san_type").text(), m.get("matcher"))
	}
	for _, m := range n.get("match_subject_alt_names").list() {
		v.match("", m) // before SANs had types
	}
	return v
}

// match reads a StringMatcher.
func (v *validation) match(typ string, n node) {
	if len(v.matchers) >= maxNames {
		return
	}
	m := SANMatcher{Type: clip(typ), IgnoreCase: n.get("ignore_case").flag()}
	switch {
	case n.has("safe_regex"):
		m.Match, m.Value = "regex", clip(n.get("safe_regex", "regex").text())
	case n.has("custom"):
		m.Match = "custom"
	default:
		for _, how := range []string{"exact", "prefix", "suffix", "contains"} {
			if n.has(how) {
				m.Match, m.Value = how, clip(n.get(how).text())
			}
		}
	}
	v.matchers = append(v.matchers, m)
}

// resource reads the TLS contexts of a listener or cluster.
func (e *envoyDump) resource(n node, state State) {
	if !n.exists() {
		return
	}
	name := clip(n.get("name").text())
	chains := n.get("filter_chains").list()
	if last := n.get("default_filter_chain"); last.exists() {
		chains = append(chains, last)
	}
	for i, chain := range chains {
		label := clip(chain.get("name").text())
		if label == "" {
			label = fmt.Sprintf("%d", i)
		}
		e.socket(chain.get("transport_socket"), "listener "+name+", filter chain "+label, state)
	}
	e.socket(n.get("transport_socket"), "cluster "+name, state)
	for _, m := range n.get("transport_socket_matches").list() {
		e.socket(m.get("transport_socket"), "cluster "+name+", match "+clip(m.get("name").text()), state)
	}
}

// socket finds the TLS context in a transport socket, however many others wrap it.
func (e *envoyDump) socket(n node, where string, state State) {
	switch {
	case !n.exists():
	case n.typeIs("DownstreamTlsContext"):
		e.context(n, Context{Where: where, State: state, Downstream: true})
	case n.typeIs("UpstreamTlsContext"):
		e.context(n, Context{Where: where, State: state})
	default:
		m, _ := n.value.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(m)) {
			e.socket(node{m[key]}, where, state)
		}
	}
}

func (e *envoyDump) context(n node, c Context) {
	d := &e.contexts
	if len(d.Contexts) >= MaxContexts {
		if !d.HasProblem(CodeOmitted) {
			d.Problems = append(d.Problems, Problem{Code: CodeOmitted, What: fmt.Sprintf("has more than %d TLS contexts; the rest is left out", MaxContexts)})
		}
		return
	}
	common := n.get("common_tls_context")
	for _, s := range common.get("tls_certificate_sds_secret_configs").list() {
		c.CertificateSecrets = addName(c.CertificateSecrets, s.get("name").text())
	}
	first := len(d.Problems)
	for _, s := range common.get("tls_certificates").list() {
		f := e.source(d, "certificate_chain", s.get("certificate_chain"))
		c.Certificates = append(c.Certificates, f.certs...)
		d.Problems = append(d.Problems, f.problems...)
	}
	inline, secret := common.get("validation_context"), common.get("validation_context_sds_secret_config")
	if both := common.get("combined_validation_context"); both.exists() {
		inline, secret = both.get("default_validation_context"), both.get("validation_context_sds_secret_config")
	}
	v := e.validation(d, inline)
	c.ValidationSecret = clip(secret.get("name").text())
	c.Roots, c.TrustDomains, c.SANMatchers = v.roots, v.trustDomains, v.matchers
	c.Verifies = c.ValidationSecret != "" || !v.empty() || inline.get("trusted_ca").exists()
	for i := range d.Problems[first:] {
		p := &d.Problems[first+i]
		p.What = c.Where + ": " + p.What
	}
	for _, p := range common.get("alpn_protocols").list() {
		c.ALPN = addName(c.ALPN, p.text())
	}
	c.SNI = clip(n.get("sni").text())
	c.RequireClientCert = n.get("require_client_certificate").flag()
	c.MinVersion = clip(common.get("tls_params", "tls_minimum_protocol_version").text())
	c.MaxVersion = clip(common.get("tls_params", "tls_maximum_protocol_version").text())
	d.Contexts = append(d.Contexts, c)
}
