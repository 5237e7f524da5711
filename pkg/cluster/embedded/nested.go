// SPDX-License-Identifier: Apache-2.0

package embedded

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// Custom resources are read leniently: a field of the wrong type counts as
// absent, as the objects come from whoever may write to the API.

func nestedString(o map[string]any, path ...string) string {
	s, _, err := unstructured.NestedString(o, path...)
	if err != nil {
		return ""
	}
	return s
}

func nestedStrings(o map[string]any, path ...string) []string {
	s, _, err := unstructured.NestedStringSlice(o, path...)
	if err != nil {
		return nil
	}
	return s
}

func nestedStringMap(o map[string]any, path ...string) map[string]string {
	m, _, err := unstructured.NestedStringMap(o, path...)
	if err != nil {
		return nil
	}
	return m
}

func nestedInt(o map[string]any, path ...string) int64 {
	n, _, err := unstructured.NestedInt64(o, path...)
	if err != nil {
		return 0
	}
	return n
}

func nestedInts(o map[string]any, path ...string) map[string]int64 {
	m, _, err := unstructured.NestedMap(o, path...)
	if err != nil {
		return nil
	}
	out := map[string]int64{}
	for k, v := range m {
		if n, ok := v.(int64); ok {
			out[k] = n
		}
	}
	return out
}

func nestedMaps(o map[string]any, path ...string) []map[string]any {
	list, _, err := unstructured.NestedSlice(o, path...)
	if err != nil {
		return nil
	}
	var out []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
