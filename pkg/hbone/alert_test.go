// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// TestRemoteAlertInvertsEveryCode guards the inversion of texts: two codes with
// one text would make it ambiguous.
func TestRemoteAlertInvertsEveryCode(t *testing.T) {
	for code := range 256 {
		want := tls.AlertError(code)
		err := fmt.Errorf("read: %w", &net.OpError{Op: "remote error", Err: errors.New(want.Error())})
		if got, ok := hbone.RemoteAlert(err); !ok || got != want {
			t.Errorf("alert %d was read as %d, %v", want, got, ok)
		}
	}
	for _, err := range []error{nil, errors.New("remote error: tls: bad certificate"), &net.OpError{Op: "read", Err: tls.AlertError(42)}, &net.OpError{Op: "remote error", Err: errors.New("x")}} {
		if got, ok := hbone.RemoteAlert(err); ok {
			t.Errorf("%v was read as alert %d", err, got)
		}
	}
}

func TestAlertNames(t *testing.T) {
	for code := range 256 {
		a := tls.AlertError(code)
		got, ok := hbone.ParseAlert(hbone.AlertName(a))
		if named := hbone.AlertName(a) != fmt.Sprintf("alert_%d", code); named != ok || ok && got != a {
			t.Errorf("alert %d is named %q, which parses as %d, %v", code, hbone.AlertName(a), got, ok)
		}
	}
	if got := hbone.AlertName(48); got != "unknown_ca" {
		t.Errorf("alert 48 is named %q", got)
	}
}
