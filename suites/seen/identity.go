// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"slices"
	"strings"
)

// OtherTrustDomain says whether a SPIFFE ID has the path of one of want, and so
// differs from it in nothing but its trust domain, if at all.
func OtherTrustDomain(id string, want []string) bool {
	return slices.ContainsFunc(want, func(w string) bool { return idPath(w) == idPath(id) })
}

// idPath is a SPIFFE ID without its trust domain.
func idPath(id string) string {
	_, path, _ := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
	return path
}
