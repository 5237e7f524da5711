// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/agext/levenshtein"
	"go.yaml.in/yaml/v3"
)

// TopologyError says what is wrong with a topology, and where.
type TopologyError struct {
	Line int    // 1-based line of the file, 0 where there is none
	Msg  string // what is wrong
	Hint string // what to write instead, may be empty
}

// Error is "line N: what is wrong".
func (e *TopologyError) Error() string {
	if e.Line == 0 {
		return e.Msg
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
}

// maxTopology bounds a topology file; 100 clusters fit many times over.
const maxTopology = 4 << 20

// ParseTopology reads a topology file, strictly: an unknown field is an error
// that names the field, its line and the nearest field there is. Errors are
// *TopologyError.
func ParseTopology(r io.Reader) (Topology, error) { return parseTopology(r, false) }

// ParseLiveTopology is ParseTopology for clusters that are there already: a
// network, a trust domain, namespaces and edges that the file leaves out stay
// open, for whoever attaches to the clusters to find out. A context that is
// left out is the cluster's name.
func ParseLiveTopology(r io.Reader) (Topology, error) { return parseTopology(r, true) }

func parseTopology(r io.Reader, open bool) (Topology, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxTopology+1))
	if err != nil {
		return Topology{}, fmt.Errorf("cluster: read topology: %w", err)
	}
	if len(data) > maxTopology {
		return Topology{}, &TopologyError{Msg: "the topology is larger than 4 MiB"}
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return Topology{}, yamlError(err)
	}
	if len(doc.Content) == 0 {
		return Topology{}, &TopologyError{Msg: "the topology is empty", Hint: "start it with: version: " + TopologyVersion}
	}
	if err := knownFields(doc.Content[0], reflect.TypeFor[Topology]()); err != nil {
		return Topology{}, err
	}
	var t Topology
	if err := doc.Decode(&t); err != nil {
		return Topology{}, yamlError(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Topology{}, &TopologyError{Msg: "the file holds more than one document", Hint: "keep one topology per file"}
	}
	if open {
		return t.completeOpen(&doc)
	}
	return t.complete(&doc)
}

// yamlError keeps the first complaint of the YAML library, without its prefix.
func yamlError(err error) error {
	if already, ok := errors.AsType[*TopologyError](err); ok {
		return already
	}
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if te, ok := errors.AsType[*yaml.TypeError](err); ok && len(te.Errors) > 0 {
		msg = te.Errors[0]
	}
	te := &TopologyError{Msg: msg}
	var rest int
	if n, _ := fmt.Sscanf(msg, "line %d:%n", &te.Line, &rest); n == 1 {
		_, te.Msg, _ = strings.Cut(msg, ": ")
	}
	return te
}

// knownFields walks the document beside the Go type, because the library's
// own strict mode knows neither the nearest field nor the path.
func knownFields(n *yaml.Node, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.AliasNode {
		return &TopologyError{Line: n.Line, Msg: "aliases are not supported", Hint: "write the value out"}
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]()) {
		return nil
	}
	switch {
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			if err := knownFields(item, t.Elem()); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		return knownKeys(n, t)
	}
	return nil
}

func knownKeys(n *yaml.Node, t reflect.Type) error {
	fields := map[string]reflect.Type{}
	names := make([]string, 0, t.NumField())
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" {
			fields[name] = f.Type
			names = append(names, name)
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		ft, ok := fields[key.Value]
		if !ok {
			return &TopologyError{Line: key.Line, Msg: fmt.Sprintf("unknown field %q", key.Value), Hint: DidYouMean(key.Value, names)}
		}
		if err := knownFields(n.Content[i+1], ft); err != nil {
			return err
		}
	}
	return nil
}

// Nearest returns the candidate that is closest to word by edit distance, and
// false where there is no candidate. Ties go to the first.
func Nearest(word string, candidates []string) (string, bool) {
	best, distance := "", -1
	for _, c := range candidates {
		if d := levenshtein.Distance(word, c, nil); distance < 0 || d < distance {
			best, distance = c, d
		}
	}
	return best, distance >= 0
}

// DidYouMean is the hint for an unknown word: the nearest candidate, empty
// where there is none.
func DidYouMean(word string, candidates []string) string {
	if c, ok := Nearest(word, candidates); ok {
		return fmt.Sprintf("did you mean %q?", c)
	}
	return ""
}

// UnmarshalYAML reads cluster/namespace/name.
func (r *Ref) UnmarshalYAML(n *yaml.Node) error {
	ref, err := ParseRef(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return &TopologyError{Line: n.Line, Msg: fmt.Sprintf("%q is not cluster/namespace/name", n.Value), Hint: "write it as east/shop/reviews"}
	}
	*r = ref
	return nil
}

// MarshalYAML writes cluster/namespace/name.
func (r Ref) MarshalYAML() (any, error) { return r.String(), nil }
