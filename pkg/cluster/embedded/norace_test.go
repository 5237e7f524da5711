// SPDX-License-Identifier: Apache-2.0

//go:build !race

package embedded_test

// race says whether the race detector, which slows everything down, is on.
const race = false
