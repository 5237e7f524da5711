// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"fmt"
	"regexp"
	"strings"
)

// Error says what a mesh could not be made, found or removed for.
type Error struct {
	Cluster string   // empty: the whole mesh
	Step    string   // as in the events; empty where it is none's
	Err     error    // what happened
	Hint    []string // commands or settings that help, may be empty
}

// Error is "kind: STEP: CLUSTER: what happened".
func (e *Error) Error() string {
	s := "kind: "
	if e.Step != "" {
		s += e.Step + ": "
	}
	if e.Cluster != "" {
		s += e.Cluster + ": "
	}
	return s + e.Err.Error()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hints are what a report tells beside the error.
func (e *Error) Hints() []string { return e.Hint }

// failure makes an *Error of a message.
func failure(hint, format string, args ...any) *Error {
	e := &Error{Err: fmt.Errorf(format, args...)}
	if hint != "" {
		e.Hint = []string{hint}
	}
	return e
}

// in names the place of an error, once.
func in(step, clusterName string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok { //nolint:errorlint // an *Error deeper down has its own place
		if e.Step == "" {
			e.Step = step
		}
		if e.Cluster == "" {
			e.Cluster = clusterName
		}
		return e
	}
	return &Error{Step: step, Cluster: clusterName, Err: err, Hint: hintFor(err.Error())}
}

// symptom is what Docker, kubeadm or containerd says for something that a user
// can change.
type symptom struct{ words, hint string }

func symptoms() []symptom {
	return []symptom{
		{"no space left on device", "make room on the disk of Docker: docker system df"},
		{"cannot connect to the docker daemon", "start Docker: sudo systemctl start docker"},
		{"cgroup v1", "use cgroup v2, or a node image and a --kind-config that accept cgroup v1 (KubeletConfiguration: failCgroupV1: false)"},
		{"pull access denied", "name a node image that is there: --kind-image IMAGE; see: docker images"},
		{"manifest unknown", "name a node image that exists: --kind-image IMAGE"},
		{"no such image", "name a node image that is there: --kind-image IMAGE; see: docker images"},
		{"unable to find image", "name a node image that is there: --kind-image IMAGE; see: docker images"},
		{"too many open files", "raise the limits of inotify: sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288"},
		{"cannot allocate memory", "give Docker more memory, or ask for fewer clusters"},
		{"oom-kill", "give Docker more memory, or ask for fewer clusters"},
		{"unable to apply caps", "let Docker start privileged containers"},
	}
}

// hintFor recognises what a failed tool said.
func hintFor(text string) []string {
	text = strings.ToLower(text)
	for _, s := range symptoms() {
		if strings.Contains(text, s.words) {
			return []string{s.hint}
		}
	}
	return nil
}

// credential matches what no line that is shown may hold.
var credential = regexp.MustCompile(`(?i)(-----(BEGIN|END)[A-Z ]*PRIVATE|eyJ[A-Za-z0-9_-]{8,}\.|bearer\s+\S|(token|password|passwd|secret|key-data|certificate-key|discovery-token-ca-cert-hash)["']?\s*[:=]\s*\S|--token\s+\S|[A-Za-z0-9+/]{80,}={0,2})`)

// maxLine bounds a line of somebody's log.
const maxLine = 300

// clean keeps the last lines of a log that hold no credential.
func clean(text string, lines int) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(printable(line), " ")
		if line == "" || credential.MatchString(line) {
			continue
		}
		if len(line) > maxLine {
			line = strings.ToValidUTF8(line[:maxLine], "") + "…"
		}
		out = append(out, line)
	}
	return out[max(0, len(out)-lines):]
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// printable drops what moves a terminal.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ', r == 0x7f, r >= 0x80 && r < 0xa0:
			return -1
		}
		return r
	}, escapes.ReplaceAllString(line, ""))
}
