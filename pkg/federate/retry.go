// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	maxAttempts = 6
	maxDelay    = 30 * time.Second
)

// retry runs f until it works: again at once after a conflict, which f resolves
// by reading again, and after a while where the server is overloaded. It gives
// up after a few attempts. f must be idempotent.
func retry(ctx context.Context, f func() error) error {
	backoff := 50 * time.Millisecond
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || attempt == maxAttempts {
			return err
		}
		switch {
		case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
			continue
		case apierrors.IsTooManyRequests(err), apierrors.IsInternalError(err), apierrors.IsServerTimeout(err), apierrors.IsServiceUnavailable(err), apierrors.IsTimeout(err), apierrors.IsUnexpectedServerError(err):
		default:
			return err
		}
		delay := backoff + rand.N(backoff) //nolint:gosec // jitter
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
			delay = time.Duration(seconds) * time.Second
		}
		if pauseErr := pause(ctx, min(delay, maxDelay)); pauseErr != nil {
			return err
		}
		backoff *= 2
	}
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
