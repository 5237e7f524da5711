// SPDX-License-Identifier: Apache-2.0

package material

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// manifest is what is read of a Kubernetes object. Values of data are strings or
// null; a document is refused where they are not.
type manifest struct {
	APIVersion string             `json:"apiVersion" yaml:"apiVersion"`
	Kind       string             `json:"kind" yaml:"kind"`
	Type       string             `json:"type" yaml:"type"`
	Immutable  bool               `json:"immutable" yaml:"immutable"`
	Metadata   metadata           `json:"metadata" yaml:"metadata"`
	Data       map[string]*string `json:"data" yaml:"data"`
	StringData map[string]*string `json:"stringData" yaml:"stringData"`
	BinaryData map[string]*string `json:"binaryData" yaml:"binaryData"`
	Spec       spec               `json:"spec" yaml:"spec"`
	Status     status             `json:"status" yaml:"status"`
}

type metadata struct {
	Name        string             `json:"name" yaml:"name"`
	Namespace   string             `json:"namespace" yaml:"namespace"`
	Created     string             `json:"creationTimestamp" yaml:"creationTimestamp"`
	Labels      map[string]*string `json:"labels" yaml:"labels"`
	Annotations map[string]*string `json:"annotations" yaml:"annotations"`
}

// spec and status are those of CertificateSigningRequest (certificates.k8s.io),
// CertificateRequest (cert-manager.io) and ClusterTrustBundle.
type spec struct {
	Request     string `json:"request" yaml:"request"`
	TrustBundle string `json:"trustBundle" yaml:"trustBundle"`
}

type status struct {
	Certificate string `json:"certificate" yaml:"certificate"`
	CA          string `json:"ca" yaml:"ca"`
}

// only is what decides whether the rest of an object is read at all.
type only struct {
	Kind string `json:"kind" yaml:"kind"`
}

// kinds of objects that are read; others are passed over.
func reads(kind string) bool {
	switch kind {
	case "Secret", "ConfigMap", "CertificateSigningRequest", "CertificateRequest", "ClusterTrustBundle":
		return true
	}
	return false
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func (r *reader) yamlTooLarge() error {
	return r.fail(fmt.Sprintf("is larger than %d MiB, too large for YAML", MaxYAMLBytes>>20), "write it as JSON with -o json")
}

// badYAML is an Error with the line of a YAML parser's, whose text quotes values.
func (r *reader) badYAML(err error) error {
	e := r.fail("is not valid YAML", "compare its indentation with `kubectl get secret NAME -o yaml`")
	if m := regexp.MustCompile(`line (\d{1,9})`).FindStringSubmatch(err.Error()); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
	}
	if _, ok := errors.AsType[*yaml.TypeError](err); ok {
		e.What = "has a value of another type than its field"
		e.Hint = "values of data are strings; quote them"
	}
	return e
}

func (r *reader) costly() error {
	return r.fail("has more keys or aliases than a manifest has", "write it as JSON with -o json")
}

// cheap reports whether a document can be decoded in reasonable time: the decoder
// compares every key of a mapping with every other, at every alias anew.
func cheap(node *yaml.Node) bool {
	budget := 50_000_000
	return afford(node, 0, &budget)
}

func afford(node *yaml.Node, depth int, budget *int) bool {
	n := len(node.Content)
	if *budget -= 1 + n; node.Kind == yaml.MappingNode {
		*budget -= n * n / 4
	}
	if *budget < 0 || depth > 10*MaxDepth {
		return false
	}
	if node.Kind == yaml.AliasNode {
		return afford(node.Alias, depth+1, budget)
	}
	for _, child := range node.Content {
		if !afford(child, depth+1, budget) {
			return false
		}
	}
	return true
}

func (r *reader) noObjects() error {
	return r.fail("holds no Secret, ConfigMap, ClusterTrustBundle or request for a certificate", "pass one, such as `kubectl get secret cacerts -n istio-system -o yaml`")
}

// yamlManifests reads the documents of a YAML stream.
func (r *reader) yamlManifests(content []byte) ([]Document, error) {
	if len(content) > MaxYAMLBytes {
		return nil, r.yamlTooLarge()
	}
	var docs []Document
	dec := yaml.NewDecoder(bytes.NewReader(content))
	for len(docs) <= MaxDocuments {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, r.badYAML(err)
		}
		if !cheap(&node) {
			return nil, r.costly()
		}
		more, err := r.yamlObject(&node, 0)
		if err != nil {
			return nil, err
		}
		docs = append(docs, more...)
	}
	if len(docs) == 0 {
		return nil, r.noObjects()
	}
	return docs, nil
}

// yamlObject reads an object, or the objects of a List.
func (r *reader) yamlObject(node *yaml.Node, depth int) ([]Document, error) {
	if depth > MaxDepth {
		return nil, r.fail(fmt.Sprintf("has lists in lists more than %d deep", MaxDepth), "")
	}
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	if items := member(node, "items"); items != nil && items.Kind == yaml.SequenceNode {
		return r.yamlItems(items, depth)
	}
	if node.Kind == yaml.SequenceNode {
		return r.yamlItems(node, depth)
	}
	if kind := member(node, "kind"); kind == nil || !reads(kind.Value) {
		return nil, nil
	}
	var m manifest
	if err := node.Decode(&m); err != nil {
		return nil, r.badYAML(err)
	}
	return r.object(m, node.Line)
}

func (r *reader) yamlItems(items *yaml.Node, depth int) (docs []Document, err error) {
	for _, item := range items.Content {
		more, err := r.yamlObject(item, depth+1)
		if err != nil {
			return nil, err
		}
		if docs = append(docs, more...); len(docs) > MaxDocuments {
			break
		}
	}
	return docs, nil
}

// member is the value of a key of a mapping.
func member(node *yaml.Node, key string) *yaml.Node {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// jsonManifest reads an object, or the objects of a List.
func (r *reader) jsonManifest(raw json.RawMessage, line, depth int) ([]Document, error) {
	if depth > MaxDepth {
		return nil, r.fail(fmt.Sprintf("has lists in lists more than %d deep", MaxDepth), "")
	}
	var list struct {
		only
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, r.mistyped(line, err)
	}
	var docs []Document
	for _, item := range list.Items {
		more, err := r.jsonManifest(item, line, depth+1)
		if err != nil {
			return nil, err
		}
		if docs = append(docs, more...); len(docs) > MaxDocuments {
			break
		}
	}
	if len(list.Items) > 0 || !reads(list.Kind) {
		return docs, nil
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, r.mistyped(line, err)
	}
	return r.object(m, line)
}

// mistyped is an Error without the value that encoding/json would quote.
func (r *reader) mistyped(line int, err error) error {
	e := r.fail("has a value of another type than its field", "values of data are strings")
	e.Line = line
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
		e.What = "has a value of another type than its field " + clip(t.Field)
	}
	return e
}

// object reads one object.
func (r *reader) object(m manifest, line int) ([]Document, error) {
	d := Document{Source: r.source, Line: line, Name: clip(m.Metadata.Name)}
	if m.Metadata.Namespace != "" {
		d.Name = clip(m.Metadata.Namespace + "/" + m.Metadata.Name)
	}
	d.Object = &Object{
		Kind: m.Kind, Namespace: clip(m.Metadata.Namespace), Name: clip(m.Metadata.Name), Type: clip(m.Type),
		Shape: ShapeOther, Immutable: m.Immutable,
	}
	if at, err := time.Parse(time.RFC3339, m.Metadata.Created); err == nil {
		d.Object.Created = utc(at)
	}
	switch m.Kind {
	case "Secret":
		r.secret(&d, m)
	case "ConfigMap":
		r.configMap(&d, m)
	case "ClusterTrustBundle":
		d.Kind, d.Object.Shape = KindBundle, ShapeTrustMap
		r.fill(&d, map[string][]byte{"trustBundle": []byte(m.Spec.TrustBundle)}, roles{roots: []string{"trustBundle"}, needed: []string{"trustBundle"}})
	default:
		r.signingRequest(&d, m)
	}
	return []Document{d}, nil
}

// signingRequest reads a request for a certificate with what came of it.
func (r *reader) signingRequest(d *Document, m manifest) {
	d.Kind = KindCSR
	data := map[string][]byte{}
	for name, value := range map[string]string{"request": m.Spec.Request, "certificate": m.Status.Certificate, "ca": m.Status.CA} {
		if value != "" {
			data[name] = d.base64(name, value)
		}
	}
	f := r.entry("request", data["request"])
	d.add(f)
	switch {
	case len(data["request"]) == 0:
		d.Missing = []string{"request"}
		d.Problems = append(d.Problems, Problem{Code: CodeMissing, Entry: "request", What: "request is absent or empty"})
	case d.Request == nil && len(f.problems) == 0:
		d.Problems = append(d.Problems, Problem{Code: CodeCSR, Entry: "request", What: "holds no certificate signing request"})
	}
	certs, roots := r.entry("certificate", data["certificate"]), r.entry("ca", data["ca"])
	d.Certificates, d.Roots = certs.certs, roots.certs
	d.Problems = append(d.Problems, append(certs.problems, roots.problems...)...)
}
