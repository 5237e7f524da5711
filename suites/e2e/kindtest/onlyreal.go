// SPDX-License-Identifier: Apache-2.0

package kindtest

// OnlyReal says why a probe has something to look at on real clusters only, so
// that the embedded ones, of which it says Skip, cannot be held to them; it is
// empty for every other probe.
func OnlyReal(id string) string {
	if id == "discovery/proxy-sync" {
		return "the proxies of embedded clusters take their configuration without XDS"
	}
	return ""
}

// Agree says whether what a probe says of an embedded mesh, status and cause, is
// what it says of a real one: the same, or, where OnlyReal has a reason, a Skip
// beside something that is no failure.
func Agree(id, embedded, live string) bool {
	if OnlyReal(id) == "" {
		return embedded == live
	}
	return embedded == "skip" && (live == "pass" || live == "skip")
}
