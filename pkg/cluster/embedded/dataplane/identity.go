// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// inTrustDomains is Envoy's SAN matcher as istiod configures it: some URI SAN
// begins with spiffe://TD/ of the mesh's trust domain or of an alias
// (istio pilot/pkg/networking/plugin/authn/util.go). Nothing else of the SAN
// matters, not even whether it is one of Istio's identities.
func inTrustDomains(leaf *x509.Certificate, domains []string) error {
	for _, uri := range leaf.URIs {
		san := uri.String()
		if slices.ContainsFunc(domains, func(td string) bool { return strings.HasPrefix(san, "spiffe://"+td+"/") }) {
			return nil
		}
	}
	return fmt.Errorf("no URI SAN in the trust domains %q", domains)
}
