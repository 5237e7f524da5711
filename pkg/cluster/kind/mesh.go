// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Found is a mesh that this package made and that is still there, whole or not.
type Found struct {
	Mesh     string           `json:"mesh"`
	Clusters []FoundCluster   `json:"clusters"`          // by name
	Ready    bool             `json:"ready"`             // every cluster of its topology came to the end of its set-up
	Created  time.Time        `json:"created"`           // of its oldest node
	Image    string           `json:"image,omitempty"`   // of meshprobe, in its nodes
	Topology cluster.Topology `json:"topology,omitzero"` // zero where no cluster says it
}

// FoundCluster is one cluster of it.
type FoundCluster struct {
	Name    string `json:"name"`    // in the topology
	Kind    string `json:"kind"`    // for kind: kind get kubeconfig --name
	Context string `json:"context"` // in a kubeconfig
	State   string `json:"state"`   // of its node: running, exited, …
	Ready   bool   `json:"ready"`   // its set-up came to its end
}

// List finds the meshes by the labels of Docker's containers and by the prefix
// of their names: also those whose maker was killed.
func List(ctx context.Context) ([]Found, error) {
	d := docker{}
	if _, err := d.info(ctx); err != nil {
		return nil, in("list", "", err)
	}
	out, err := d.command(ctx, nil, "ps", "--all", "--no-trunc", "--filter", "label="+clusterLabel,
		"--format", `{{.Label "`+clusterLabel+`"}}|{{.Names}}|{{.State}}|{{.CreatedAt}}`)
	if err != nil {
		return nil, in("list", "", err)
	}
	meshes := map[string]*Found{}
	for line := range strings.Lines(out) {
		fields := strings.SplitN(strings.TrimSpace(line), "|", 4)
		if len(fields) != 4 {
			continue
		}
		mesh, name, ours := split(fields[0])
		if !ours {
			continue
		}
		f := meshes[mesh]
		if f == nil {
			f = &Found{Mesh: mesh}
			meshes[mesh] = f
		}
		f.add(name, fields)
	}
	var found []Found
	for _, f := range meshes {
		f.look(ctx, d)
		found = append(found, *f)
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Compare(a.Mesh, b.Mesh) })
	return found, nil
}

// add takes a container of a cluster: its control plane, or another node, which
// may be all that a set-up that was killed came to.
func (f *Found) add(name string, fields []string) {
	i := slices.IndexFunc(f.Clusters, func(c FoundCluster) bool { return c.Name == name })
	if i < 0 {
		i = len(f.Clusters)
		f.Clusters = append(f.Clusters, FoundCluster{Name: name, Kind: fields[0], Context: contextName(f.Mesh, name), State: "no control plane"})
	}
	if fields[1] == node(f.Mesh, name) {
		f.Clusters[i].State = fields[2]
	}
	if at := createdAt(fields[3]); f.Created.IsZero() || at.Before(f.Created) {
		f.Created = at
	}
}

// createdAt reads Docker's form of a time, which ends in the name of a zone.
func createdAt(text string) time.Time {
	fields := strings.Fields(text)
	t, _ := time.Parse("2006-01-02 15:04:05 -0700", strings.Join(fields[:min(3, len(fields))], " ")) // zero where it is not known
	return t
}

// look asks the nodes what the mesh is.
func (f *Found) look(ctx context.Context, d docker) {
	slices.SortFunc(f.Clusters, func(a, b FoundCluster) int { return cmp.Compare(a.Name, b.Name) })
	ready := 0
	for i := range f.Clusters {
		c := &f.Clusters[i]
		if c.State != "running" {
			continue
		}
		s, err := d.readState(ctx, node(f.Mesh, c.Name))
		if err != nil || s.Mesh != f.Mesh || !s.Ready {
			continue
		}
		c.Ready = true
		ready++
		f.Topology, f.Image = s.Topology, s.Image
	}
	f.Ready = ready > 0 && ready == len(f.Topology.Clusters)
}

// Delete removes the clusters of a mesh with everything in them, and their
// contexts from a kubeconfig file ("" is kubectl's).
func Delete(ctx context.Context, f Found, kubeconfig string) error {
	var group errgroup.Group
	for _, c := range f.Clusters {
		group.Go(func() error {
			return in("delete", c.Name, docker{}.removeCluster(ctx, c.Kind))
		})
	}
	err := group.Wait()
	for _, c := range f.Clusters {
		// The nodes are gone; this takes the context out of the file.
		err = errors.Join(err, in("delete", c.Name, kinds().Delete(c.Kind, kubeconfig)))
	}
	// What a set-up that was killed left of its files, credentials among them.
	left, globErr := filepath.Glob(filepath.Join(os.TempDir(), scratchName(f.Mesh, "*")))
	err = errors.Join(err, globErr)
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}
