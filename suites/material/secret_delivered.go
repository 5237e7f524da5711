// SPDX-License-Identifier: Apache-2.0

package material

import (
	"cmp"

	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// SecretDelivered checks that a proxy was given what it asked for.
var SecretDelivered = probe.DefineOn(probe.Meta{
	ID:      "material/secret-delivered",
	Title:   "the proxy holds the certificate or the roots that it asked for",
	About:   "An Envoy secret that is warming was asked for and not delivered: listeners and clusters that need it wait, or fail every handshake. A ztunnel certificate that is Initializing or Unavailable has no key yet, or the CA refused it, with its words.",
	Clause:  spec.IstioSecrets,
	Causes:  []probe.Cause{causeWarming, causeUnavailable},
	Applies: "secrets of a proxy",
}, documents(sortProxy), judgeSecretDelivered)

var (
	causeWarming = probe.Cause{
		Code: "secret-not-delivered", Title: "the proxy still waits for a certificate or for its roots",
		Try: []string{"see what the agent says: kubectl logs POD -c istio-proxy | grep -i 'sds\\|ca request'", "see whether istiod signs: kubectl -n istio-system logs deployment/istiod | grep -i 'authenticat\\|sign'"},
	}
	causeUnavailable = probe.Cause{
		Code: "secret-refused", Title: "the proxy was refused a certificate",
		Try: []string{"kubectl -n istio-system logs daemonset/ztunnel | grep -i 'certificate'", "see whether istiod knows the account: kubectl -n istio-system logs deployment/istiod | grep -i 'authenticat\\|impersonat'"},
	}
)

func judgeSecretDelivered(e Exam) []probe.Finding {
	s := e.SDS
	if s == nil {
		return []probe.Finding{probe.Skipping("it is no secret of a proxy")}
	}
	evidence := probe.WantGot("state of "+cmp.Or(e.Name, "the secret"), "delivered", string(s.State))
	var more []probe.Evidence
	if s.Error != "" {
		more = append(more, probe.Text("the proxy says", s.Error))
	}
	switch {
	case s.State == material.StateUnavailable || s.Error != "":
		return []probe.Finding{probe.Failing(causeUnavailable, evidence, more...)}
	case s.State == material.StateWarming, s.State == material.StateInitializing:
		return []probe.Finding{probe.Failing(causeWarming, evidence)}
	}
	return []probe.Finding{probe.Passing(evidence)}
}
