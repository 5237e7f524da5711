// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"cmp"
	"fmt"
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
	About:   "Of the secrets that the sidecar asked its agent for (config_dump, dynamic_active_secrets and dynamic_warming_secrets) default and ROOTCA are there, and none is still warming; so in up to four further pods of the workload.",
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

func judgeSDSDelivered(o seen.Secrets) []probe.Finding { return ofEachPod(o, deliveredInPod) }

func deliveredInPod(pod string, o seen.Secrets) probe.Finding {
	if o.NotOffered != "" {
		return probe.Skipping(o.NotOffered)
	}
	var evidence []probe.Evidence
	delivered := map[string]bool{}
	for _, h := range o.Held {
		label := "secret " + cmp.Or(h.Name, "without a name") + " of " + pod
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
			evidence = append(evidence, probe.WantGot("secret "+name+" of "+pod, "delivered", "not there"))
		}
	}
	if len(evidence) > 0 {
		return probe.Failing(causeNotDelivered, evidence[0], evidence[1:]...)
	}
	return probe.Passing(probe.Text("secrets of "+pod, seen.ProxyCertificate+" and "+seen.ProxyRoots+" are delivered"))
}

// ofEachPod judges what each pod of a workload holds, and says the worst of it:
// pods that were not restarted with the others go by what was true before. A pod
// that does not answer has perhaps ended since.
func ofEachPod(o seen.Secrets, judge func(pod string, o seen.Secrets) probe.Finding) []probe.Finding {
	var worst probe.Finding
	odd, all := 0, 0
	for pod, one := range o.Pods() {
		f := judge(pod, one)
		if all++; all == 1 {
			worst = f
		}
		if f.Cause.Code == "" {
			continue
		}
		if odd++; odd == 1 || f.Status == probe.Fail && worst.Status != probe.Fail {
			worst = f
		}
	}
	switch {
	case all == 1 || worst.Status == probe.Skip:
	case odd == 0:
		worst.Evidence = append(worst.Evidence, probe.Text("pods of "+o.Workload.String(), fmt.Sprintf("%d, all of them alike", all)))
	default:
		worst.Evidence = append(worst.Evidence, probe.Text("pods of "+o.Workload.String(), fmt.Sprintf("so it is in %d of the %d looked at", odd, all)))
	}
	return []probe.Finding{worst}
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
