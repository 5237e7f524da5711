// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// AppendJSON appends the run as an object to b.
func (r Run) AppendJSON(b []byte) []byte {
	return append(r.appendFields(append(b, '{')), '}')
}

// AppendJSON appends the finding as an object to b.
func (f *Finding) AppendJSON(b []byte) []byte {
	return append(f.appendFields(append(b, '{')), '}')
}

// AppendJSON appends the counts as an object to b, in the order of
// probe.Statuses.
func (c Counts) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	for i, s := range probe.Statuses() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s.String())
		b = append(b, ':')
		b = strconv.AppendInt(b, int64(c[s.String()]), 10)
	}
	return append(b, '}')
}

// AppendLine appends the run as the first line of JSONL, with its newline.
func (r Run) AppendLine(b []byte) []byte {
	b = append(b, `{"event":"run","schema":"`+Schema+`",`...)
	return append(r.appendFields(b), "}\n"...)
}

// AppendLine appends the finding as a line of JSONL, with its newline.
func (f *Finding) AppendLine(b []byte) []byte {
	b = append(b, `{"event":"finding",`...)
	return append(f.appendFields(b), "}\n"...)
}

// AppendLine appends the exhibit as a line of JSONL, with its newline.
func (e *Exhibit) AppendLine(b []byte) []byte {
	b = appendString(append(b, `{"event":`...), e.Event)
	b = appendString(append(b, `,"subject":`...), e.Subject)
	b = strconv.AppendInt(append(b, `,"index":`...), int64(e.Index), 10)
	if len(e.Endpoint) > 0 {
		b = append(append(b, `,"endpoint":`...), e.Endpoint...)
	}
	if len(e.Document) > 0 {
		b = append(append(b, `,"document":`...), e.Document...)
	}
	return append(b, "}\n"...)
}

// AppendLine appends the end of a run as the last line of JSONL.
func (d Done) AppendLine(b []byte) []byte {
	b = append(b, `{"event":"done","verdict":`...)
	b = appendString(b, d.Verdict)
	b = append(b, `,"counts":`...)
	b = d.Counts.AppendJSON(b)
	b = append(b, `,"unknown":`...)
	b = strconv.AppendInt(b, int64(d.Unknown), 10)
	b = append(b, `,"ended":`...)
	b = appendTime(b, d.Ended)
	b = append(b, `,"duration_ms":`...)
	b = strconv.AppendInt(b, d.DurationMS, 10)
	return append(b, "}\n"...)
}

func (r Run) appendFields(b []byte) []byte {
	b = appendString(append(b, `"version":`...), r.Version)
	b = appendString(append(b, `,"provider":`...), r.Provider)
	b = appendString(append(b, `,"profile":`...), r.Profile)
	b = appendTime(append(b, `,"started":`...), r.Started)
	b = strconv.AppendInt(append(b, `,"duration_ms":`...), r.DurationMS, 10)
	b = append(b, `,"clusters":[`...)
	for i, c := range r.Clusters {
		b = comma(b, i)
		b = appendString(append(b, `{"name":`...), c.Name)
		b = appendString(append(b, `,"network":`...), c.Network)
		b = appendString(append(b, `,"trustDomain":`...), c.TrustDomain)
		b = append(b, '}')
	}
	b = append(b, `],"planned":[`...)
	for i, p := range r.Planned {
		b = comma(b, i)
		b = appendString(append(b, `{"id":`...), p.ID)
		b = appendString(append(b, `,"title":`...), p.Title)
		b = append(b, '}')
	}
	return append(b, ']')
}

func (f *Finding) appendFields(b []byte) []byte {
	b = appendString(append(b, `"id":`...), f.ID)
	b = appendString(append(b, `,"title":`...), f.Title)
	b = appendString(append(b, `,"subject":`...), f.Subject)
	b = appendString(append(b, `,"status":`...), f.Status)
	b = appendOptional(b, `,"cause":`, f.Cause)
	b = appendOptional(b, `,"causeTitle":`, f.CauseTitle)
	b = appendOptional(b, `,"level":`, f.Level)
	b = appendOptional(b, `,"clause":`, f.Clause)
	b = append(b, `,"evidence":[`...)
	for i := range f.Evidence {
		b = f.Evidence[i].append(comma(b, i))
	}
	b = append(b, `],"hint":[`...)
	for i, h := range f.Hint {
		b = appendString(comma(b, i), h)
	}
	b = append(b, ']')
	b = appendOptional(b, `,"blockedBy":`, f.BlockedBy)
	b = strconv.AppendInt(append(b, `,"duration_ms":`...), f.DurationMS, 10)
	b = appendVerdicts(b, f.Verdicts)
	b = appendOptional(b, `,"reason":`, f.Reason)
	if f.Deadline != nil {
		b = appendTime(append(b, `,"deadline":`...), *f.Deadline)
	}
	if f.Denied {
		b = append(b, `,"denied":true`...)
	}
	if f.Seq != 0 {
		b = strconv.AppendInt(append(b, `,"seq":`...), int64(f.Seq), 10)
	}
	return b
}

func (e *Evidence) append(b []byte) []byte {
	b = appendString(append(b, `{"kind":`...), e.Kind)
	b = appendString(append(b, `,"label":`...), e.Label)
	b = appendOptional(b, `,"want":`, e.Want)
	b = appendString(append(b, `,"got":`...), e.Got)
	return append(b, '}')
}

func appendVerdicts(b []byte, verdicts []Verdict) []byte {
	if len(verdicts) == 0 {
		return b
	}
	b = append(b, `,"verdicts":[`...)
	for i, v := range verdicts {
		b = appendString(append(comma(b, i), `{"verifier":`...), v.Verifier)
		b = strconv.AppendBool(append(b, `,"accepts":`...), v.Accepts)
		b = appendOptional(b, `,"reason":`, v.Reason)
		b = appendOptional(b, `,"clause":`, v.Clause)
		b = append(b, '}')
	}
	return append(b, ']')
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

func appendOptional(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(append(b, key...), s)
}

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

// appendString quotes s as encoding/json does without HTML escaping: invalid
// UTF-8 becomes U+FFFD, and U+2028 and U+2029 are escaped for JavaScript.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = appendEscaped(append(b, s[start:i]...), c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if (r == utf8.RuneError && size == 1) || r == '\u2028' || r == '\u2029' {
			b = append(b, s[start:i]...)
			b = append(b, '\\', 'u', hexDigits[r>>12], hexDigits[r>>8&0xf], hexDigits[r>>4&0xf], hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func appendEscaped(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	default:
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}
