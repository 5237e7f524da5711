// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// edit sets one string of a live object, a label or an annotation.
type edit struct {
	Path  []string `json:"path"`
	Value *string  `json:"value"` // nil: absent

	// follows is set with the others, but is no reason to write by itself.
	follows bool
}

// touch sets labels and annotations of an object that belongs to somebody else.
// Their former values are kept in an annotation of the object, in the same
// write.
func (m *member) touch(ctx context.Context, k kind, o *unstructured.Unstructured, edits ...edit) error {
	ns, name := o.GetNamespace(), o.GetName()
	return retry(ctx, func() error {
		if o == nil {
			var err error
			if o, err = m.read(ctx, k, ns, name); o == nil || err != nil {
				return errors.Join(err, gone(o, k, ns, name))
			}
		}
		if !differs(o, edits) {
			return nil
		}
		err := m.patch(ctx, k, o, append(edits, remember(o, edits)...))
		if apierrors.IsConflict(err) {
			o = nil
		}
		return err
	})
}

func gone(o *unstructured.Unstructured, k kind, namespace, name string) error {
	if o != nil {
		return nil
	}
	return fmt.Errorf("%s %s/%s is gone", string(k), namespace, name)
}

func differs(o *unstructured.Unstructured, edits []edit) bool {
	return slices.ContainsFunc(edits, func(e edit) bool {
		got := valueAt(o, e.Path)
		return !e.follows && (got == nil || *got != *e.Value)
	})
}

// remember is the edit of the annotation that keeps former values. What was
// kept once is not overwritten.
func remember(o *unstructured.Unstructured, edits []edit) []edit {
	kept := former(o)
	for _, e := range edits {
		if !slices.ContainsFunc(kept, func(f edit) bool { return slices.Equal(f.Path, e.Path) }) {
			kept = append(kept, edit{Path: e.Path, Value: valueAt(o, e.Path)})
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return nil
	}
	return []edit{{Path: []string{"metadata", "annotations", previousOn(o)}, Value: new(string(text))}}
}

func former(o *unstructured.Unstructured) []edit {
	var kept []edit
	if json.Unmarshal([]byte(o.GetAnnotations()[previousOn(o)]), &kept) != nil {
		return nil
	}
	return kept
}

// untouch puts the former values back. Where no label or annotation is left,
// their map goes too, as if it had never been.
func (m *member) untouch(ctx context.Context, k kind, namespace, name string) error {
	return retry(ctx, func() error {
		o, err := m.read(ctx, k, namespace, name)
		if err != nil || o == nil {
			return err
		}
		edits := former(o)
		if len(edits) == 0 {
			return nil
		}
		return m.patch(ctx, k, o, append(edits, edit{Path: []string{"metadata", "annotations", previousOn(o)}}))
	})
}

// patch writes edits if the object is still as read.
func (m *member) patch(ctx context.Context, k kind, o *unstructured.Unstructured, edits []edit) error {
	body := map[string]any{"metadata": map[string]any{"resourceVersion": o.GetResourceVersion()}}
	after := o.DeepCopy()
	for _, e := range edits {
		if e.Value == nil {
			unstructured.RemoveNestedField(after.Object, e.Path...)
			setAt(body, nil, e.Path)
			continue
		}
		setAt(body, *e.Value, e.Path)
		setAt(after.Object, *e.Value, e.Path)
	}
	for _, e := range edits {
		parent := e.Path[:len(e.Path)-1]
		if left, ok, err := unstructured.NestedMap(after.Object, parent...); err == nil && ok && len(left) == 0 {
			setAt(body, nil, parent)
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = m.in(k, o.GetNamespace()).Patch(ctx, o.GetName(), types.MergePatchType, text, metav1.PatchOptions{})
	return err
}

func valueAt(o *unstructured.Unstructured, path []string) *string {
	v, ok, err := unstructured.NestedString(o.Object, path...)
	if !ok || err != nil {
		return nil
	}
	return &v
}

func setAt(o map[string]any, v any, path []string) {
	for _, p := range path[:len(path)-1] {
		next, ok := o[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			o[p] = next
		}
		o = next
	}
	o[path[len(path)-1]] = v
}

func label(name, value string) edit {
	return edit{Path: []string{"metadata", "labels", name}, Value: &value}
}
