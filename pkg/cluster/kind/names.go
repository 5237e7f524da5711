// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Prefix begins the name of every cluster that this package makes, and of none
// that it leaves alone.
const Prefix = "meshprobe-"

// maxName is what kind allows a cluster's name, because the names of its nodes
// are host names.
const maxName = 50

var meshName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

// CheckName refuses what cannot be the name of a mesh: 1 to 20 lower case
// letters and digits. Without - the name of a cluster can be taken apart.
func CheckName(mesh string) error {
	if !meshName.MatchString(mesh) {
		return failure("use up to 20 lower case letters and digits", "the name of a mesh cannot be %q", mesh)
	}
	return nil
}

// clusterName is the name by which kind knows a cluster of a mesh.
func clusterName(mesh, name string) string { return Prefix + mesh + "-" + name }

// split takes a name of kind's apart; false where the cluster is not ours.
func split(name string) (mesh, member string, ok bool) {
	rest, ours := strings.CutPrefix(name, Prefix)
	mesh, member, whole := strings.Cut(rest, "-")
	return mesh, member, ours && whole && member != "" && meshName.MatchString(mesh)
}

// checkNames refuses a topology whose clusters cannot be named.
func checkNames(mesh string, t cluster.Topology) error {
	if err := CheckName(mesh); err != nil {
		return err
	}
	for _, c := range t.Clusters {
		if name := clusterName(mesh, c.Name); len(name) > maxName {
			return failure("give the mesh or the cluster a shorter name", "%s has %d letters; a cluster's name has at most %d", name, len(name), maxName)
		}
	}
	return nil
}

// node is the container of a cluster's control plane.
func node(mesh, member string) string { return clusterName(mesh, member) + "-control-plane" }

// contextName is what kind calls a cluster in a kubeconfig.
func contextName(mesh, member string) string { return "kind-" + clusterName(mesh, member) }

// Contexts are the kubeconfig contexts of a mesh, in the order of its topology.
func Contexts(mesh string, t cluster.Topology) []string {
	var out []string
	for _, c := range t.Clusters {
		out = append(out, contextName(mesh, c.Name))
	}
	return out
}

func plural(n int, one string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %ss", n, one)
}
