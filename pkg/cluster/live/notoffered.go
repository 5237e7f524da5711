// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// statusError is an answer of an admin or debug interface that is none.
type statusError int

// Error is the status.
func (e statusError) Error() string { return fmt.Sprintf("answered %d", int(e)) }

// notOffered tells an interface that is closed, or turned off, from one that
// fails: nobody can be asked there (istio pilot/pkg/features, ENABLE_DEBUG_ON_HTTP
// and ENABLE_DEBUG_ENDPOINT_AUTH).
func notOffered(what string, err error) error {
	status, answered := errors.AsType[statusError](err)
	_, known := errors.AsType[*cluster.NotOfferedError](err)
	switch {
	case known:
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
	case answered && (status == http.StatusNotFound || status == http.StatusUnauthorized || status == http.StatusForbidden):
	default:
		return err
	}
	return &cluster.NotOfferedError{What: what, Err: err}
}
