// SPDX-License-Identifier: Apache-2.0

package material

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// node is a value of JSON whose keys are in snake case, so that Envoy's own
// spelling and that of protobuf's JSON mapping, which istioctl uses, are one.
type node struct{ value any }

var errBounds = errors.New("more values or deeper nesting than a dump has")

// tree reads a value with bounds on depth and number.
func tree(raw []byte) (node, error) {
	// Every value but the first of a list or object follows a comma. Counting those
	// in strings too is on the safe side, and far cheaper than building the tree.
	if bytes.Count(raw, []byte(","))+bytes.Count(raw, []byte("["))+bytes.Count(raw, []byte("{")) > MaxNodes {
		return node{}, errBounds
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	value, err := build(dec, 0)
	return node{value}, err
}

func build(dec *json.Decoder, depth int) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	if depth > MaxDepth {
		return nil, errBounds
	}
	switch tok {
	case json.Delim('{'):
		out := map[string]any{}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			value, err := build(dec, depth+1)
			if err != nil {
				return nil, err
			}
			name, _ := key.(string)
			out[snake(name)] = value
		}
		_, err = dec.Token()
		return out, err
	case json.Delim('['):
		var out []any
		for dec.More() {
			value, err := build(dec, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, value)
		}
		_, err = dec.Token()
		return out, err
	}
	return tok, nil
}

// snake turns trustedCa into trusted_ca.
func snake(key string) string {
	if strings.ToLower(key) == key {
		return key
	}
	var b strings.Builder
	for _, r := range key {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// get follows a path of keys; a missing one leads to an empty node.
func (n node) get(path ...string) node {
	for _, key := range path {
		m, _ := n.value.(map[string]any)
		n = node{m[key]}
	}
	return n
}

// has reports whether the node is an object with the key.
func (n node) has(key string) bool {
	m, _ := n.value.(map[string]any)
	_, ok := m[key]
	return ok
}

func (n node) exists() bool { return n.value != nil }

func (n node) text() string {
	s, _ := n.value.(string)
	return s
}

func (n node) flag() bool {
	b, _ := n.value.(bool)
	return b
}

func (n node) list() []node {
	l, _ := n.value.([]any)
	out := make([]node, len(l))
	for i := range l {
		out[i] = node{l[i]}
	}
	return out
}

func (n node) time() time.Time {
	at, err := time.Parse(time.RFC3339, n.text())
	if err != nil {
		return time.Time{}
	}
	return utc(at)
}

// typeIs reports whether the message is of a type, whatever its package's version.
func (n node) typeIs(suffix string) bool {
	return strings.HasSuffix(n.get("@type").text(), suffix)
}
