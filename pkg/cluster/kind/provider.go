// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	kindcluster "sigs.k8s.io/kind/pkg/cluster"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Name is the provider's word on the command line.
const Name = "kind"

// DefaultTimeout is that of a set-up.
const DefaultTimeout = 10 * time.Minute

// Provider opens clusters in Docker. The zero value is ready on a machine with
// Docker, istioctl and a way to the registries that they use. Each Open makes a
// mesh of its own; it is safe for concurrent use as far as the names differ.
type Provider struct {
	// Mesh names the mesh, see CheckName; empty makes a new name for each Open.
	Mesh string

	// Reuse attaches to the mesh of that name in place of making one. The
	// topology of Open must be the one that it was made with: see Found.
	// What is attached to is not removed by Close.
	Reuse string

	// Keep leaves the clusters running after Close, and writes their contexts
	// to Kubeconfig. A set-up that fails is removed all the same.
	Keep bool

	// Kubeconfig is the file that contexts are written to and removed from;
	// empty means what kubectl uses.
	Kubeconfig string

	// NodeImage is kind's node image; empty means kind's own default.
	NodeImage string

	// Configs are files of kind's configuration, merged into the generated one
	// in this order.
	Configs []string

	// LoadImages are images of the local Docker that the nodes are given.
	LoadImages []string

	// Istioctl installs Istio; empty means the one on PATH.
	Istioctl string

	// Values are IstioOperator files for istioctl, in order, after what
	// meshprobe itself asks for.
	Values []string

	// Manifests are files or directories that are applied after Istio.
	Manifests []string

	// GatewayAPI is a directory with the definitions of the Gateway API; empty
	// installs the two kinds that are needed, without their validation.
	GatewayAPI string

	// AppImage is an image of meshprobe for workloads; empty makes one of
	// AppBinary.
	AppImage string

	// AppBinary is meshprobe for Linux; empty means the running program.
	AppBinary string

	// Timeout bounds a set-up; 0 means DefaultTimeout.
	Timeout time.Duration

	// Now is the clock of events and of what is kept; nil is time.Now.
	Now func() time.Time
}

var _ cluster.Provider = (*Provider)(nil)

// Name is "kind".
func (p *Provider) Name() string { return Name }

func (p *Provider) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

func (p *Provider) timeout() time.Duration {
	if p.Timeout > 0 {
		return p.Timeout
	}
	return DefaultTimeout
}

// Open makes the clusters of a topology, or attaches to them. Errors are
// *Error, with what helps. What an interrupted or failed Open made is gone when
// it returns.
func (p *Provider) Open(ctx context.Context, t cluster.Topology, events cluster.Events) (*cluster.Set, error) {
	if err := ctx.Err(); err != nil {
		return nil, in("", "", context.Cause(ctx))
	}
	events = events.Serial()
	if p.Reuse != "" {
		return p.attach(ctx, t, events)
	}
	b, err := p.prepare(ctx, t, events)
	if err != nil {
		return nil, in("preflight", "", err)
	}
	defer func() { _ = b.scratch.remove() }()
	set, err := b.build(ctx)
	if err == nil {
		return set, nil
	}
	// The context may be over; what was made goes all the same.
	if left := b.abandon(context.WithoutCancel(ctx)); left != nil {
		err = errors.Join(err, in("clean-up", "", left))
	}
	return nil, err
}

// Check looks at the fields of p and at the files that they name, as far as that
// is possible without Docker. Errors are *Error.
func (p *Provider) Check(t cluster.Topology) error {
	b := &builder{p: p, mesh: cmp.Or(p.Mesh, p.Reuse, "r0000000"), topology: t}
	return in("", "", b.readInput())
}

// newMesh makes a name that no other mesh has.
func newMesh() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return "r" + hex.EncodeToString(b)[:7]
}

// kinds is kind's library, which speaks to Docker.
func kinds() *kindcluster.Provider {
	return kindcluster.NewProvider(kindcluster.ProviderWithDocker())
}

// existing refuses a mesh of which something is there already.
func (b *builder) existing() error {
	names, err := kinds().List()
	if err != nil {
		return err
	}
	for _, c := range b.topology.Clusters {
		if want := clusterName(b.mesh, c.Name); slices.Contains(names, want) {
			return &Error{
				Cluster: c.Name, Err: errors.New("a cluster named " + want + " exists"),
				Hint: []string{"use it: meshprobe run --provider kind --reuse " + b.mesh, "remove it: meshprobe clusters delete " + b.mesh},
			}
		}
	}
	return nil
}
