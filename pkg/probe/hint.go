// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"maps"
	"strings"
	"text/template"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// renderHints fills the templates of a cause with the finding's variables and
// those of its subject: .ID, .Subject, .From and .To (cluster names; equal for
// a subject in one cluster), .Cluster, .Namespace, .Name (of the last part),
// .Restart (the arguments of kubectl that renew certificates there).
// A template that does not render is given as it stands: a hint must never
// hide a finding.
func renderHints(f Finding, s Subject) []string {
	vars := subjectVars(s)
	vars["ID"], vars["Subject"] = f.ID, f.Subject
	maps.Copy(vars, f.Vars)
	hints := make([]string, len(f.Cause.Try))
	for i, try := range f.Cause.Try {
		hints[i] = render(try, vars)
	}
	return hints
}

func render(text string, vars map[string]string) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	t, err := template.New("hint").Option("missingkey=error").Parse(text)
	if err != nil {
		return text
	}
	var b strings.Builder
	if err := t.Execute(&b, vars); err != nil {
		return text
	}
	return b.String()
}

func subjectVars(s Subject) map[string]string {
	vars := map[string]string{"From": "", "To": "", "Cluster": "", "Namespace": "", "Name": "", "Restart": ""}
	parts := s.Parts()
	if len(parts) == 0 {
		return vars
	}
	vars["From"], _, _ = strings.Cut(parts[0], "/")
	last := parts[len(parts)-1]
	clusterName, rest, _ := strings.Cut(last, "/")
	vars["To"], vars["Cluster"] = clusterName, clusterName
	vars["Namespace"], vars["Name"], _ = strings.Cut(rest, "/")
	vars["Restart"] = "-n istio-system rollout restart deployment,daemonset"
	if ns := vars["Namespace"]; ns != "" {
		vars["Restart"] = "-n " + ns + " rollout restart deployment"
	}
	return vars
}

// inPlace makes the commands of a hint fit a cluster: with the names that its
// control plane's objects have, and with its kubeconfig context, where it differs
// from its name.
func inPlace(hints []string, set *cluster.Set) []string {
	if set == nil {
		return hints
	}
	for _, c := range set.Clusters {
		in := cluster.ControlPlaneOf(c)
		names := strings.NewReplacer(
			"-n istio-system ", "-n "+in.Namespace()+" ", "namespace istio-system ", "namespace "+in.Namespace()+" ",
			"deployment/istiod ", "deployment/"+in.Named("istiod")+" ", "configmap istio ", "configmap "+in.Named("istio")+" ",
		)
		for i, h := range hints {
			if strings.Contains(h+" ", "--context "+c.Name()+" ") {
				hints[i] = strings.TrimSuffix(names.Replace(h+" "), " ")
			}
		}
	}
	federateThere(hints, set)
	for _, c := range set.Topology.Clusters {
		if c.Context == "" || c.Context == c.Name {
			continue
		}
		for i, h := range hints {
			hints[i] = strings.ReplaceAll(h+" ", "--context "+c.Name+" ", "--context "+c.Context+" ")
			hints[i] = strings.TrimSuffix(hints[i], " ")
		}
	}
	return hints
}

// federateThere makes meshprobe federate act on the clusters that were looked at,
// where they run: without --contexts it would federate clusters of its own.
func federateThere(hints []string, set *cluster.Set) {
	var contexts []string
	for _, c := range set.Topology.Clusters {
		if c.Context == "" {
			return
		}
		contexts = append(contexts, c.Context)
	}
	flags := " --contexts " + strings.Join(contexts, ",") + " --root-dir root "
	there := strings.NewReplacer("meshprobe federate plan ", "meshprobe federate plan"+flags, "meshprobe federate apply ", "meshprobe federate apply"+flags+"--write ")
	for i, h := range hints {
		if len(contexts) > 0 {
			hints[i] = there.Replace(h)
		}
	}
}
