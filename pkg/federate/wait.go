// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// objectKey is NAMESPACE/NAME.
type objectKey struct{ namespace, name string }

func (k objectKey) String() string { return k.namespace + "/" + k.name }

func keyOf(o *unstructured.Unstructured) objectKey { return objectKey{o.GetNamespace(), o.GetName()} }

// objects is what a list and a watch have shown so far.
type objects map[objectKey]*unstructured.Unstructured

// TimeoutError says what was still missing when the time for it was over.
type TimeoutError struct {
	After   time.Duration
	Missing []string
}

// Error names what is missing, a few of them.
func (e *TimeoutError) Error() string {
	shown, more := e.Missing, ""
	if len(shown) > 5 {
		shown, more = shown[:5], fmt.Sprintf(" and %d more", len(e.Missing)-5)
	}
	return fmt.Sprintf("not done after %s: %s%s", e.After, strings.Join(shown, "; "), more)
}

// Timeout is true.
func (e *TimeoutError) Timeout() bool { return true }

// await lists, then watches, until nothing is missing, or until the time is
// over. missing sees every object of the selection; an error ends the wait.
func await(ctx context.Context, res dynamic.ResourceInterface, opts metav1.ListOptions, timeout time.Duration, missing func(objects) ([]string, error)) error {
	waitCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var left []string
	for {
		done, err := awaitOnce(waitCtx, res, opts, func(seen objects) (bool, error) {
			var err error
			left, err = missing(seen)
			return len(left) == 0, err
		})
		if done {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if waitCtx.Err() != nil {
			return &TimeoutError{After: timeout, Missing: left}
		}
		if err != nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			return err
		}
		// The watch ended or is too old: list again, not in a tight loop.
		if err := pause(waitCtx, 20*time.Millisecond); err != nil && ctx.Err() != nil {
			return err
		}
	}
}

// awaitOnce is one list and one watch.
func awaitOnce(ctx context.Context, res dynamic.ResourceInterface, opts metav1.ListOptions, done func(objects) (bool, error)) (bool, error) {
	var list *unstructured.UnstructuredList
	if err := retry(ctx, func() (err error) { list, err = res.List(ctx, opts); return err }); err != nil {
		return false, err
	}
	seen := objects{}
	for i := range list.Items {
		seen[keyOf(&list.Items[i])] = &list.Items[i]
	}
	if ok, err := done(seen); ok || err != nil {
		return ok, err
	}
	opts.ResourceVersion = list.GetResourceVersion()
	var w watch.Interface
	if err := retry(ctx, func() (err error) { w, err = res.Watch(ctx, opts); return err }); err != nil {
		return false, err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case ev, open := <-w.ResultChan():
			if !open {
				return false, nil
			}
			if err := seen.take(ev); err != nil {
				return false, err
			}
			if ok, err := done(seen); ok || err != nil {
				return ok, err
			}
		}
	}
}

func (s objects) take(ev watch.Event) error {
	if ev.Type == watch.Error {
		return apierrors.FromObject(ev.Object)
	}
	o, ok := ev.Object.(*unstructured.Unstructured)
	if !ok {
		return errors.New("a watch event without an object")
	}
	switch ev.Type {
	case watch.Added, watch.Modified:
		s[keyOf(o)] = o
	case watch.Deleted:
		delete(s, keyOf(o))
	case watch.Bookmark, watch.Error:
	}
	return nil
}
