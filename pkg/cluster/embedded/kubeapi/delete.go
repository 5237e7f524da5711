// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// Delete removes an object, as DELETE does. One with finalizers is only marked
// and goes when an update takes the last of them away. A namespace takes all
// that is in it along.
func (s *Store) Delete(gvr schema.GroupVersionResource, namespace, name string) error {
	r, err := s.row(gvr)
	if err != nil {
		return err
	}
	return s.write(func() error {
		_, _, err := s.delete(r, namespace, name, &metav1.DeleteOptions{})
		return err
	})
}

// delete returns the last state and whether the object is gone. s.mu is held.
func (s *Store) delete(r *Resource, namespace, name string, opts *metav1.DeleteOptions) (object, bool, error) {
	o, err := s.get(r, namespace, name)
	if err != nil {
		return nil, false, err
	}
	if err := preconditions(r, o, opts.Preconditions); err != nil {
		return nil, false, err
	}
	if err := s.admitted(&Admission{Operation: "DELETE", Resource: r.storage(), Old: o}); err != nil {
		return nil, false, err
	}
	if len(opts.DryRun) > 0 {
		return o, true, nil
	}
	if r.Kind == "Namespace" && r.Group == "" {
		return s.deleteNamespace(r, o)
	}
	if len(o.GetFinalizers()) > 0 {
		return o, false, s.mark(r, o)
	}
	return o, true, s.remove(r, o)
}

// mark sets the deletionTimestamp, once.
func (s *Store) mark(r *Resource, o object) error {
	if o.GetDeletionTimestamp() != nil {
		return nil
	}
	prev := copyOf(o)
	now := metav1.NewTime(s.now().UTC().Truncate(1e9))
	o.SetDeletionTimestamp(&now)
	o.SetDeletionGracePeriodSeconds(new(int64))
	if ns, ok := o.(*corev1.Namespace); ok {
		ns.Status.Phase = corev1.NamespaceTerminating
	}
	return s.commit(r, watch.Modified, o, prev)
}

func (s *Store) remove(r *Resource, o object) error {
	prev := copyOf(o)
	if err := s.commit(r, watch.Deleted, o, prev); err != nil {
		return err
	}
	return s.sweep(r, o)
}

// deleteNamespace empties a namespace and removes it, all within one write.
// What has finalizers stays, and the namespace with it, Terminating, until the
// last of it goes (see [Store.sweep]).
func (s *Store) deleteNamespace(r *Resource, ns object) (object, bool, error) {
	if err := s.mark(r, ns); err != nil {
		return nil, false, err
	}
	for _, row := range s.table.rows {
		if !row.Namespaced {
			continue
		}
		objs, err := s.listLocked(row, ns.GetName(), anything)
		if err != nil {
			return nil, false, err
		}
		for _, o := range objs {
			if len(o.GetFinalizers()) > 0 {
				err = s.mark(row, o)
			} else if err = s.commit(row, watch.Deleted, o, copyOf(o)); err == nil {
				continue
			}
			if err != nil {
				return nil, false, err
			}
		}
	}
	gone, err := s.finalize(r, ns)
	return ns, gone, err
}

// finalize removes a terminating namespace that has become empty.
func (s *Store) finalize(r *Resource, ns object) (bool, error) {
	if len(ns.GetFinalizers()) > 0 {
		return false, nil
	}
	for _, row := range s.table.rows {
		if !row.Namespaced {
			continue
		}
		if left, err := s.listLocked(row, ns.GetName(), anything); err != nil || len(left) > 0 {
			return false, err
		}
	}
	return true, s.commit(r, watch.Deleted, ns, copyOf(ns))
}

func anything(object) bool { return true }
