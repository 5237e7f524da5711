// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// RemoteSecret checks a kubeconfig by which an istiod reads another cluster.
var RemoteSecret = probe.DefineOn(probe.Meta{
	ID:      "material/remote-secret",
	Title:   "the remote secret opens the API of the other cluster",
	About:   "As far as a file tells: each data key holds a kubeconfig that can be read, with a server, a credential that has not expired (of a token, by its claims) and that istiod takes (no exec plug-in), and the roots by which the API server is verified. Of the credential nothing but its sort is looked at.",
	Clause:  spec.IstioRemoteSecret,
	Causes:  []probe.Cause{causeRemote},
	Applies: "remote secrets",
}, documents(sortRemote), judgeRemoteSecret)

var causeRemote = probe.Cause{
	Code: "remote-secret-missing-or-broken", Title: "the kubeconfig in the remote secret does not open the other cluster",
	Try: []string{"istioctl create-remote-secret --name CLUSTER | kubectl apply -f -"},
}

func judgeRemoteSecret(e Exam) []probe.Finding {
	var passed []probe.Evidence
	for _, r := range e.Remotes {
		problem := ""
		switch {
		case r.Error != "":
			problem = r.Error
		case r.Server == "":
			problem = "no server"
		case r.Auth == "none" || r.Auth == "":
			problem = "no credential"
		case r.Auth == "exec" || r.Auth == "auth-provider":
			problem = "a credential of the sort " + r.Auth + ", which istiod does not take"
		case !r.Expires.IsZero() && e.Question.At.After(r.Expires):
			problem = "the token expired " + seen.Stamp(r.Expires) + " (" + seen.Span(e.Question.At.Sub(r.Expires)) + " ago)"
		case r.Insecure:
			problem = "insecure-skip-tls-verify: anybody may answer for the API server"
		}
		evidence := probe.WantGot("kubeconfig of "+r.Cluster, "a server and a credential in force", problem)
		if problem != "" {
			return []probe.Finding{probe.Failing(causeRemote, evidence)}
		}
		passed = append(passed, probe.Text("kubeconfig of "+r.Cluster, r.Server+", "+r.Auth))
	}
	return []probe.Finding{probe.Passing(passed...)}
}
