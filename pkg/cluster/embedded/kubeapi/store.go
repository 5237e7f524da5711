// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"fmt"
	"sort"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
)

// Store is the objects of one cluster, without HTTP, TLS or access control but
// with every other rule of the API: versions, conflicts, validation, namespaces.
// Errors are those of apimachinery's errors package. Objects that go in are
// copied; objects that come out belong to the caller, except those of an
// [Event]. Safe for concurrent use.
type Store struct {
	table  *table
	now    func() time.Time
	admit  func(*Admission) error
	issuer *issuer
	caPEM  []byte

	mu      sync.RWMutex // orders writes; the tracker has its own lock inside
	tracker clienttesting.ObjectTracker
	rev     uint64 // resourceVersion of the newest write, one for all resources
	past    map[schema.GroupVersionResource]*history

	feed feed
}

func newStore(t *table, o Options) *Store {
	s := &Store{
		table: t, now: o.Now, admit: o.Admit,
		tracker: clienttesting.NewObjectTracker(trackerScheme{}, nil),
		rev:     1,
		past:    make(map[schema.GroupVersionResource]*history, len(t.rows)),
	}
	for _, r := range t.rows {
		s.past[r.storage()] = newHistory(1)
	}
	return s
}

// row finds a resource. What is not served is NotFound, as on a real server.
func (s *Store) row(gvr schema.GroupVersionResource) (*Resource, error) {
	if r, ok := s.table.byName[gvr]; ok {
		return r, nil
	}
	return nil, fmt.Errorf("kubeapi: %s is not served: %w", gvr, errNoPage())
}

// Get returns one object, in the version asked for.
func (s *Store) Get(gvr schema.GroupVersionResource, namespace, name string) (runtime.Object, error) {
	r, err := s.row(gvr)
	if err != nil {
		return nil, err
	}
	return out(s.get(r, namespace, name))(gvr.Version)
}

// out hides the store's version behind the one that a caller asked for.
func out(o object, err error) func(version string) (runtime.Object, error) {
	return func(version string) (runtime.Object, error) {
		if err != nil {
			return nil, err
		}
		return inVersion(o, version), nil
	}
}

// inVersion relabels a custom object, whose versions have one schema. o is changed.
func inVersion(o object, version string) object {
	if u, ok := o.(*unstructured.Unstructured); ok {
		k := u.GroupVersionKind()
		if k.Version != version {
			k.Version = version
			u.SetGroupVersionKind(k)
		}
	}
	return o
}

func (s *Store) get(r *Resource, namespace, name string) (object, error) {
	o, err := s.tracker.Get(r.storage(), namespace, name)
	if err != nil {
		return nil, err
	}
	return asObject(o)
}

// List returns the objects of one namespace, or of all for "", that the
// selector (nil: any) takes, ordered by namespace and name, and the
// resourceVersion they are current at.
func (s *Store) List(gvr schema.GroupVersionResource, namespace string, sel labels.Selector) ([]runtime.Object, string, error) {
	r, err := s.row(gvr)
	if err != nil {
		return nil, "", err
	}
	if sel == nil {
		sel = labels.Everything()
	}
	all, rev, err := s.list(r, namespace, func(o object) bool { return sel.Matches(labels.Set(o.GetLabels())) })
	if err != nil {
		return nil, "", err
	}
	objs := make([]runtime.Object, len(all))
	for i, o := range all {
		objs[i] = inVersion(o, gvr.Version)
	}
	return objs, strconv.FormatUint(rev, 10), nil
}

func (s *Store) list(r *Resource, namespace string, takes func(object) bool) ([]object, uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	objs, err := s.listLocked(r, namespace, takes)
	return objs, s.rev, err
}

func (s *Store) listLocked(r *Resource, namespace string, takes func(object) bool) ([]object, error) {
	l, err := s.tracker.List(r.storage(), r.gvk(r.Versions[0]), namespace)
	if err != nil {
		return nil, err
	}
	all, err := items(l)
	if err != nil {
		return nil, err
	}
	kept := all[:0]
	for _, o := range all {
		if takes(o) {
			kept = append(kept, o)
		}
	}
	sort.Slice(kept, func(i, j int) bool { return keyOf(kept[i]) < keyOf(kept[j]) })
	return kept, nil
}

// keyOf orders objects as etcd orders their keys.
func keyOf(o object) string { return o.GetNamespace() + "/" + o.GetName() }

// commit makes one write visible: to readers, to watches and, once the lock is
// released, to subscribers. s.mu is held for writing.
func (s *Store) commit(r *Resource, kind watch.EventType, o, prev object) error {
	s.rev++
	o.SetResourceVersion(strconv.FormatUint(s.rev, 10))
	var err error
	switch kind {
	case watch.Added:
		err = s.tracker.Create(r.storage(), o, o.GetNamespace())
	case watch.Deleted:
		err = s.tracker.Delete(r.storage(), o.GetNamespace(), o.GetName())
	default:
		err = s.tracker.Update(r.storage(), o, o.GetNamespace())
	}
	if err != nil {
		return err
	}
	c := change{kind: kind, obj: copyOf(o), prev: prev, rev: s.rev}
	s.past[r.storage()].add(c)
	s.feed.push(r.storage(), c)
	return nil
}

// write runs f with the store locked, then tells the subscribers.
func (s *Store) write(f func() error) error {
	err := func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		return f()
	}()
	s.feed.deliver()
	return err
}

// errNoPage is what a real server says for a path that it does not serve.
func errNoPage() *apierrors.StatusError {
	e := apierrors.NewGenericServerResponse(404, "", schema.GroupResource{}, "", "", 0, false)
	e.ErrStatus.Message = "the server could not find the requested resource"
	e.ErrStatus.Details = nil
	return e
}
