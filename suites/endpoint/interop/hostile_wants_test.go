// SPDX-License-Identifier: Apache-2.0

package interop_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// patient are the peers that let their caller wait until it gives up.
func patient() []string {
	return []string{
		"silence", "byte-per-second", "hello-then-silence", "flight-dripping", "encrypted-extensions-unasked",
		"hbone-mute", "hbone-answers-never", "h2-no-streams-allowed",
		"h2-empty-continuations", "h2-settings-endless", "h2-unknown-frames",
	}
}

// overHTTP2 says that a peer is an HBONE server until it turns hostile.
func overHTTP2(name string) bool {
	return slices.ContainsFunc([]string{"h2-", "hbone-", "tunnel-"}, func(p string) bool { return strings.HasPrefix(name, p) })
}

// What is said of those that break a protocol.
const (
	brokenTLS   = "tls-broken"
	brokenHTTP2 = "http2-broken"
)

// breaksTLS is a peer with which meshprobe ends it; alert is what it was told,
// empty where crypto/tls says nothing or does not tell.
func breaksTLS(alert string) want {
	return want{protocol: wire.ProtocolTLS, last: strings.TrimSpace("rejected " + alert), cause: brokenTLS, verdict: probe.Nonconformant}
}

// breaksHTTP2 is a peer whose TLS is fine and whose first frames are not.
func breaksHTTP2() want {
	return want{protocol: wire.ProtocolTLS, last: "unclear", cause: brokenHTTP2, verdict: probe.Nonconformant}
}

func speaks(p wire.Protocol, cause string) want {
	return want{protocol: p, last: "not TLS", cause: cause, verdict: probe.Nonconformant}
}

func cut(p wire.Protocol) want {
	return want{protocol: p, last: "closed", cause: "closed-without-alert", verdict: probe.Nonconformant}
}

func stalls(cause string) want {
	return want{protocol: wire.ProtocolTLS, last: "stalled", cause: cause, verdict: probe.Nonconformant}
}

func fails(cause string) want {
	return want{protocol: wire.ProtocolTLS, last: "accepted", cause: cause, verdict: probe.Nonconformant}
}

// hostileWants is what each hostile peer must be called.
func hostileWants() map[string]want {
	all := map[string]want{}
	for _, some := range []map[string]want{plainWants(), tlsWants(), certificateWants(), http2Wants()} {
		maps.Copy(all, some)
	}
	return all
}

// plainWants are those of peers that speak something else, or nothing.
func plainWants() map[string]want {
	return map[string]want{
		"empty-lines":          speaks(wire.ProtocolOther, "another-protocol"),
		"fin-after-hello":      cut(wire.ProtocolClosed),
		"fin-at-once":          cut(wire.ProtocolClosed),
		"ftp-banner":           speaks(wire.ProtocolBanner, "another-protocol"),
		"half-closed":          cut(wire.ProtocolClosed),
		"http1-400":            speaks(wire.ProtocolHTTP, "plaintext-on-mtls"),
		"http1-endless":        speaks(wire.ProtocolHTTP, "plaintext-on-mtls"),
		"http1-redirect":       speaks(wire.ProtocolHTTP, "plaintext-on-mtls"),
		"http1-server-push":    speaks(wire.ProtocolHTTP, "plaintext-on-mtls"),
		"http2-plaintext":      speaks(wire.ProtocolHTTP2, "plaintext-on-mtls"),
		"mysql-greeting":       speaks(wire.ProtocolOther, "another-protocol"),
		"noise":                speaks(wire.ProtocolOther, "another-protocol"),
		"proxy-v1-first":       speaks(wire.ProtocolProxy, "proxy-protocol-or-health-probe"),
		"proxy-v2-first":       speaks(wire.ProtocolProxy, "proxy-protocol-or-health-probe"),
		"record-too-long":      speaks(wire.ProtocolOther, "another-protocol"),
		"record-type-unknown":  speaks(wire.ProtocolOther, "another-protocol"),
		"record-version-wrong": speaks(wire.ProtocolOther, "another-protocol"),
		"redis-error":          speaks(wire.ProtocolBanner, "another-protocol"),
		"rst-after-hello":      cut(wire.ProtocolClosed),
		"rst-at-once":          {last: "closed | tcp reset", cause: "closed-without-alert", verdict: probe.Nonconformant},
		"silence":              {protocol: wire.ProtocolSilence, last: "stalled", cause: "silent-endpoint", verdict: probe.Nonconformant},
		"smtp-banner":          speaks(wire.ProtocolBanner, "another-protocol"),
		"ssh-banner":           speaks(wire.ProtocolSSH, "another-protocol"),
		"ssl2-server-hello":    speaks(wire.ProtocolOther, "another-protocol"),
		"tarpit":               speaks(wire.ProtocolSSH, "another-protocol"),
	}
}

// tlsWants are those of peers that break TLS, or use it in an odd way that is allowed.
func tlsWants() map[string]want {
	return map[string]want{
		"alert-access-denied":            refused("access_denied", "unknown"),
		"alert-access-denied-later":      refused("access_denied", "unknown"),
		"alert-fatal":                    refused("handshake_failure", "fips-curve-mismatch"),
		"alert-short":                    breaksTLS("unexpected_message"),
		"alert-unknown-code":             refused("alert_200", "unknown"),
		"alert-unrecognized-name":        refused("unrecognized_name", "sni-unknown"),
		"alpn-not-offered":               breaksTLS("no_application_protocol"),
		"application-data-at-once":       breaksTLS(""),
		"byte-per-second":                stalls("mtu-blackhole"),
		"ca-names-10000":                 accepted,
		"ca-names-garbage":               accepted,
		"ccs-flood":                      breaksTLS(""),
		"ccs-sealed":                     {last: "not refused", cause: "", verdict: probe.Conformant},
		"cipher-not-offered":             breaksTLS("illegal_parameter"),
		"client-hello-back":              breaksTLS("unexpected_message"),
		"close-notify-at-once":           cut(wire.ProtocolTLS),
		"compressed-certificate":         breaksTLS("unexpected_message"),
		"compression":                    breaksTLS("decode_error"),
		"downgrade-marked":               breaksTLS("illegal_parameter"),
		"echo":                           breaksTLS("unexpected_message"),
		"empty-application-data":         breaksTLS(""),
		"empty-records":                  breaksTLS("unexpected_message"),
		"empty-records-sealed":           breaksTLS(""),
		"encrypted-extensions-duplicate": breaksTLS("decode_error"),
		"encrypted-extensions-twice":     breaksTLS("unexpected_message"),
		"encrypted-extensions-unasked":   stalls("mtu-blackhole"),
		"endless-data":                   accepted,
		"endless-handshake":              breaksTLS("internal_error"),
		"extension-duplicate":            breaksTLS("decode_error"),
		"extension-truncated":            breaksTLS("decode_error"),
		"extension-unasked":              breaksTLS("unsupported_extension"),
		"extension-unknown":              breaksTLS("bad_record_mac"),
		"flight-dripping":                stalls("mtu-blackhole"),
		"garbage-after-hello":            breaksTLS("protocol_version"),
		"handshake-message-unknown":      breaksTLS("unexpected_message"),
		"handshake-out-of-order":         breaksTLS("unexpected_message"),
		"hello-byte-by-byte":             accepted,
		"hello-request-first":            breaksTLS("unexpected_message"),
		"hello-request-sealed":           breaksTLS(""),
		"hello-then-empty-records":       breaksTLS("bad_record_mac"),
		"hello-then-fin":                 cut(wire.ProtocolTLS),
		"hello-then-rst":                 cut(wire.ProtocolTLS),
		"hello-then-silence":             stalls("mtu-blackhole"),
		"key-share-garbage":              breaksTLS("illegal_parameter"),
		"key-share-missing":              breaksTLS("illegal_parameter"),
		"key-update-bad":                 breaksTLS("decode_error"),
		"key-update-flood":               breaksTLS(""),
		"mute-after-tls":                 {last: "not refused", cause: "", verdict: probe.Conformant},
		"ocsp-garbage":                   accepted,
		"record-forged":                  breaksTLS("bad_record_mac"),
		"record-too-long-sealed":         breaksTLS("record_overflow"),
		"renegotiation":                  accepted,
		"renegotiation-flood":            accepted,
		"retry-loop":                     breaksTLS("unexpected_message"),
		"retry-offered-group":            breaksTLS("illegal_parameter"),
		"retry-unknown-group":            breaksTLS("illegal_parameter"),
		"session-id-other":               breaksTLS("illegal_parameter"),
		"session-ticket-flood":           {last: "accepted | rejected", cause: " | " + brokenTLS},
		"signature-by-another-key":       breaksTLS("decrypt_error"),
		"ssl3-alert":                     refused("handshake_failure", "fips-curve-mismatch"),
		"ssl3-server-hello":              breaksTLS("protocol_version"),
		"ticket-in-handshake":            breaksTLS("decode_error"),
		"tls10-only":                     refused("protocol_version", "tls-version-floor"),
		"user-canceled-alerts":           breaksTLS("unexpected_message"),
		"version-from-the-future":        breaksTLS("protocol_version"),
		"warning-alerts":                 breaksTLS("unexpected_message"),
		"warning-alerts-sealed":          breaksTLS(""),
		"warning-alerts-tls12":           accepted,
	}
}

// certificateWants are those of peers whose certificates are the fault.
func certificateWants() map[string]want {
	unparsable := want{protocol: wire.ProtocolTLS, last: "rejected decode_error", cause: "certificate-unparsable", verdict: probe.Nonconformant}
	return map[string]want{
		"certificate-1mib":                breaksTLS("internal_error"),
		"certificate-64kib":               fails("unknown"),
		"certificate-asked-later":         breaksTLS(""),
		"certificate-curve-unknown":       unparsable,
		"certificate-empty":               unparsable,
		"certificate-extension-duplicate": unparsable,
		"certificate-key-unknown":         breaksTLS("unsupported_certificate"),
		"certificate-list-empty":          breaksTLS("decode_error"),
		"certificate-list-truncated":      unparsable,
		"certificate-noise":               unparsable,
		"certificate-not-der":             unparsable,
		"certificate-pem":                 unparsable,
		"certificate-rsa-huge":            breaksTLS("bad_certificate"),
		"certificate-second-unreadable":   unparsable,
		"certificate-serial-negative":     unparsable,
		"certificate-serial-not-minimal":  unparsable,
		"certificate-time-bad":            unparsable,
		"certificate-trailing-data":       unparsable,
		"certificate-truncated":           unparsable,
		"certificate-version-9":           unparsable,
		"certificates-100":                fails("chain-too-large"),
		"certificates-unrelated":          accepted,
	}
}

// http2Wants are those of HBONE servers.
func http2Wants() map[string]want {
	return map[string]want{
		"h2-1000-headers":              fails(brokenHTTP2),
		"h2-answer-then-goaway":        accepted,
		"h2-body-escape":               fails("authz-td-principal"),
		"h2-data-on-stream-0":          fails(brokenHTTP2),
		"h2-empty-continuations":       fails("unknown"),
		"h2-error-body-40mib":          fails("hbone-upstream-dead"),
		"h2-goaway-flood":              fails("hbone-connection-cut"),
		"h2-header-escape":             fails(brokenHTTP2),
		"h2-header-list-of-1":          fails(brokenHTTP2),
		"h2-hpack-bomb":                fails(brokenHTTP2),
		"h2-hpack-garbage":             fails(brokenHTTP2),
		"h2-no-streams-allowed":        fails("unknown"),
		"h2-ping-first-endless":        breaksHTTP2(),
		"h2-settings-endless":          fails("unknown | " + brokenHTTP2), // what it has to acknowledge is bounded: on a fast machine that is reached first
		"h2-settings-huge":             breaksHTTP2(),
		"h2-settings-odd":              breaksHTTP2(),
		"h2-settings-on-stream":        breaksHTTP2(),
		"h2-status-204":                fails("unknown"),
		"h2-status-302":                fails("unknown"),
		"h2-status-401":                fails("authz-td-principal"),
		"h2-status-503":                fails("hbone-upstream-dead"),
		"h2-status-999":                fails("unknown"),
		"h2-status-twice":              fails(brokenHTTP2),
		"h2-unknown-frames":            fails("unknown"),
		"h2-window-of-0":               accepted,
		"h2-window-too-large":          breaksHTTP2(),
		"h2-window-update-0":           fails(brokenHTTP2),
		"hbone-1xx-flood":              fails(brokenHTTP2),
		"hbone-alpn-http1":             refused("no_application_protocol", "alpn-h2-missing"),
		"hbone-alpn-none":              {last: "unclear", cause: "alpn-h2-missing", verdict: probe.Nonconformant},
		"hbone-answer-before-dial":     fails("tunnel-cut"),
		"hbone-answers-never":          fails("unknown"),
		"hbone-bad-padding":            fails("tunnel-cut"),
		"hbone-bad-settings":           breaksHTTP2(),
		"hbone-closes-mid-stream":      fails("tunnel-cut"),
		"hbone-closes-on-settings":     fails("hbone-connection-cut"),
		"hbone-continuation-flood":     fails(brokenHTTP2),
		"hbone-data-first":             fails(brokenHTTP2),
		"hbone-frame-too-large":        fails("tunnel-cut"),
		"hbone-goaway-at-once":         fails("hbone-connection-cut"),
		"hbone-goaway-on-request":      fails("hbone-connection-cut"),
		"hbone-header-list-too-large":  fails(brokenHTTP2),
		"hbone-http1-inside":           breaksHTTP2(),
		"hbone-mute":                   stalls("unknown"),
		"hbone-no-client-cert-request": fails("client-cert-not-required"),
		"hbone-no-settings":            breaksHTTP2(),
		"hbone-no-status":              fails(brokenHTTP2),
		"hbone-ping-flood":             {last: "accepted", cause: "tunnel-cut | "},
		"hbone-push-promise":           fails(brokenHTTP2),
		"hbone-refuses-stream":         fails("hbone-stream-reset"),
		"hbone-reset-mid-stream":       fails("tunnel-cut"),
		"hbone-settings-flood":         {last: "accepted", cause: "tunnel-cut | "},
		"hbone-window-overrun":         accepted,
		"hbone-window-update-overflow": fails("tunnel-cut"),
		"tunnel-data-after-end":        accepted,
		"tunnel-empty-data-flood":      accepted,
		"tunnel-ends-at-once":          accepted,
		"tunnel-never-ends":            accepted,
		"tunnel-of-100-mib":            accepted,
		"tunnel-reset-flood":           accepted,
		"tunnel-second-status":         fails("tunnel-cut"),
		"tunnel-trailers":              accepted,
	}
}
