// SPDX-License-Identifier: Apache-2.0

package cluster

// Hinted is an error that knows what to do about it.
type Hinted interface {
	error

	// Hints are commands or advice, one line each, the best first.
	Hints() []string
}
