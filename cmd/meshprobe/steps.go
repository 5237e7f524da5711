// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// steps prints the steps of a federation as they end: one line each, whatever
// the number of clusters.
type steps struct {
	w      *output
	all    int // clusters there are
	step   string
	detail string
	took   time.Duration
	done   []string        // clusters that are through
	begun  map[string]bool // clusters that began it
	notes  []string
}

// event is a cluster.Events.
func (s *steps) event(e cluster.Event) {
	if s.begun != nil && (e.Step != s.step || e.Elapsed == 0 && e.Detail != s.detail && s.begun[e.Cluster] && s.ended()) {
		s.flush("✓")
	}
	if s.begun == nil {
		s.step, s.detail, s.begun = e.Step, e.Detail, map[string]bool{}
	}
	switch {
	case e.Elapsed > 0:
		s.took = max(s.took, e.Elapsed)
		s.done = append(s.done, e.Cluster)
	case !s.begun[e.Cluster]:
		s.begun[e.Cluster] = true
	default:
		note := e.Detail
		if e.Cluster != "" {
			note = e.Cluster + ": " + note
		}
		s.notes = append(s.notes, note)
	}
}

// ended says whether every cluster that began is through.
func (s *steps) ended() bool { return len(s.done) == len(s.begun) }

// end prints the last step; ok says whether it held.
func (s *steps) end(ok bool) {
	if s.begun == nil {
		return
	}
	mark := "✓"
	if !ok {
		mark = "×"
	}
	s.flush(mark)
}

func (s *steps) flush(mark string) {
	where := ""
	if len(s.begun) > 0 && !s.begun[""] {
		names := slices.Sorted(slices.Values(s.done))
		where = strings.Join(names, ", ")
		if len(names) > 4 || len(names) == s.all && s.all > 4 {
			where = fmt.Sprintf("%d of %d clusters", len(names), s.all)
		}
	}
	_, _ = fmt.Fprintf(s.w, "%s %-18s%-48s %-20s %s\n", mark, s.step, s.detail, where, elapsed(s.took))
	slices.Sort(s.notes)
	for _, n := range s.notes {
		_, _ = fmt.Fprintf(s.w, "  %-18s%s\n", "", n)
	}
	*s = steps{w: s.w, all: s.all}
}

// elapsed is a duration as people read it.
func elapsed(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	default:
		return "<1ms"
	}
}
