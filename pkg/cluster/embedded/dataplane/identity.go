// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// rules is a proxy's verifier: what it says of a client's chain.
type rules func(verifier.Chain, verifier.Options) verifier.Verdict

// judge asks the proxy's own verifier about a chain that crypto/tls has let
// pass, with what it knows of the mesh.
func judge(say rules, chain []*x509.Certificate, opts verifier.Options) error {
	if len(opts.TrustDomains) == 0 {
		return errors.New("no trust domain is configured, so nobody is admitted")
	}
	opts.Role = verifier.Client
	if v := say(verifier.Chain{Certs: chain}, opts); !v.Accepts {
		return fmt.Errorf("%s refuses the client: %s", v.Verifier, v.Reason)
	}
	return nil
}

// peerIdentity is the client as authorization sees it: the first URI SAN of
// the form spiffe://TD/ns/NS/sa/SA (ztunnel src/identity/manager.rs), empty
// where there is none.
func peerIdentity(leaf *x509.Certificate) string {
	for _, uri := range leaf.URIs {
		san := uri.String()
		rest, ok := strings.CutPrefix(san, "spiffe://")
		if !ok {
			continue
		}
		seg := strings.Split(rest, "/")
		if len(seg) == 5 && seg[0] != "" && seg[1] == "ns" && seg[2] != "" && seg[3] == "sa" && seg[4] != "" {
			return san
		}
	}
	return ""
}
