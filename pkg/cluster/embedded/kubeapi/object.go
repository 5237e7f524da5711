// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// object is what the store holds: a type of k8s.io/api or an Unstructured.
type object interface {
	runtime.Object
	metav1.Object
}

// asObject fails only for what is no API object at all, e.g. a list.
func asObject(o runtime.Object) (object, error) {
	if obj, ok := o.(object); ok {
		return obj, nil
	}
	return nil, fmt.Errorf("%T is not an API object", o)
}

func copyOf(o object) object {
	return o.DeepCopyObject().(object) //nolint:forcetypeassert // a copy has the type of its original
}

// newObject returns an empty object of the resource as the store keeps it.
func newObject(r *Resource, version string) object {
	if r.typed() {
		if o, err := scheme.Scheme.New(r.gvk(r.Versions[0])); err == nil {
			if obj, ok := o.(object); ok {
				return obj
			}
		}
	}
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(r.gvk(version))
	return u
}

// normal turns what a caller in the process hands in into what the store keeps:
// typed for builtin kinds, unstructured for custom ones, with its kind filled in.
func normal(r *Resource, in runtime.Object) (object, error) {
	u, isMap := in.(*unstructured.Unstructured)
	switch {
	case r.typed() && isMap:
		out := newObject(r, r.Versions[0])
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out); err != nil {
			return nil, err
		}
		setKind(out, r, r.Versions[0])
		return out, nil
	case !r.typed() && !isMap:
		m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(in)
		if err != nil {
			return nil, err
		}
		out := &unstructured.Unstructured{Object: m}
		setKind(out, r, r.Versions[0])
		return out, nil
	}
	out, err := asObject(in.DeepCopyObject())
	if err != nil {
		return nil, err
	}
	setKind(out, r, r.Versions[0])
	return out, nil
}

func setKind(o object, r *Resource, version string) {
	o.GetObjectKind().SetGroupVersionKind(r.gvk(version))
}

// part returns a field (Spec, Webhooks) of a typed object; nil where the kind
// has none.
func part(o object, name string) any {
	f := reflect.ValueOf(o).Elem().FieldByName(name)
	if !f.IsValid() {
		return nil
	}
	return f.Interface()
}

// setStatus makes the status of dst that of src; a nil src clears it.
func setStatus(dst, src object) {
	if u, ok := dst.(*unstructured.Unstructured); ok {
		delete(u.Object, "status")
		if from, ok := src.(*unstructured.Unstructured); ok && from.Object["status"] != nil {
			u.Object["status"] = runtime.DeepCopyJSONValue(from.Object["status"])
		}
		return
	}
	f := reflect.ValueOf(dst).Elem().FieldByName("Status")
	if !f.IsValid() {
		return
	}
	if src == nil {
		f.SetZero()
		return
	}
	f.Set(reflect.ValueOf(copyOf(src)).Elem().FieldByName("Status"))
}

// sameSpec reports whether nothing but metadata and status differs: what leaves
// metadata.generation as it is.
func sameSpec(a, b object) bool {
	ua, ok := a.(*unstructured.Unstructured)
	if !ok {
		if part(a, "Spec") == nil {
			return equality.Semantic.DeepEqual(part(a, "Webhooks"), part(b, "Webhooks"))
		}
		return equality.Semantic.DeepEqual(part(a, "Spec"), part(b, "Spec"))
	}
	ub, ok := b.(*unstructured.Unstructured)
	return ok && equality.Semantic.DeepEqual(withoutMeta(ua.Object), withoutMeta(ub.Object))
}

func withoutMeta(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		switch k {
		case "metadata", "status", "apiVersion", "kind":
		default:
			out[k] = v
		}
	}
	return out
}

// gvkOf returns the kind of an object given in Go, from its type where
// TypeMeta is empty.
func gvkOf(o runtime.Object) (schema.GroupVersionKind, error) {
	if k := o.GetObjectKind().GroupVersionKind(); !k.Empty() {
		return k, nil
	}
	kinds, _, err := scheme.Scheme.ObjectKinds(o)
	if err != nil {
		return schema.GroupVersionKind{}, err
	}
	return kinds[0], nil
}

// trackerScheme is all that the object tracker asks of a scheme: a list that
// takes any kind.
type trackerScheme struct{}

func (trackerScheme) New(schema.GroupVersionKind) (runtime.Object, error) { return &metav1.List{}, nil }

func (trackerScheme) ObjectKinds(o runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	k, err := gvkOf(o)
	return []schema.GroupVersionKind{k}, false, err
}

func (trackerScheme) Recognizes(schema.GroupVersionKind) bool { return true }

// items unpacks a list of the tracker.
func items(list runtime.Object) ([]object, error) {
	raw, err := meta.ExtractList(list)
	if err != nil {
		return nil, err
	}
	out := make([]object, 0, len(raw))
	for _, o := range raw {
		obj, err := asObject(o)
		if err != nil {
			return nil, err
		}
		out = append(out, obj)
	}
	return out, nil
}
