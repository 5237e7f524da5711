// SPDX-License-Identifier: Apache-2.0

package probe

import "fmt"

// Status is the outcome of one probe on one subject. The zero value is
// invalid; the runner turns it into Broken.
type Status int

// The statuses, in the order in which a summary counts them.
const (
	_       Status = iota
	Pass           // the healthy fact holds
	Fail           // a Must does not hold; always with a cause and evidence
	Warn           // a Should does not hold
	Note           // a May does not hold, or something worth knowing
	Skip           // does not apply, or may not be looked at; with a reason
	Pending        // legitimately not there yet; with the time at which it becomes Fail
	Blocked        // cannot mean anything before another finding is fixed
	Broken         // meshprobe could not look
)

var statusNames = [...]string{"", "pass", "fail", "warn", "note", "skip", "pending", "blocked", "broken"}

// Statuses lists the valid statuses in order.
func Statuses() []Status {
	return []Status{Pass, Fail, Warn, Note, Skip, Pending, Blocked, Broken}
}

// String is the word of the JSON contract, "invalid" outside of it.
func (s Status) String() string {
	if s <= 0 || int(s) >= len(statusNames) {
		return "invalid"
	}
	return statusNames[s]
}

// MarshalText is String; an invalid status is an error.
func (s Status) MarshalText() ([]byte, error) {
	if s <= 0 || int(s) >= len(statusNames) {
		return nil, fmt.Errorf("probe: status %d is invalid", int(s))
	}
	return []byte(statusNames[s]), nil
}

// UnmarshalText reads the word of the JSON contract.
func (s *Status) UnmarshalText(b []byte) error {
	for i, name := range statusNames {
		if i > 0 && name == string(b) {
			*s = Status(i)
			return nil
		}
	}
	return fmt.Errorf("probe: unknown status %q", b)
}

// Verdict sums a run up.
type Verdict string

// The verdicts; architecture.md §5 maps them to exit statuses.
const (
	Conformant    Verdict = "conformant"    // every Must that was asked for holds
	Partial       Verdict = "partial"       // as far as it was allowed to look
	Nonconformant Verdict = "nonconformant" // a Must does not hold
	Inconclusive  Verdict = "inconclusive"  // no failure, but something could not be looked at
)
