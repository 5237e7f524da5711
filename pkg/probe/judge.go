// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// judged runs the judge and seals what it says. A panic is one Broken
// finding, with the stack as evidence.
func (p Probe) judged(v any) (fs []Finding) {
	defer func() {
		if r := recover(); r != nil {
			fs = []Finding{panicked("judge", r)}
		}
	}()
	fs = p.judge(v)
	if len(fs) == 0 {
		return []Finding{Breaking("the judge of " + p.ID + " said nothing")}
	}
	for i := range fs {
		fs[i] = p.seal(fs[i])
	}
	return fs
}

func panicked(where string, r any) Finding {
	return Breaking(fmt.Sprintf("panic in %s: %v", where, r),
		Text("stack", string(debug.Stack())).As(KindStack))
}

// seal makes sure that nothing invalid leaves the engine: a failure has a
// declared cause and evidence, and its level follows the clause.
func (p Probe) seal(f Finding) Finding {
	switch f.Status {
	case Pass, Skip, Blocked, Broken:
	case Fail, Warn, Note, Pending:
		if f.Cause.Code == "" || len(f.Evidence) == 0 {
			return Breaking(fmt.Sprintf("the judge of %s said %s without cause or evidence", p.ID, f.Status))
		}
		if f.Cause.Code != Unknown.Code && !slices.ContainsFunc(p.Causes, func(c Cause) bool { return c.Code == f.Cause.Code }) {
			return Breaking(fmt.Sprintf("the judge of %s named the cause %s, which it does not declare", p.ID, f.Cause.Code))
		}
	default:
		return Breaking("the judge of " + p.ID + " returned no status")
	}
	if f.Status == Fail {
		f.Status = failureAt(p.Clause.Level)
	}
	return f
}

// failureAt is the status of an unmet clause: Must fails, Should warns, May
// is worth a note.
func failureAt(l spec.Level) Status {
	switch l {
	case spec.Should:
		return Warn
	case spec.May:
		return Note
	default:
		return Fail
	}
}

// complete fills in what the judge does not know.
func (p Probe) complete(f Finding, s Subject) Finding {
	f.ID, f.Title, f.Suite = p.ID, p.Title, p.Suite()
	f.Level, f.Clause = p.Clause.Level, p.Clause
	f.Subject = s.String()
	if f.Cause.Code != "" {
		f.Hint = renderHints(f, s)
	}
	return f
}
