// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"time"
)

// timeCause names what is wrong with c's dates at the time at, "" if nothing.
func timeCause(c *x509.Certificate, depth int, anchor bool, at time.Time) string {
	switch {
	case at.Before(c.NotBefore):
		return CauseClockSkew
	case !at.After(c.NotAfter):
		return ""
	case anchor:
		return CauseRootExpired
	case depth > 0:
		return CauseIntermediateExpired
	default:
		return CauseLeafExpired
	}
}
