// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The marks that meshprobe leaves on what it writes.
const (
	labelManaged = "app.kubernetes.io/managed-by"
	managedBy    = "meshprobe"
	labelMesh    = "meshprobe.io/mesh" // Options.Mesh

	// annotationPrevious says what was there before: "absent", "backup" (a
	// Secret meshprobe-backup-KIND-NAME beside it), or, on objects of which
	// only labels or annotations were set, their former values.
	annotationPrevious = "meshprobe.io/previous"
	// annotationWritten is the digest of what was written, by which a later
	// change by somebody else is noticed.
	annotationWritten = "meshprobe.io/written"

	previousAbsent = "absent"
	previousBackup = "backup"
)

// labels are those of every object that meshprobe writes, with more.
func (f *federation) labels(more ...string) map[string]any {
	out := map[string]any{labelManaged: managedBy, labelMesh: f.opts.Mesh}
	for i := 0; i+1 < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

// previousOn is the annotation that keeps the former state of an object. istiod
// copies the annotations of a Gateway to the Deployment and the Service that it
// makes for it, where they must not replace what is kept of those.
func previousOn(o *unstructured.Unstructured) string {
	if strings.HasPrefix(o.GetAPIVersion(), "gateway.networking.k8s.io/") {
		return "meshprobe.io/gateway-previous"
	}
	return annotationPrevious
}

// note is an annotation of an object, "" where there is none or no object.
func note(o *unstructured.Unstructured, name string) string {
	if o == nil {
		return ""
	}
	return o.GetAnnotations()[name]
}

// put makes an object be as wanted, and keeps what it replaces. It writes
// nothing where it is so already.
func (m *member) put(ctx context.Context, k kind, want *unstructured.Unstructured) error {
	return retry(ctx, func() error {
		have, err := m.read(ctx, k, want.GetNamespace(), want.GetName())
		if err != nil {
			return err
		}
		return m.putOver(ctx, k, have, want)
	})
}

func (m *member) putOver(ctx context.Context, k kind, have, want *unstructured.Unstructured) error {
	switch {
	case have == nil:
		return m.create(ctx, k, want)
	case satisfies(have, want):
		return nil
	}
	previous := note(have, previousOn(have))
	if !untouched(have) {
		previous = previousBackup
		if err := m.backup(ctx, k, have); err != nil {
			return err
		}
	}
	next := have.DeepCopy()
	setContent(next, want)
	next.SetLabels(merged(have.GetLabels(), want.GetLabels()))
	next.SetAnnotations(merged(have.GetAnnotations(), want.GetAnnotations()))
	seal(next, previous)
	return m.replace(ctx, k, have, next)
}

// create makes an object that is not there. Where a backup waits, somebody was
// interrupted between deleting and creating: it stays what was there before.
func (m *member) create(ctx context.Context, k kind, want *unstructured.Unstructured) error {
	kept, err := m.read(ctx, secrets, want.GetNamespace(), backupName(k, want.GetName()))
	if err != nil {
		return err
	}
	if kept != nil {
		return m.createNew(ctx, k, want, previousBackup)
	}
	return m.createNew(ctx, k, want, previousAbsent)
}

func (m *member) createNew(ctx context.Context, k kind, want *unstructured.Unstructured, previous string) error {
	next := want.DeepCopy()
	seal(next, previous)
	_, err := m.in(k, want.GetNamespace()).Create(ctx, next, metav1.CreateOptions{})
	return err
}

// replace updates, or makes anew what cannot be updated: the type of a Secret
// and all of an immutable one.
func (m *member) replace(ctx context.Context, k kind, have, next *unstructured.Unstructured) error {
	res := m.in(k, have.GetNamespace())
	if !fixed(have, next) {
		_, err := res.Update(ctx, next, metav1.UpdateOptions{})
		return err
	}
	uid, rv := have.GetUID(), have.GetResourceVersion()
	err := res.Delete(ctx, have.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &rv}})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	_, err = res.Create(ctx, portable(next), metav1.CreateOptions{})
	return err
}

func fixed(have, next *unstructured.Unstructured) bool {
	immutable, _, _ := unstructured.NestedBool(have.Object, "immutable") // absent is false
	return immutable || have.Object["type"] != next.Object["type"]
}

// contentFields are the fields that an object is about.
func contentFields() []string {
	return []string{"type", "immutable", "data", "spec", "rules", "roleRef", "subjects"}
}

func setContent(to, from *unstructured.Unstructured) {
	for _, f := range contentFields() {
		if v, ok := from.Object[f]; ok {
			to.Object[f] = v
		} else {
			delete(to.Object, f)
		}
	}
}

// satisfies reports whether content is equal and labels and annotations are
// there.
func satisfies(have, want *unstructured.Unstructured) bool {
	return digest(have) == digest(want) && holds(have.GetLabels(), want.GetLabels()) && holds(have.GetAnnotations(), want.GetAnnotations())
}

func holds(have, want map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// seal notes what was there before and what is written now.
func seal(o *unstructured.Unstructured, previous string) {
	o.SetAnnotations(merged(o.GetAnnotations(), map[string]string{previousOn(o): previous, annotationWritten: digest(o)}))
}

// untouched reports whether an object is as meshprobe wrote it.
func untouched(o *unstructured.Unstructured) bool {
	a := o.GetAnnotations()
	return a[previousOn(o)] != "" && a[annotationWritten] == digest(o)
}

// digest is a hash over the content of an object.
func digest(o *unstructured.Unstructured) string {
	content := map[string]any{}
	for _, f := range contentFields() {
		if v, ok := o.Object[f]; ok {
			content[f] = v
		}
	}
	text, err := json.Marshal(content) // maps are sorted
	if err != nil {
		return fmt.Sprintf("unreadable: %v", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

func merged(a, b map[string]string) map[string]string {
	if len(a)+len(b) == 0 {
		return nil
	}
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, b)
	return out
}
