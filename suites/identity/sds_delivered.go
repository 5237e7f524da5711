// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"cmp"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SDSDelivered checks that a sidecar was given what it asked its agent for:
// listeners and clusters that need a secret which is still warming wait for it,
// and fail every handshake until then.
var SDSDelivered = probe.DefineOn(probe.Meta{
	ID:      "identity/sds-delivered",
	Title:   "a sidecar holds its certificate and the mesh's roots",
	About:   "Of the secrets that the sidecar asked its agent for (config_dump, dynamic_active_secrets and dynamic_warming_secrets) default and ROOTCA are there, and none is still warming.",
	Clause:  spec.IstioSecrets,
	Causes:  []probe.Cause{causeNotDelivered},
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap"},
	Applies: "sidecars",
}, seen.HeldSecrets(), judgeSDSDelivered)

var causeNotDelivered = probe.Cause{
	Code: "secret-not-delivered", Title: "the sidecar still waits for a certificate or for its roots",
	Try: []string{
		"kubectl --context {{.Cluster}} -n {{.Namespace}} logs deployment/{{.Name}} -c istio-proxy | grep -i 'sds\\|ca request\\|sign'",
		"kubectl --context {{.Cluster}} -n istio-system logs deployment/istiod | grep -i 'authenticat\\|sign'",
	},
}

func judgeSDSDelivered(o seen.Secrets) []probe.Finding {
	if o.NotOffered != "" {
		return []probe.Finding{probe.Skipping(o.NotOffered)}
	}
	var evidence []probe.Evidence
	delivered := map[string]bool{}
	for _, h := range o.Held {
		label := "secret " + cmp.Or(h.Name, "without a name") + " of " + o.Workload.String()
		switch {
		case h.Error != "":
			evidence = append(evidence, probe.WantGot(label, "delivered", "refused: "+h.Error))
		case h.Warming:
			evidence = append(evidence, probe.WantGot(label, "delivered", "warming: asked for and not delivered"))
		default:
			delivered[h.Name] = len(h.Certificates)+len(h.Roots) > 0
		}
	}
	for _, name := range []string{seen.ProxyCertificate, seen.ProxyRoots} {
		waited := slices.ContainsFunc(o.Held, func(h seen.HeldSecret) bool { return h.Name == name && (h.Warming || h.Error != "") })
		if !delivered[name] && !waited {
			evidence = append(evidence, probe.WantGot("secret "+name+" of "+o.Workload.String(), "delivered", "not there"))
		}
	}
	if len(evidence) > 0 {
		return []probe.Finding{probe.Failing(causeNotDelivered, evidence[0], evidence[1:]...)}
	}
	return []probe.Finding{probe.Passing(probe.Text("secrets of "+o.Workload.String(), seen.ProxyCertificate+" and "+seen.ProxyRoots+" are delivered"))}
}

// held is the certificates of a secret that a sidecar holds; empty where it was
// not delivered, with the finding that there is nothing to judge.
func held(o seen.Secrets, name string) (seen.Certs, probe.Finding) {
	if o.NotOffered != "" {
		return nil, probe.Skipping(o.NotOffered)
	}
	for _, h := range o.Held {
		certs := h.Certificates
		if name == seen.ProxyRoots {
			certs = h.Roots
		}
		if h.Name == name && !h.Warming && len(certs) > 0 {
			return certs, probe.Finding{}
		}
	}
	return nil, probe.Skipping("the sidecar holds no secret " + name)
}
