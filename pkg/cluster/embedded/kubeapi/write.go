// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	generatedSuffix = 5
	// maxGeneratedBase is what a generateName is cut to, names.SimpleNameGenerator
	// of k8s.io/apiserver: 63 - generatedSuffix.
	maxGeneratedBase = 58

	optimisticLock = "the object has been modified; please apply your changes to the latest version and try again"
)

// Admission is what [Options.Admit] sees of a write before it is validated.
type Admission struct {
	Operation   string // "CREATE", "UPDATE", "DELETE"
	Resource    schema.GroupVersionResource
	Subresource string         // "status" or empty
	Object      runtime.Object // may be changed in place; nil for DELETE
	Old         runtime.Object // nil for CREATE
}

// writeMode says which of the API's rules bend for one write.
type writeMode struct {
	dryRun     bool
	keepStatus bool // a create may bring its status
	status     bool // an update of the status subresource
}

// Create stores a new object, as POST does, and returns it as stored.
func (s *Store) Create(gvr schema.GroupVersionResource, namespace string, obj runtime.Object) (runtime.Object, error) {
	return s.createAs(gvr, namespace, obj, writeMode{})
}

// Add creates an object with its status, in the namespace it names: what a
// seed needs, and a kubelet that makes a pod running at once.
func (s *Store) Add(obj runtime.Object) (runtime.Object, error) {
	gvk, err := gvkOf(obj)
	if err != nil {
		return nil, fmt.Errorf("kubeapi: %w", err)
	}
	r, ok := s.table.byKind[gvk]
	if !ok {
		return nil, fmt.Errorf("kubeapi: kind %s is not served: %w", gvk, errNoPage())
	}
	o, err := asObject(obj)
	if err != nil {
		return nil, fmt.Errorf("kubeapi: %w", err)
	}
	return s.createAs(r.storage(), o.GetNamespace(), obj, writeMode{keepStatus: true})
}

func (s *Store) createAs(gvr schema.GroupVersionResource, namespace string, obj runtime.Object, m writeMode) (runtime.Object, error) {
	r, err := s.row(gvr)
	if err != nil {
		return nil, err
	}
	o, err := normal(r, obj)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	err = s.write(func() error { return s.create(r, namespace, o, m) })
	return out(o, err)(gvr.Version)
}

// create completes o in place. s.mu is held.
func (s *Store) create(r *Resource, namespace string, o object, m writeMode) error {
	if err := placed(r, namespace, o); err != nil {
		return err
	}
	if o.GetResourceVersion() != "" {
		return errors.New("resourceVersion should not be set on objects to be created")
	}
	if err := s.needNamespace(r, namespace); err != nil {
		return err
	}
	o.SetUID(uuid.NewUUID())
	o.SetCreationTimestamp(metav1.NewTime(s.now().UTC().Truncate(1e9)))
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetSelfLink("")
	o.SetManagedFields(nil)
	o.SetGeneration(0)
	if r.Generation {
		o.SetGeneration(1)
	}
	if r.Status && !m.keepStatus {
		setStatus(o, nil)
	}
	s.name(r, o)
	setDefaults(o)
	if err := s.admitted(&Admission{Operation: "CREATE", Resource: r.storage(), Object: o}); err != nil {
		return err
	}
	if err := invalid(r, o, validate(r, o, nil)); err != nil {
		return err
	}
	if _, err := s.get(r, o.GetNamespace(), o.GetName()); err == nil {
		return apierrors.NewAlreadyExists(r.gr(), o.GetName())
	}
	if m.dryRun {
		return nil
	}
	if err := s.fill(o); err != nil {
		return err
	}
	if err := s.commit(r, watch.Added, o, nil); err != nil {
		return err
	}
	return s.furnish(o)
}

// name turns generateName into a name. A real server leaves a collision to the
// caller only after several tries, so here it never happens.
func (s *Store) name(r *Resource, o object) {
	base := o.GetGenerateName()
	if o.GetName() != "" || base == "" {
		return
	}
	base = base[:min(len(base), maxGeneratedBase)]
	for {
		o.SetName(base + rand.String(generatedSuffix))
		if _, err := s.get(r, o.GetNamespace(), o.GetName()); err != nil {
			return
		}
	}
}

// placed checks the object's namespace against that of the request and fills it in.
func placed(r *Resource, namespace string, o object) error {
	switch {
	case !r.Namespaced:
		if o.GetNamespace() != "" {
			return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
		}
	case namespace == "":
		return apierrors.NewBadRequest("an empty namespace may not be set during creation")
	case o.GetNamespace() == "":
		o.SetNamespace(namespace)
	case o.GetNamespace() != namespace:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return nil
}

// needNamespace is the NamespaceLifecycle admission of a real server.
func (s *Store) needNamespace(r *Resource, namespace string) error {
	if !r.Namespaced {
		return nil
	}
	ns, err := s.tracker.Get(namespaces(), "", namespace)
	if err != nil {
		return apierrors.NewNotFound(namespaces().GroupResource(), namespace)
	}
	if o, err := asObject(ns); err == nil && o.GetDeletionTimestamp() != nil {
		e := apierrors.NewForbidden(r.gr(), "", fmt.Errorf("unable to create new content in namespace %s because it is being terminated", namespace))
		e.ErrStatus.Details.Causes = []metav1.StatusCause{{
			Type:    "NamespaceTerminating",
			Message: fmt.Sprintf("namespace %s is being terminated", namespace), Field: "metadata.namespace",
		}}
		return e
	}
	return nil
}

func (s *Store) admitted(a *Admission) error {
	if s.admit == nil {
		return nil
	}
	return s.admit(a)
}

// Update replaces an object, as PUT does: NotFound when it is gone, Conflict
// when obj carries a resourceVersion that is not the stored one. Kinds with a
// status subresource keep their status.
func (s *Store) Update(gvr schema.GroupVersionResource, obj runtime.Object) (runtime.Object, error) {
	return s.updateAs(gvr, obj, writeMode{})
}

// UpdateStatus replaces the status of an object and leaves the rest alone.
func (s *Store) UpdateStatus(gvr schema.GroupVersionResource, obj runtime.Object) (runtime.Object, error) {
	return s.updateAs(gvr, obj, writeMode{status: true})
}

func (s *Store) updateAs(gvr schema.GroupVersionResource, obj runtime.Object, m writeMode) (runtime.Object, error) {
	r, err := s.row(gvr)
	if err != nil {
		return nil, err
	}
	o, err := normal(r, obj)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	err = s.write(func() (err error) {
		o, err = s.update(r, o.GetNamespace(), o, m)
		return err
	})
	return out(o, err)(gvr.Version)
}

// update returns the object as stored. s.mu is held.
func (s *Store) update(r *Resource, namespace string, o object, m writeMode) (object, error) {
	if err := placed(r, namespace, o); err != nil {
		return nil, err
	}
	prev, err := s.get(r, namespace, o.GetName())
	if err != nil {
		return nil, err
	}
	if err := current(r, prev, o); err != nil {
		return nil, err
	}
	sub := ""
	if m.status {
		sub = "status"
	}
	o = merged(r, prev, o, m)
	setDefaults(o)
	if err := s.admitted(&Admission{Operation: "UPDATE", Resource: r.storage(), Subresource: sub, Object: o, Old: prev}); err != nil {
		return nil, err
	}
	if err := invalid(r, o, validate(r, o, prev)); err != nil {
		return nil, err
	}
	if err := s.fill(o); err != nil {
		return nil, err
	}
	if r.Generation && !sameSpec(prev, o) {
		o.SetGeneration(prev.GetGeneration() + 1)
	}
	if m.dryRun || equality.Semantic.DeepEqual(prev, o) {
		return o, nil // as on a real server, a write that changes nothing is none
	}
	if o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 {
		return o, s.remove(r, o)
	}
	return o, s.commit(r, watch.Modified, o, prev)
}

// current is the optimistic lock.
func current(r *Resource, prev, o object) error {
	if uid := o.GetUID(); uid != "" && uid != prev.GetUID() {
		return apierrors.NewConflict(r.gr(), o.GetName(), fmt.Errorf(
			"Precondition failed: UID in precondition: %v, UID in object meta: %v", uid, prev.GetUID()))
	}
	switch o.GetResourceVersion() {
	case "":
		if !r.typed() {
			return missingVersion(r, o)
		}
	case prev.GetResourceVersion():
	default:
		return apierrors.NewConflict(r.gr(), o.GetName(), errors.New(optimisticLock))
	}
	return nil
}

// merged gives the parts of o that a client cannot write their stored values.
func merged(r *Resource, prev, o object, m writeMode) object {
	if m.status {
		next := copyOf(prev)
		setStatus(next, o)
		return next
	}
	o.SetUID(prev.GetUID())
	o.SetResourceVersion(prev.GetResourceVersion())
	o.SetCreationTimestamp(prev.GetCreationTimestamp())
	o.SetDeletionTimestamp(prev.GetDeletionTimestamp())
	o.SetDeletionGracePeriodSeconds(prev.GetDeletionGracePeriodSeconds())
	o.SetGeneration(prev.GetGeneration())
	o.SetGenerateName(prev.GetGenerateName())
	o.SetSelfLink("")
	o.SetManagedFields(prev.GetManagedFields())
	if r.Status {
		setStatus(o, prev)
	}
	return o
}

// preconditions of a DELETE.
func preconditions(r *Resource, o object, p *metav1.Preconditions) error {
	if p == nil {
		return nil
	}
	if p.UID != nil && *p.UID != o.GetUID() {
		return deleteConflict(r, o, "UID", *p.UID, o.GetUID())
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != o.GetResourceVersion() {
		return deleteConflict(r, o, "ResourceVersion", types.UID(*p.ResourceVersion), types.UID(o.GetResourceVersion()))
	}
	return nil
}

func deleteConflict(r *Resource, o object, what string, want, got types.UID) error {
	return apierrors.NewConflict(r.gr(), o.GetName(), fmt.Errorf(
		"Precondition failed: %s in precondition: %v, %s in object meta: %v", what, want, what, got))
}

// namespaces is the resource that every namespaced write asks about.
func namespaces() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
}
