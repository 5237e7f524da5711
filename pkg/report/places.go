// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// The arrows of subjects that lie in two places.
const (
	arrowTo   = " → "
	arrowBoth = " ↔ "
)

// places finds the clusters in the text of a subject.
type places map[string]probe.ClusterFacts

func placesOf(clusters []probe.ClusterFacts) places {
	p := make(places, len(clusters))
	for _, c := range clusters {
		p[c.Name] = c
	}
	return p
}

// group is what a subject has in common with its neighbours: the cluster, the
// two clusters with their arrow, or the subject itself.
func (p places) group(subject string) string {
	from, arrow, to := sides(subject)
	a := p.cluster(from)
	if arrow == "" {
		return a
	}
	b := p.cluster(to)
	if a == b {
		return a
	}
	if len(a) == len(from) && len(b) == len(to) {
		return subject
	}
	return a + arrow + b
}

// cluster is the cluster of one side of a subject: the side itself, or what
// comes before /namespace/name, as a context's name may hold slashes.
func (p places) cluster(side string) string {
	if _, ok := p[side]; ok {
		return side
	}
	i := strings.LastIndexByte(side, '/')
	if i <= 0 {
		return side
	}
	if j := strings.LastIndexByte(side[:i], '/'); j > 0 {
		return side[:j]
	}
	return side[:i]
}

func sides(subject string) (from, arrow, to string) {
	for _, arrow := range []string{arrowTo, arrowBoth} {
		if from, to, ok := strings.Cut(subject, arrow); ok {
			return from, arrow, to
		}
	}
	return subject, "", ""
}
