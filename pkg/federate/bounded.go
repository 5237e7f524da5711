// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// bounded gives each request a time of its own: client-go waits forever for an
// API that took the request and says nothing. What is over time looks like an
// API that said so, which retry tries again.
type bounded struct {
	dynamic.ResourceInterface
	timeout time.Duration
}

func (b bounded) do(ctx context.Context, f func(context.Context) error) error {
	bctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	return b.late(ctx, bctx, f(bctx))
}

// late tells the end of the request's time from the end of the caller's.
func (b bounded) late(ctx, bctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || bctx.Err() == nil {
		return err
	}
	return apierrors.NewTimeoutError(fmt.Sprintf("the API did not answer within %s", b.timeout), 0)
}

func (b bounded) Create(ctx context.Context, o *unstructured.Unstructured, opts metav1.CreateOptions, sub ...string) (out *unstructured.Unstructured, err error) {
	return out, b.do(ctx, func(ctx context.Context) error {
		out, err = b.ResourceInterface.Create(ctx, o, opts, sub...)
		return err
	})
}

func (b bounded) Update(ctx context.Context, o *unstructured.Unstructured, opts metav1.UpdateOptions, sub ...string) (out *unstructured.Unstructured, err error) {
	return out, b.do(ctx, func(ctx context.Context) error {
		out, err = b.ResourceInterface.Update(ctx, o, opts, sub...)
		return err
	})
}

func (b bounded) Delete(ctx context.Context, name string, opts metav1.DeleteOptions, sub ...string) error {
	return b.do(ctx, func(ctx context.Context) error { return b.ResourceInterface.Delete(ctx, name, opts, sub...) })
}

func (b bounded) Get(ctx context.Context, name string, opts metav1.GetOptions, sub ...string) (out *unstructured.Unstructured, err error) {
	return out, b.do(ctx, func(ctx context.Context) error {
		out, err = b.ResourceInterface.Get(ctx, name, opts, sub...)
		return err
	})
}

func (b bounded) List(ctx context.Context, opts metav1.ListOptions) (out *unstructured.UnstructuredList, err error) {
	return out, b.do(ctx, func(ctx context.Context) error {
		out, err = b.ResourceInterface.List(ctx, opts)
		return err
	})
}

func (b bounded) Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, sub ...string) (out *unstructured.Unstructured, err error) {
	return out, b.do(ctx, func(ctx context.Context) error {
		out, err = b.ResourceInterface.Patch(ctx, name, pt, data, opts, sub...)
		return err
	})
}

// Watch bounds the time until the watch is open, not the watch.
func (b bounded) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	bctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(b.timeout, cancel)
	w, err := b.ResourceInterface.Watch(bctx, opts)
	inTime := timer.Stop()
	if err == nil && inTime {
		return &boundedWatch{w, sync.OnceFunc(cancel)}, nil
	}
	err = b.late(ctx, bctx, err)
	cancel()
	if err == nil {
		// It opened just when its time was over: nothing more will come.
		w.Stop()
		err = apierrors.NewTimeoutError("the watch opened too late", 0)
	}
	return nil, err
}

// boundedWatch frees the watch's context when it is stopped.
type boundedWatch struct {
	watch.Interface
	cancel func()
}

func (w *boundedWatch) Stop() {
	w.Interface.Stop()
	w.cancel()
}
