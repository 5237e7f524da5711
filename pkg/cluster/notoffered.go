// SPDX-License-Identifier: Apache-2.0

package cluster

// NotOfferedError says that a cluster has nobody who would answer a question:
// an admin or debug interface that is closed, or turned off. It says nothing of
// the mesh itself.
type NotOfferedError struct {
	What string // one line, e.g. "the admin interface of east/shop/cart"
	Err  error  // how it was refused
}

// Error names what is not offered.
func (e *NotOfferedError) Error() string { return e.What + " does not answer: " + e.Err.Error() }

// Unwrap is how it was refused.
func (e *NotOfferedError) Unwrap() error { return e.Err }
