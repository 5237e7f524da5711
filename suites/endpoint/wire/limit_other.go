// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package wire

// OpenLimit is how many connections may be open at once. Each endpoint has one
// connection at a time.
func OpenLimit() int { return maxOpen }
