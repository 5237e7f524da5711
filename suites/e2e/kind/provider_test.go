// SPDX-License-Identifier: Apache-2.0

//go:build unix

package kind_test

import (
	"context"
	"sync"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/clustertest"
	"github.com/meshprobe/meshprobe/pkg/cluster/kind"
	"github.com/meshprobe/meshprobe/suites/e2e/kindtest"
)

// TestProvider holds the provider of real clusters to the contract of all
// providers, on one mesh: what is opened beside it attaches to it.
func TestProvider(t *testing.T) {
	p, _ := kindtest.Provider(t)
	if p.Reuse == "" {
		p.Mesh = meshName
		defer func() { nothingLeft(t, nil) }()
	}
	clustertest.TestProvider(t, &oneMesh{Provider: p})
}

// meshName is that of meshes which tests of this package make.
const meshName = "kp"

// oneMesh makes a mesh when it is opened first, and attaches to it afterwards.
type oneMesh struct {
	*kind.Provider
	made sync.Once
}

var _ cluster.Provider = (*oneMesh)(nil)

// Open makes the mesh, or attaches to it.
func (o *oneMesh) Open(ctx context.Context, t cluster.Topology, events cluster.Events) (*cluster.Set, error) {
	first := false
	o.made.Do(func() { first = true })
	if first || o.Reuse != "" {
		return o.Provider.Open(ctx, t, events)
	}
	return (&kind.Provider{Reuse: o.Mesh}).Open(ctx, t, events)
}
