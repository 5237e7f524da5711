// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// The things that can be expected of an endpoint.
const (
	ExpectAccept = "accept"
	ExpectClose  = "close"  // FIN or RST without an alert
	ExpectAlert  = "alert"  // of the peer; Value is its RFC 8446 name
	ExpectStatus = "status" // of the CONNECT; Value is the number
	ExpectReset  = "reset"  // RST_STREAM in place of a status; Value is its RFC 9113 name
)

// Wanted is the one thing that must happen, for scripts.
type Wanted struct {
	What  string `json:"what"`
	Value string `json:"value,omitempty"`
}

// String is what ParseExpectation reads.
func (e Wanted) String() string {
	if e.Value == "" {
		return e.What
	}
	return e.What + ":" + e.Value
}

// ExpectationError says what is wrong with the text of an expectation.
type ExpectationError struct{ Text, Why, Hint string }

// Error names the text and what is wrong with it.
func (e *ExpectationError) Error() string {
	return fmt.Sprintf("endpoint: expect %q: %s", e.Text, e.Why)
}

// ParseExpectation reads "accept", "close", "alert:unknown_ca", "status:401" or
// "reset:REFUSED_STREAM". An error is an *ExpectationError.
func ParseExpectation(text string) (*Wanted, error) {
	what, value, _ := strings.Cut(text, ":")
	e := &Wanted{What: what, Value: value}
	bad := func(why, hint string) (*Wanted, error) {
		return nil, &ExpectationError{Text: text, Why: why, Hint: hint}
	}
	switch what {
	case ExpectAccept, ExpectClose:
		if text != what {
			return bad(what+" takes no value", what)
		}
	case ExpectAlert:
		if _, ok := hbone.ParseAlert(value); !ok {
			return bad(fmt.Sprintf("there is no alert %q in RFC 8446", value), "alert:"+nearest(value, alerts()))
		}
	case ExpectStatus:
		if n, err := strconv.Atoi(value); err != nil || n < 100 || n > 599 || strconv.Itoa(n) != value {
			return bad("a status has three digits", "status:401")
		}
	case ExpectReset:
		e.Value = strings.ToUpper(value)
		if !slices.Contains(resets(), e.Value) {
			return bad(fmt.Sprintf("there is no error code %q in RFC 9113", value), "reset:"+nearest(e.Value, resets()))
		}
	default:
		return bad("nothing of that name can happen", "one of accept, alert:NAME, status:CODE, reset:CODE, close")
	}
	return e, nil
}

func nearest(word string, known []string) string {
	near, _ := cluster.Nearest(word, known)
	return near
}

func alerts() []string {
	var names []string
	for code := range 256 {
		if name := hbone.AlertName(alertError(code)); !strings.HasPrefix(name, "alert_") {
			names = append(names, name)
		}
	}
	return names
}

func resets() []string {
	var names []string
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required; code++ {
		names = append(names, seen.ResetName(code))
	}
	return names
}

// event is what came of looking at an endpoint: one thing, in the words of an
// expectation where there is one, and in a sentence.
type event struct {
	Wanted
	said string
}

// came is the last thing that happened.
func (m *Met) came() event {
	if m.TCP.Outcome != wire.TCPConnected && m.TCP.Outcome != wire.TCPReset {
		return event{Wanted{What: "unreachable"}, saidTCP(m.TCP)}
	}
	if m.Answer.Protocol == wire.ProtocolClosed || m.TCP.Outcome == wire.TCPReset {
		return event{Wanted{What: ExpectClose}, "closed without a byte (" + ended(m.Answer.End) + ")"}
	}
	l := m.Last()
	if l == nil || l.Outcome == wire.NotTLS {
		return event{Wanted{What: "not TLS"}, saidAnswer(m.Answer)}
	}
	switch l.Outcome {
	case seen.Refused:
		return event{Wanted{ExpectAlert, l.Alert}, said(l)}
	case seen.Closed:
		return event{Wanted{What: ExpectClose}, said(l)}
	case seen.Accepted, seen.NotRefused:
		return crossed(l)
	default:
		return event{Wanted{What: string(l.Outcome)}, said(l)}
	}
}

// crossed is what came of the CONNECT of a layer, or of its handshake where
// none was sent.
func crossed(l *wire.Layer) event {
	switch {
	case l.Status == 200, l.Authority == "": // ztunnel and Envoy take no other 2xx either
		return event{Wanted{What: ExpectAccept}, said(l)}
	case l.Reset != "":
		return event{Wanted{ExpectReset, l.Reset}, "CONNECT " + l.Authority + " was reset with " + l.Reset}
	case l.Status != 0:
		return event{Wanted{ExpectStatus, strconv.Itoa(l.Status)}, fmt.Sprintf("CONNECT %s was answered with %d", l.Authority, l.Status)}
	case l.End == wire.EndFIN, l.End == wire.EndRST, l.End == wire.EndNotify:
		return event{Wanted{What: ExpectClose}, "the connection was closed in place of an answer to CONNECT " + l.Authority}
	default:
		return event{Wanted{What: "no answer"}, "CONNECT " + l.Authority + " was not answered: " + l.Refusal}
	}
}

// asExpected says that the thing happened that was expected, or that a client
// that must be refused was, for a reason that fits.
func (m *Met) asExpected() bool {
	e := m.came()
	switch {
	case m.Asked.Expect != nil && m.Asked.Expect.What == ExpectStatus && m.Asked.Expect.Value == "200":
		return e.What == ExpectAccept && m.Last().Status == 200
	case m.Asked.Expect != nil:
		return e.Wanted == *m.Asked.Expect
	case m.Asked.Negative:
		return m.refusedRightly(e)
	default:
		return false
	}
}

// refusedAsExpected says that the layer is the one that was to end it, and did.
func (p part) refusedAsExpected() bool {
	return p.layer == p.Last() && !p.layer.Outcome.OK() && p.asExpected()
}
