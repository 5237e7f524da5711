// SPDX-License-Identifier: Apache-2.0

package v1

import "time"

// ConformanceSchema names this version of the conformance report.
const ConformanceSchema = "meshprobe-conformance/v1"

// Conformance is a report that a vendor publishes: one YAML document that says
// which implementation was held to which promise, where, and what came of it,
// probe by probe. Its fields are added, never renamed.
type Conformance struct {
	Schema         string         `yaml:"schema"`
	Date           time.Time      `yaml:"date"` // when the run started, UTC, whole seconds
	Tool           Tool           `yaml:"tool"`
	Implementation Implementation `yaml:"implementation"`
	Provider       string         `yaml:"provider"`
	Profile        string         `yaml:"profile"`
	Topology       ConfTopology   `yaml:"topology"`
	Core           ConfPart       `yaml:"core"`     // clauses that say MUST
	Extended       ConfPart       `yaml:"extended"` // clauses that say SHOULD or MAY
	Verdict        string         `yaml:"verdict"`  // conformant | partial | nonconformant | inconclusive
}

// Tool is the program that made the report.
type Tool struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
}

// Implementation is what was tested, in the words of who publishes the report.
type Implementation struct {
	Name         string   `yaml:"name"`
	Version      string   `yaml:"version"`
	Organization string   `yaml:"organization,omitempty"`
	URL          string   `yaml:"url,omitempty"`
	Contact      []string `yaml:"contact,omitempty"`
}

// ConfTopology is where it was tested.
type ConfTopology struct {
	Clusters []ConfCluster `yaml:"clusters"`
	Edges    []string      `yaml:"edges"` // the calls that must work: "east/shop/reviews → west/shop/ratings (sidecar)"
}

// ConfCluster identifies a cluster.
type ConfCluster struct {
	Name        string `yaml:"name"`
	Network     string `yaml:"network"`
	TrustDomain string `yaml:"trustDomain"`
}

// ConfPart is the probes of one level of obligation.
type ConfPart struct {
	Result     string         `yaml:"result"`     // success | partial | failure | inconclusive
	Statistics map[string]int `yaml:"statistics"` // findings by status; those that did not occur are left out
	Probes     []ConfProbe    `yaml:"probes"`     // in plan order
}

// ConfProbe is what came of one probe over all its subjects.
type ConfProbe struct {
	ID      string         `yaml:"id"`
	Result  string         `yaml:"result"`           // the gravest status among its findings
	Counts  map[string]int `yaml:"counts"`           // findings by status
	Denied  int            `yaml:"denied,omitempty"` // skips for want of a permission
	Causes  []string       `yaml:"causes,omitempty"`
	Reasons []string       `yaml:"reasons,omitempty"` // of skip, pending and broken; at most three
}
