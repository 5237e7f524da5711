// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Change is one line of a plan. It never holds a key or a token.
type Change struct {
	Op      string // + is made, - goes, ~ changes, ! is restarted
	Cluster string // empty: the mesh
	Object  string // NAMESPACE/KIND NAME
	Text    string
}

// String is the line: "+ east istio-system/secret cacerts ca-cert.pem: …".
func (c Change) String() string {
	parts := []string{c.Op, c.Cluster, c.Object, c.Text}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// Step is one step of a plan with what it would change; no change means that
// it is done already.
type Step struct {
	Name    string // a Step… constant
	Title   string
	Changes []Change
}

// Plan is what [Apply] would do. It is a snapshot: Apply looks again.
type Plan struct {
	Steps []Step

	set  *cluster.Set
	opts Options
}

// NewPlan looks at the clusters and says what federating them would change. It
// writes nothing.
func NewPlan(ctx context.Context, set *cluster.Set, o Options) (*Plan, error) {
	f, err := open(set, o)
	if err != nil {
		return nil, err
	}
	p := &Plan{set: set, opts: f.opts}
	if f.opts.Issuer == nil {
		return nil, wrap(StepRoot, "", ErrNoIssuer)
	}
	if f.root, err = f.opts.Issuer.Current(ctx); err != nil {
		return nil, wrap(StepRoot, "", err)
	}
	if f.root == nil {
		p.Steps = append(p.Steps, Step{StepRoot, "one shared root", []Change{{Op: "+", Object: "root", Text: f.opts.Issuer.String() + " (private key, kept there)"}}})
	} else {
		p.Steps = append(p.Steps, Step{Name: StepRoot, Title: "one shared root"})
	}
	for _, s := range append(f.steps()[1:], f.last()...) {
		changes, err := f.planStep(ctx, s)
		if err != nil {
			return nil, err
		}
		p.Steps = append(p.Steps, Step{s.word, s.title, changes})
	}
	return p, nil
}

// planStep asks every cluster, and keeps their order.
func (f *federation) planStep(ctx context.Context, s step) ([]Change, error) {
	found := make([][]Change, len(f.members))
	index := make([]int, len(f.members))
	for i := range index {
		index[i] = i
	}
	err := each(index, f.opts.Parallel, func(i int) error {
		var err error
		found[i], err = s.plan(ctx, f.members[i])
		return wrap(s.word, f.members[i].name, err)
	})
	var all []Change
	for i, changes := range found {
		for _, c := range changes {
			c.Cluster = f.members[i].name
			all = append(all, c)
		}
	}
	return all, err
}

// Empty reports whether nothing would change.
func (p *Plan) Empty() bool {
	for _, s := range p.Steps {
		if len(s.Changes) > 0 {
			return false
		}
	}
	return true
}

// Diff prints what would change, step by step. Keys and tokens are named, never
// shown.
func (p *Plan) Diff(w io.Writer) error {
	_, err := io.WriteString(w, p.String())
	return err
}

// String is what Diff prints.
func (p *Plan) String() string {
	if p.Empty() {
		return "nothing to change\n"
	}
	var b strings.Builder
	for _, s := range p.Steps {
		if len(s.Changes) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", s.Name, s.Title)
		for _, c := range s.Changes {
			fmt.Fprintf(&b, "  %s\n", c)
		}
	}
	return b.String()
}
