// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/report"
	"github.com/meshprobe/meshprobe/suites/endpoint"
)

// maxSamples bounds the latencies that are kept; of more, a random sample.
const maxSamples = 1 << 16

// rate counts handshakes and how long they took. It is a sink.
type rate struct {
	started, ended time.Time
	all, good      int
	took           []float64 // milliseconds, of good ones
}

var _ probe.Sink = (*rate)(nil)

func (r *rate) Emit(e probe.Event) error {
	switch e := e.(type) {
	case probe.RunStarted:
		r.started = e.Started
	case probe.Exhibit:
		if m, ok := e.Value.(endpoint.Met); ok {
			r.count(m)
		}
	case probe.RunDone:
		r.ended = e.Ended
	}
	return nil
}

// Close does nothing: what was counted is told at the end.
func (r *rate) Close() error { return nil }

func (r *rate) count(m endpoint.Met) {
	r.all++
	if !m.Succeeded() {
		return
	}
	r.good++
	if len(r.took) < maxSamples {
		r.took = append(r.took, m.HandshakeMS())
	} else if i := rand.IntN(r.good); i < maxSamples { //nolint:gosec // a sample, no secret
		r.took[i] = m.HandshakeMS()
	}
}

// tellRate writes one line about many probes, where a person reads.
func (c *cli) tellRate(f *probeFlags, r *rate) error {
	out := c.Err
	if f.output.format == report.FormatText {
		out = c.Out
	}
	line := fmt.Sprintf("  %d of %d succeeded", r.good, r.all)
	if elapsed := r.ended.Sub(r.started).Seconds(); elapsed > 0 && r.good > 0 {
		line += fmt.Sprintf(", %.0f handshakes/s", float64(r.good)/elapsed)
	}
	if len(r.took) > 0 {
		slices.SortFunc(r.took, cmp.Compare[float64])
		line += fmt.Sprintf("; p50 %s, p90 %s, p99 %s", took(r.at(50)), took(r.at(90)), took(r.at(99)))
	}
	_, err := fmt.Fprintln(out, line)
	return err
}

// at is a percentile of the sorted latencies.
func (r *rate) at(percent int) float64 {
	return r.took[min(len(r.took)-1, (len(r.took)*percent+99)/100-1)]
}

func took(ms float64) string {
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.2fs", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0fms", ms)
	default:
		return fmt.Sprintf("%.1fms", ms)
	}
}

// alongside gives events to r as well; only the first can be lost.
func alongside(sink probe.Sink, r *rate) probe.Sink { return &beside{sink, r} }

type beside struct {
	probe.Sink
	rate *rate
}

func (b *beside) Emit(e probe.Event) error {
	_ = b.rate.Emit(e)
	return b.Sink.Emit(e)
}
