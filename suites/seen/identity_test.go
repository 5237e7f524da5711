// SPDX-License-Identifier: Apache-2.0

package seen

import "testing"

func TestOtherTrustDomain(t *testing.T) {
	want := []string{"spiffe://east/ns/shop/sa/cart", "spiffe://east/ns/shop/sa/ratings"}
	for id, differs := range map[string]bool{
		"spiffe://west/ns/shop/sa/ratings": true,
		"spiffe://west/ns/shop/sa/reviews": false,
		"spiffe://west":                    false,
		"":                                 false,
	} {
		if OtherTrustDomain(id, want) != differs {
			t.Errorf("OtherTrustDomain(%q) = %v", id, !differs)
		}
	}
}
