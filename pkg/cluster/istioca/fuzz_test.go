// SPDX-License-Identifier: Apache-2.0

package istioca

import (
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/citadel"
)

// FuzzParseResponse feeds what a CA may answer.
func FuzzParseResponse(f *testing.F) {
	data, err := citadel.SelfSigned("cluster.local", time.Unix(1e9, 0))
	if err != nil {
		f.Fatal(err)
	}
	root := string(data[citadel.RootCertKey])
	f.Add(root, "", root)
	f.Add(root, root+root, root)
	f.Add("", "x", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
	f.Fuzz(func(t *testing.T, leaf, between, last string) {
		certs, roots, err := parseResponse([]string{leaf, between, last})
		if err == nil && (len(certs) == 0 || len(roots) == 0 || len(certs)+len(roots) > maxCertificates) {
			t.Errorf("accepted %d certificates and %d roots", len(certs), len(roots))
		}
	})
}
