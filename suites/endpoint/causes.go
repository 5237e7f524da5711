// SPDX-License-Identifier: Apache-2.0

package endpoint

import "github.com/meshprobe/meshprobe/pkg/probe"

// causeUnknown is probe.Unknown with the step that helps here.
var causeUnknown = probe.Cause{
	Code: probe.Unknown.Code, Title: probe.Unknown.Title,
	Try: []string{"repeat the command with --record record-dir   # and open an issue with the directory: it holds what was seen, and no key"},
}

// known replaces the hint of an unknown cause.
func known(c probe.Cause) probe.Cause {
	if c.Code == probe.Unknown.Code {
		return causeUnknown
	}
	return c
}
