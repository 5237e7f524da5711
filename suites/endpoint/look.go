// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Look is one endpoint to look at, and what is asked of it: the subject of the
// probes of this package.
type Look struct {
	Name     string // unique in a run: the address as it was given
	Target   wire.Target
	Asked    Asked
	Observer *wire.Observer
	// Pace is shared by the looks of one run; nil for none.
	Pace *Pace
	// Started is when the run began and After how long to wait from then on, for
	// endpoints that are looked at again and again.
	Started time.Time
	After   time.Duration
}

// String is the name.
func (l Look) String() string { return l.Name }

// Parts is the name: an endpoint lies in no cluster that meshprobe knows.
func (l Look) Parts() []string { return []string{l.Name} }

var _ probe.Subject = Look{}

// Asked is what the caller wants to know of an endpoint, beyond what it does.
type Asked struct {
	// Bundle is what the chain is verified with. Without it, it is described.
	Bundle seen.Certs `json:"bundle,omitempty"`
	// Identity is the SPIFFE ID that must answer: at the inner end of double
	// HBONE. OuterIdentity is the gateway's. Empty asks nothing.
	Identity      string `json:"identity,omitempty"`
	OuterIdentity string `json:"outerIdentity,omitempty"`
	// Negative says that the client shows a certificate, or none, with which it
	// must be refused.
	Negative bool `json:"negative,omitempty"`
	// Expect is the one thing that must happen, nil for no such wish.
	Expect *Wanted `json:"expect,omitempty"`
}

// Met is an endpoint as it was seen, beside what was asked of it.
type Met struct {
	wire.Seen
	Asked Asked `json:"question"`
}

// observationName is how records call a Met.
const observationName = "endpoint"

// met looks at each endpoint that a run is given.
func met() probe.Observation[Look, Met] {
	return probe.Observation[Look, Met]{
		Name: observationName, Over: probe.Given[Look], Exhibit: probe.ExhibitEndpoint,
		Observe: func(ctx context.Context, _ *probe.Env, l Look) (Met, error) {
			if err := l.wait(ctx); err != nil {
				return Met{}, err
			}
			leave, err := l.Pace.enter(ctx)
			if err != nil {
				return Met{}, err
			}
			answered := false
			defer func() { leave(answered) }()
			m := Met{Seen: l.Observer.Observe(ctx, l.Target), Asked: l.Asked}
			answered = m.Answer.Protocol != wire.ProtocolSilence && m.TCP.Outcome != wire.TCPTimeout
			if m.Interrupted {
				return m, context.Canceled
			}
			return m, nil
		},
	}
}

// wait lasts until the look is due.
func (l Look) wait(ctx context.Context) error {
	if l.After <= 0 {
		return nil
	}
	timer := time.NewTimer(time.Until(l.Started.Add(l.After)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nested says that there are two layers.
func (m *Met) nested() bool { return m.Kind == wire.DoubleHBONE }

// tunnels says that the endpoint was taken for an HBONE server.
func (m *Met) tunnels() bool { return m.Kind == wire.HBONE || m.Kind == wire.DoubleHBONE }

// part is one layer of an endpoint on its way to be judged.
type part struct {
	*Met
	layer *wire.Layer // nil where it was not reached
	inner bool
}

func (m *Met) outerPart() part { return part{Met: m, layer: m.Layer} }
func (m *Met) innerPart() part { return part{Met: m, layer: m.Inner, inner: true} }

// label names what is spoken of, with the layer where there are two.
func (p part) label(what string) string {
	switch {
	case p.inner:
		return "inner " + what
	case p.nested():
		return "outer " + what
	default:
		return what
	}
}

// identity is the SPIFFE ID that must answer in this layer, empty for any.
func (p part) identity() string {
	if p.nested() && !p.inner {
		return p.Asked.OuterIdentity
	}
	return p.Asked.Identity
}

// at fills the templates of a cause's hints with what an address tells of its
// workload: the namespace and service account of its SPIFFE ID.
func (p part) at(f probe.Finding) probe.Finding { return p.Met.at(f, p.layer) }

func (m *Met) at(f probe.Finding, l *wire.Layer) probe.Finding {
	ns, name := "NAMESPACE", "NAME"
	if l != nil {
		for _, id := range l.URIs() {
			if s := strings.Split(strings.TrimPrefix(id, "spiffe://"), "/"); len(s) == 5 && s[1] == "ns" && s[3] == "sa" && plain(s[2]+s[4]) {
				ns, name = s[2], s[4]
			}
		}
	}
	for _, v := range []string{"Cluster", "From", "To"} {
		f = f.With(v, "CONTEXT")
	}
	return f.With("Address", m.Address).With("Namespace", ns).With("Name", name).With("Restart", "-n "+ns+" rollout restart deployment")
}

// plain says that a word of a peer may stand in a command.
func plain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}

// outer and inner make the judge of one layer out of that of any. They say why there is nothing to judge where the layer was not
// reached.
func outer(judge func(part) []probe.Finding) func(Met) []probe.Finding {
	return func(m Met) []probe.Finding { return m.outerPart().judged(judge) }
}

func inner(judge func(part) []probe.Finding) func(Met) []probe.Finding {
	return func(m Met) []probe.Finding {
		if !m.nested() {
			return []probe.Finding{probe.Skipping("there is no inner layer")}
		}
		return m.innerPart().judged(judge)
	}
}

func (p part) judged(judge func(part) []probe.Finding) []probe.Finding {
	if f, ended := p.ended(); ended {
		return []probe.Finding{f}
	}
	findings := judge(p)
	for i := range findings {
		findings[i] = p.at(findings[i])
	}
	return findings
}

// ended says why there is no such layer, if there is none.
func (p part) ended() (probe.Finding, bool) {
	if f, ended := p.unseen(); ended {
		return f, true
	}
	switch {
	case p.layer != nil:
		return probe.Finding{}, false
	case p.asExpected():
		return probe.Skipping("the endpoint ended it before, as expected"), true
	default:
		return probe.Breaking(p.label("handshake")+" was not made", probe.Text("what was seen", p.came().said)), true
	}
}
