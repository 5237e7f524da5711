// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	labelBackup  = "meshprobe.io/backup"
	backupType   = "meshprobe.io/backup"
	backupObject = "object.json"
	backupPrefix = "meshprobe-backup-"
)

func backupName(k kind, name string) string {
	return backupPrefix + string(k) + "-" + name
}

// portable is an object without what belongs to one life of it.
func portable(o *unstructured.Unstructured) *unstructured.Unstructured {
	meta := map[string]any{"name": o.GetName()}
	if ns := o.GetNamespace(); ns != "" {
		meta["namespace"] = ns
	}
	out := &unstructured.Unstructured{Object: map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "metadata": meta}}
	setContent(out, o.DeepCopy())
	if l := o.GetLabels(); len(l) > 0 {
		out.SetLabels(l)
	}
	if a := o.GetAnnotations(); len(a) > 0 {
		out.SetAnnotations(a)
	}
	if owners := o.GetOwnerReferences(); len(owners) > 0 {
		out.SetOwnerReferences(owners)
	}
	return out
}

// backup keeps an object as it is, in a Secret beside it, before it changes. An
// older backup that differs is kept too, under a number.
func (m *member) backup(ctx context.Context, k kind, have *unstructured.Unstructured) error {
	keep := portable(have)
	// What meshprobe itself noted says nothing about the object of somebody
	// who changed it since.
	annotations := keep.GetAnnotations()
	maps.DeleteFunc(annotations, func(name, _ string) bool { return name == previousOn(have) || name == annotationWritten })
	keep.SetAnnotations(annotations)
	if len(annotations) == 0 {
		unstructured.RemoveNestedField(keep.Object, "metadata", "annotations")
	}
	text, err := json.Marshal(keep)
	if err != nil {
		return fmt.Errorf("keep %s %s: %w", string(k), have.GetName(), err)
	}
	ns, name := have.GetNamespace(), backupName(k, have.GetName())
	return retry(ctx, func() error {
		old, err := m.read(ctx, secrets, ns, name)
		if err != nil {
			return err
		}
		data := secretData(old)
		if string(data[backupObject]) == string(text) {
			return nil
		}
		if data == nil {
			data = map[string][]byte{}
		}
		if was, ok := data[backupObject]; ok {
			data[fmt.Sprintf("object-%d.json", len(data))] = was
		}
		data[backupObject] = text
		next := m.newSecret(name, backupType, data, labelBackup, string(k))
		next.SetNamespace(ns)
		if old == nil {
			_, err = m.in(secrets, ns).Create(ctx, next, metav1.CreateOptions{})
			return err
		}
		next.SetResourceVersion(old.GetResourceVersion())
		_, err = m.in(secrets, ns).Update(ctx, next, metav1.UpdateOptions{})
		return err
	})
}

// restore puts back what was there before meshprobe wrote: the object of the
// backup, or nothing. What meshprobe never wrote stays.
func (m *member) restore(ctx context.Context, k kind, namespace, name string) error {
	return retry(ctx, func() error {
		have, err := m.read(ctx, k, namespace, name)
		if err != nil {
			return err
		}
		kept, err := m.read(ctx, secrets, namespace, backupName(k, name))
		if err != nil {
			return err
		}
		switch {
		case kept != nil:
			return m.restoreFrom(ctx, k, have, kept)
		case have != nil && have.GetAnnotations()[previousOn(have)] == previousAbsent:
			return m.drop(ctx, k, namespace, name)
		}
		return nil
	})
}

func (m *member) restoreFrom(ctx context.Context, k kind, have, kept *unstructured.Unstructured) error {
	was := &unstructured.Unstructured{}
	if err := json.Unmarshal(secretData(kept)[backupObject], was); err != nil {
		return fmt.Errorf("backup %s cannot be read: %w", kept.GetName(), err)
	}
	var err error
	switch {
	case have == nil:
		_, err = m.in(k, was.GetNamespace()).Create(ctx, was, metav1.CreateOptions{})
	case digest(portable(have)) == digest(was) && maps.Equal(have.GetLabels(), was.GetLabels()) && maps.Equal(have.GetAnnotations(), was.GetAnnotations()):
	default:
		next := have.DeepCopy()
		setContent(next, was)
		next.SetLabels(was.GetLabels())
		next.SetAnnotations(was.GetAnnotations())
		err = m.replace(ctx, k, have, next)
	}
	if err != nil {
		return err
	}
	return m.drop(ctx, secrets, kept.GetNamespace(), kept.GetName())
}

// remove deletes an object that may be gone already.
func (m *member) remove(ctx context.Context, k kind, namespace, name string) error {
	return retry(ctx, func() error { return m.drop(ctx, k, namespace, name) })
}

// drop is remove without retries.
func (m *member) drop(ctx context.Context, k kind, namespace, name string) error {
	err := m.in(k, namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// written lists the objects of a kind in the control plane's namespace that
// meshprobe wrote or keeps a backup of, by name, sorted.
func (m *member) written(ctx context.Context, k kind, selector string) ([]string, error) {
	names := map[string]bool{}
	items, err := m.list(ctx, k, m.ns, selector)
	if err != nil {
		return nil, err
	}
	for _, o := range items {
		if o.GetAnnotations()[annotationPrevious] != "" {
			names[o.GetName()] = true
		}
	}
	kept, err := m.list(ctx, secrets, m.ns, labelBackup+"="+string(k))
	if err != nil {
		return nil, err
	}
	for _, o := range kept {
		names[strings.TrimPrefix(o.GetName(), backupName(k, ""))] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}
