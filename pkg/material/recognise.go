// SPDX-License-Identifier: Apache-2.0

package material

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// yamlKey is the first key of what is printed as YAML: objects of Kubernetes, and
// what istioctl prints with -o yaml.
func yamlKey(content []byte) string {
	m := regexp.MustCompile(`(?m)^(?:- )?(apiVersion|kind|items|metadata|configs|certificates|identity|dynamicActiveSecrets|` +
		`dynamicWarmingSecrets|staticSecrets|workloads|keys):(?:\s|$)`).FindSubmatch(content)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// recognise decides what a content is and reads it.
func (r *reader) recognise(content []byte) ([]Document, error) {
	plain := bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	head := bytes.TrimLeft(plain, " \t\r\n")
	switch {
	case head[0] == '{' || head[0] == '[':
		return r.json(plain)
	case r.opts.Kind == KindSPIFFEID || isID(string(head[:min(len(head), 16)])):
		return r.ids(head)
	}
	if bytes.HasPrefix(plain, []byte(beginMark)) || bytes.Contains(plain, []byte("\n"+beginMark)) {
		return r.text(content) // inside YAML it would be indented
	}
	switch key := yamlKey(plain); key {
	case "":
		return r.text(content)
	case "apiVersion", "kind", "items", "metadata":
		return r.yamlManifests(plain)
	default:
		return r.yamlDump(plain)
	}
}

// yamlDump reads the YAML form of what is JSON otherwise.
func (r *reader) yamlDump(content []byte) ([]Document, error) {
	if len(content) > MaxYAMLBytes {
		return nil, r.yamlTooLarge()
	}
	var node yaml.Node
	if err := yaml.Unmarshal(content, &node); err != nil {
		return nil, r.badYAML(err)
	}
	if !cheap(&node) {
		return nil, r.costly()
	}
	asJSON, err := sigsyaml.YAMLToJSON(content)
	if err != nil {
		return nil, r.badYAML(err)
	}
	return r.json(asJSON)
}

// json reads the values of a JSON text, which kubectl and people put one behind
// the other.
func (r *reader) json(content []byte) ([]Document, error) {
	var docs []Document
	dec := json.NewDecoder(bytes.NewReader(content))
	line, counted := 1, 0
	for {
		var value json.RawMessage
		err := dec.Decode(&value)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, r.badJSON(content, dec.InputOffset(), err)
		}
		begin := int(dec.InputOffset()) - len(value)
		line, counted = line+bytes.Count(content[counted:begin], []byte("\n")), begin
		more, err := r.value(value, line)
		if err != nil {
			return nil, err
		}
		if docs = append(docs, more...); len(docs) > MaxDocuments {
			break
		}
	}
	if len(docs) == 0 {
		return nil, r.noObjects()
	}
	return docs, nil
}

func (r *reader) badJSON(content []byte, offset int64, err error) error {
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = max(offset, s.Offset)
	}
	at := min(max(int(offset), 0), len(content))
	e := r.fail("is not valid JSON", "it may be cut off, or hold lines of a terminal around it")
	e.Line, e.Offset = 1+bytes.Count(content[:at], []byte("\n")), offset
	return e
}

// value recognises one JSON value by its top-level keys.
func (r *reader) value(raw json.RawMessage, line int) ([]Document, error) {
	if raw[0] == '[' {
		return r.array(raw, line)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, r.unknownJSON(nil)
	}
	has := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { _, ok := top[k]; return ok })
	}
	switch {
	case has("apiVersion", "kind") && has("metadata", "items", "data", "stringData"):
		return r.jsonManifest(raw, line, 0)
	case has("configs", "@type"):
		return r.envoy(raw, KindEnvoyDump)
	case has("dynamicActiveSecrets", "dynamicWarmingSecrets", "staticSecrets"):
		return r.envoy(raw, KindProxySecret)
	case has("dynamic_active_secrets", "dynamic_warming_secrets", "static_secrets", "dynamic_listeners", "static_listeners",
		"dynamic_active_clusters", "dynamic_warming_clusters", "static_clusters", "dynamicListeners", "dynamicActiveClusters"):
		return r.envoy(raw, KindEnvoyDump)
	case has("certificates", "workloads") && !bytes.Contains(top["certificates"], []byte(`"cert_chain"`)):
		return r.ztunnel(raw)
	case has("keys"):
		return r.spiffeBundle(raw)
	case has("trust_domains"):
		return r.bundleMap(raw)
	}
	return nil, r.unknownJSON(top)
}

// array recognises what istioctl prints as a list, by its first element.
func (r *reader) array(raw json.RawMessage, line int) ([]Document, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
		return nil, r.fail("is a JSON list with nothing in it", "")
	}
	var first map[string]json.RawMessage
	if err := json.Unmarshal(list[0], &first); err != nil {
		return nil, r.unknownJSON(nil)
	}
	has := func(key string) bool { _, ok := first[key]; return ok }
	switch {
	case has("identity") && (has("certChain") || has("state")):
		return r.ztunnel(wrap("certificates", raw))
	case has("workloadIps") || has("uid") && has("protocol"):
		return r.ztunnel(wrap("workloads", raw))
	case has("filterChains"), has("transportSocket"), has("transportSocketMatches"), has("edsClusterConfig"), has("address") && has("name"):
		return r.resources(raw)
	case has("apiVersion") && has("kind"):
		return r.jsonManifest(wrap("items", raw), line, 0)
	}
	return nil, r.unknownJSON(first)
}

func wrap(key string, raw json.RawMessage) json.RawMessage {
	return slices.Concat([]byte(`{"`+key+`":`), raw, []byte("}"))
}

func (r *reader) unknownJSON(top map[string]json.RawMessage) error {
	hint := "pass a Secret or ConfigMap, a config_dump of Envoy or ztunnel, `istioctl proxy-config secret -o json` or a SPIFFE bundle"
	if _, ok := top["certificates"]; ok {
		hint = "Envoy's /certs holds no certificate itself, pass /config_dump"
	}
	return r.fail("is JSON of no kind known here", hint)
}

// text reads PEM, DER and what is neither.
func (r *reader) text(content []byte) ([]Document, error) {
	f := r.entry("", content)
	if f.empty() {
		return nil, r.nothing(content, f)
	}
	return r.plain(f), nil
}

// nothing says why a text holds nothing, with what it seems to be.
func (r *reader) nothing(content []byte, f found) error {
	if len(f.problems) > 0 {
		p := f.problems[0]
		return &Error{Source: r.source, Line: p.Line, What: p.What, Hint: p.Hint}
	}
	for _, m := range []struct{ magic, what, hint string }{
		{"\x1f\x8b", "is compressed with gzip", "gunzip it first"},
		{"PK\x03\x04", "is a zip archive", "unpack it first"},
		{"\xfe\xed\xfe\xed", "is a Java key store", "convert it with `keytool -exportcert -rfc`"},
		{"\xff\xfe", "is UTF-16", "save it as UTF-8"},
		{"\xfe\xff", "is UTF-16", "save it as UTF-8"},
		{"\x30\x82", "is DER of no kind known here", "a PKCS#12 file is converted with `openssl pkcs12 -in FILE -nokeys`"},
		{"ssh-", "is an SSH public key", "a mesh uses X.509 certificates"},
		{"<", "is XML or HTML", "check the URL it was fetched from"},
	} {
		if bytes.HasPrefix(content, []byte(m.magic)) {
			return r.fail(m.what, m.hint)
		}
	}
	return r.fail("holds no certificate, key, request, revocation list, manifest, dump or SPIFFE bundle",
		"PEM starts with "+strings.TrimSpace(beginMark)+", a manifest with apiVersion")
}

// plain makes documents of what one text held.
func (r *reader) plain(f found) []Document {
	var docs []Document
	add := func(d Document) {
		d.Source = r.source
		docs = append(docs, d)
	}
	keys := f.keys
	if len(f.certs) > 0 {
		d := Document{Kind: KindChain, Certificates: f.certs}
		if r.trusted(f) {
			d = Document{Kind: KindBundle, Roots: f.certs}
		}
		d.add(found{keys: keys})
		keys = nil
		d.match()
		add(d)
	}
	for i := range f.requests {
		d := Document{Kind: KindCSR, Request: &f.requests[i]}
		if i == 0 {
			d.add(found{keys: keys})
			keys = nil
		}
		add(d)
	}
	if len(f.lists) > 0 {
		add(Document{Kind: KindCRL, CRLs: f.lists})
	}
	for i := range keys {
		add(Document{Kind: KindKey, Key: &keys[i]})
	}
	docs[0].Problems = append(f.problems, docs[0].Problems...)
	return docs
}

// trusted reports whether certificates without more are meant as a bundle: where
// that is demanded, or where no key came along and none is an end entity or issued
// by the next.
func (r *reader) trusted(f found) bool {
	if r.opts.Kind == KindBundle {
		return true
	}
	if r.opts.Kind == KindChain || len(f.keys) > 0 {
		return false
	}
	for i, c := range f.certs {
		if c.Error == "" && !c.CA && !c.selfIssued() {
			return false
		}
		if i+1 < len(f.certs) && !c.selfIssued() && c.Issuer == f.certs[i+1].Subject {
			return false
		}
	}
	return slices.ContainsFunc(f.certs, Certificate.selfIssued)
}
