// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

type watchEvent struct {
	Type   watch.EventType `json:"type"`
	Object any             `json:"object"`
}

// watcher is one WATCH under way.
type watcher struct {
	*call
	takes func(object) bool
	enc   *json.Encoder
	out   http.ResponseWriter
	rev   uint64 // everything up to it has been sent
}

// watch streams changes until the client goes, timeoutSeconds are over or the
// server closes.
func (c *call) watch() error {
	q := c.r.URL.Query()
	takes, err := selection(c.res, q)
	if err != nil {
		return err
	}
	w := &watcher{call: c, out: c.w, enc: json.NewEncoder(c.w), takes: func(o object) bool {
		return takes(o) && (c.Namespace == "" || o.GetNamespace() == c.Namespace) && (c.Name == "" || o.GetName() == c.Name)
	}}
	version := q.Get("resourceVersion")
	if version != "" && version != "0" {
		if w.rev, err = strconv.ParseUint(version, 10, 64); err != nil {
			return invalidVersion(c.res, version)
		}
	}
	wantsAll := q.Get("sendInitialEvents")
	initial, have, err := c.s.store.list(c.res, c.Namespace, w.takes)
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	if n, err := strconv.Atoi(q.Get("timeoutSeconds")); err == nil && n > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(n)*time.Second)
		defer cancel()
	}
	c.w.Header().Set("Content-Type", jsonType)
	c.w.WriteHeader(http.StatusOK)
	if w.rev > have {
		w.fail(tooLarge(w.rev, have))
		return nil
	}
	if wantsAll == "true" || (wantsAll == "" && w.rev == 0) {
		if !w.snapshot(initial, have, wantsAll == "true" && q.Get("allowWatchBookmarks") == "true") {
			return nil
		}
	} else if w.rev == 0 {
		w.rev = have
	}
	w.follow(ctx)
	return nil
}

// snapshot sends what there is now, and for a WatchList the mark of its end.
func (w *watcher) snapshot(objs []object, rev uint64, mark bool) bool {
	for _, o := range objs {
		if !w.send(watch.Added, w.shown(o)) {
			return false
		}
	}
	w.rev = rev
	return !mark || w.send(watch.Bookmark, w.bookmark())
}

func (w *watcher) bookmark() any {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	gvk := w.res.gvk(w.Version)
	if w.slim {
		gvk = schema.GroupVersionKind{Group: "meta.k8s.io", Version: "v1", Kind: "PartialObjectMetadata"}
	}
	u.SetGroupVersionKind(gvk)
	u.SetResourceVersion(strconv.FormatUint(w.rev, 10))
	u.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return u
}

func (w *watcher) follow(ctx context.Context) {
	past := w.s.store.past[w.res.storage()]
	rc := http.NewResponseController(w.out)
	for {
		changes, more, err := past.after(w.rev)
		if err != nil {
			w.fail(err)
			return
		}
		for _, c := range changes {
			if !w.forward(c) {
				return
			}
			w.rev = c.rev
		}
		if err := rc.Flush(); err != nil {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// forward translates a change into what this selection sees of it: an object
// that starts to match is added, one that stops is deleted.
func (w *watcher) forward(c change) bool {
	is, was := w.takes(c.obj), c.prev != nil && w.takes(c.prev)
	kind := c.kind
	switch {
	case kind == watch.Deleted:
		is, was = false, was || is
	case kind == watch.Modified && is && !was:
		kind = watch.Added
	case kind == watch.Modified && !is:
		kind = watch.Deleted
	}
	if !is && !was {
		return true
	}
	o := copyOf(c.obj)
	if c.kind == watch.Modified && kind == watch.Deleted {
		// The client gets the last state that it could see, at the new version.
		o = copyOf(c.prev)
		o.SetResourceVersion(c.obj.GetResourceVersion())
	}
	return w.send(kind, w.shown(o))
}

func (w *watcher) send(kind watch.EventType, o any) bool {
	return w.enc.Encode(watchEvent{kind, o}) == nil
}

func (w *watcher) fail(err error) {
	w.send(watch.Error, statusOf(err))
}
