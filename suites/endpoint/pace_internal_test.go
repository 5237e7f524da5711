// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestPace lets the next ones begin when the first are done, or take much
// longer than others do.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPace()
		fill := func() (leave func(bool)) {
			t.Helper()
			for range beginning {
				var err error
				if leave, err = p.enter(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			return leave
		}
		leave := fill()
		soon, cancel := context.WithTimeout(t.Context(), begun/2)
		defer cancel()
		if _, err := p.enter(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("one too many began: %v", err)
		}
		time.Sleep(begun)
		synctest.Wait()
		if len(p.young) != 0 {
			t.Errorf("%d still count as beginning", len(p.young))
		}
		time.Sleep(time.Second)
		leave(true) // others take their time, too
		fill()
		time.Sleep(2 * begun)
		synctest.Wait()
		if len(p.young) != beginning {
			t.Errorf("%d count as beginning, want all %d: they take no longer than usual", len(p.young), beginning)
		}
		time.Sleep(patience * 2 * time.Second)
		synctest.Wait()
		if len(p.young) != 0 {
			t.Errorf("%d still count as beginning", len(p.young))
		}
	})
	if leave, err := (*Pace)(nil).enter(t.Context()); err != nil {
		t.Error(err)
	} else {
		leave(true)
	}
}
