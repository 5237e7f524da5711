// SPDX-License-Identifier: Apache-2.0

package probe

// Cause names why something is wrong, as a state of the world. Codes are
// stable: dashboards and scripts rely on them.
type Cause struct {
	Code  string   // kebab-case slug, e.g. "root-mismatch-same-dn"
	Title string   // one line for a person who has never seen the mesh
	Try   []string // commands or steps that fix it; templates over Vars
}

// Unknown is the cause where the evidence allows no better one. It is legal,
// counted, and our backlog.
var Unknown = Cause{
	Code:  "unknown",
	Title: "the evidence fits no known cause",
	Try:   []string{"meshprobe run --record record-dir --run '^{{.ID}}$'  # and open an issue with the directory"},
}
