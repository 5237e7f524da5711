// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// mute is an API that takes requests and never answers, but watches when told.
type mute struct {
	dynamic.ResourceInterface
	watches watch.Interface
	ctx     chan context.Context
}

func (m mute) Get(ctx context.Context, _ string, _ metav1.GetOptions, _ ...string) (*unstructured.Unstructured, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (m mute) Watch(ctx context.Context, _ metav1.ListOptions) (watch.Interface, error) {
	if m.watches != nil {
		m.ctx <- ctx
		return m.watches, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestBounded: the end of a request's time is worth another try, the end of
// the caller's is not.
func TestBounded(t *testing.T) {
	b := bounded{mute{}, time.Millisecond}
	if _, err := b.Get(t.Context(), "x", metav1.GetOptions{}); !apierrors.IsTimeout(err) {
		t.Errorf("get: %v", err)
	}
	if _, err := b.Watch(t.Context(), metav1.ListOptions{}); !apierrors.IsTimeout(err) {
		t.Errorf("watch: %v", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	b.timeout = time.Hour
	if _, err := b.Get(over, "x", metav1.GetOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("get after the caller's end: %v", err)
	}
}

// TestBoundedWatch: an open watch lives as long as it likes, and its context
// ends with it.
func TestBoundedWatch(t *testing.T) {
	m := mute{watches: watch.NewFake(), ctx: make(chan context.Context, 1)}
	w, err := bounded{m, time.Hour}.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := <-m.ctx
	if ctx.Err() != nil {
		t.Error("the watch is over before it began")
	}
	w.Stop()
	if ctx.Err() == nil {
		t.Error("the watch is stopped, its context goes on")
	}
}
