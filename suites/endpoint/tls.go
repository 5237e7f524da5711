// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"crypto/tls"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// TLS checks that both sides agree on a version, cipher suite, group and
// protocol.
var TLS = probe.DefineOn(probe.Meta{
	ID:      "endpoint/tls",
	Title:   "version, key exchange and ALPN are agreed on",
	About:   aboutTLS,
	Clause:  spec.TLSNegotiated,
	Causes:  tlsCauses(),
	After:   []string{"endpoint/protocol"},
	Applies: "endpoints",
}, met(), outer(judgeTLS))

const aboutTLS = "What the server chose of what was offered: TLS version, cipher suite, key exchange group (post-quantum or not), ALPN, and whether it stapled an OCSP response. HBONE is HTTP/2 over TLS 1.3: its ALPN is h2."

func tlsCauses() []probe.Cause {
	return []probe.Cause{causeVersion, causeGroups, causePostQuantum, causeALPN, causeName, causeBlackhole, causeClosed, causeBreaksTLS}
}

var (
	causeVersion = probe.Cause{
		Code: "tls-version-floor", Title: "the two sides have no TLS version in common",
		Try: []string{
			"meshprobe probe tls {{.Address}} --tls-min 1.2 --tls-max 1.2   # and again with 1.3: which ones does it take?",
			"kubectl --context CONTEXT -n istio-system get configmap istio -o yaml | grep -i -A2 'tlsDefaults\\|meshMTLS'   # ztunnel takes 1.3 only, unless TLS12_ENABLED=true",
		},
	}
	causeGroups = probe.Cause{
		Code: "fips-curve-mismatch", Title: "the two sides have no key exchange group or cipher suite in common",
		Try: []string{"for g in X25519MLKEM768 X25519 P-256 P-384; do meshprobe probe tls {{.Address}} --groups $g; done   # which ones does it take?"},
	}
	causePostQuantum = probe.Cause{
		Code: "pqc-policy-mismatch", Title: "the server takes none of the classical groups that were offered: one side has a post-quantum policy",
		Try: []string{"meshprobe probe tls {{.Address}} --groups X25519MLKEM768", "kubectl --context CONTEXT get pods -A -o yaml | grep -A1 COMPLIANCE_POLICY"},
	}
	causeALPN = probe.Cause{
		Code: "alpn-h2-missing", Title: "no application protocol was agreed on: HBONE needs h2",
		Try: []string{"something between the two sides may strip or answer ALPN: meshprobe probe tls {{.Address}} --alpn h2   # from the other side of it"},
	}
	causeName = probe.Cause{
		Code: "sni-unknown", Title: "the server knows no certificate for the name that was sent, and says so",
		Try: []string{"meshprobe probe tls {{.Address}} --sni NAME"},
	}
	causeBlackhole = probe.Cause{
		Code: "mtu-blackhole", Title: "the handshake began and then stalled: large packets get lost, or the peer does not go on",
		Try: []string{
			"ping -M do -s 1472 HOST   # smaller sizes pass and this one does not?",
			"meshprobe probe tls {{.Address}} --groups X25519   # a smaller ClientHello: does it get through?",
		},
	}
)

func judgeTLS(p part) []probe.Finding {
	l := p.layer
	got := probe.WantGot(p.label("handshake"), "agreed", said(l)).As(probe.KindAlert)
	offer := probe.Text(p.label("offer"), join("; ", versionsOf(l), groupsOf(l), "ALPN "+orNone(strings.Join(l.Offered, ","))))
	switch {
	case p.refusedAsExpected() && l.Version == "":
		return []probe.Finding{probe.Passing(probe.WantGot(p.label("handshake"), "ended as expected", said(l)).As(probe.KindAlert))}
	case p.tunnels() && l.ALPN != "h2" && protocolChosen(l):
		return []probe.Finding{probe.Failing(causeALPN, probe.WantGot(p.label("ALPN"), "h2", orNone(l.ALPN)), offer)}
	case l.Version != "" && l.Outcome == wire.Stalled && l.Early:
		return []probe.Finding{probe.Failing(causeBlackhole, got, offer)}
	case l.Version != "" && l.Alert == "no_application_protocol":
		return []probe.Finding{probe.Failing(causeALPN, got, offer)}
	case l.Version != "":
		return []probe.Finding{probe.Passing(probe.Text(p.label("handshake"), parameters(l)))}
	}
	return []probe.Finding{probe.Failing(disagreed(l), got, offer)}
}

// protocolChosen says that the handshake came as far as the choice of an ALPN:
// what failed before it says nothing of that.
func protocolChosen(l *wire.Layer) bool {
	if l.Version == "" || l.Outcome == wire.Stalled {
		return false
	}
	return !l.Early || l.Alert == "no_application_protocol" || l.OwnAlert == "no_application_protocol" || slices.Contains(l.Messages, "Certificate")
}

// everyClassicalGroup says that all common groups were offered but those with
// ML-KEM: who takes none of them wants one with it.
func everyClassicalGroup(offered []string) bool {
	for _, g := range []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384} {
		if !slices.Contains(offered, g.String()) {
			return false
		}
	}
	return !slices.ContainsFunc(offered, func(g string) bool { return strings.Contains(g, "MLKEM") })
}

// disagreed is why no version came of a handshake.
func disagreed(l *wire.Layer) probe.Cause {
	alert := l.Alert
	if l.Outcome == wire.Rejected {
		alert = l.OwnAlert
	}
	if old(l.OfferedMax) && slices.Contains([]string{"handshake_failure", "internal_error", "insufficient_security"}, alert) {
		return causeVersion // OpenSSL's word for a version that its security level rules out
	}
	switch alert {
	case "protocol_version":
		return causeVersion
	case "handshake_failure", "insufficient_security":
		if everyClassicalGroup(l.OfferedGroups) {
			return causePostQuantum
		}
		return causeGroups
	case "no_application_protocol":
		return causeALPN
	case "unrecognized_name":
		return causeName
	}
	switch {
	case l.Outcome == wire.Stalled && l.Received > 0:
		return causeBlackhole
	case l.Outcome == seen.Closed:
		return causeClosed
	case l.Outcome == wire.Rejected:
		return causeBreaksTLS
	default:
		return causeUnknown
	}
}

func old(version string) bool { return version == "TLS 1.0" || version == "TLS 1.1" }

func versionsOf(l *wire.Layer) string {
	if l.OfferedMin == l.OfferedMax {
		return l.OfferedMin
	}
	return join(" to ", l.OfferedMin, l.OfferedMax)
}

func groupsOf(l *wire.Layer) string {
	if len(l.OfferedGroups) == 0 {
		return ""
	}
	return "groups " + strings.Join(l.OfferedGroups, ",")
}
