// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"crypto/tls"
	"errors"
	"net"
	"strconv"
)

// RemoteAlert returns the TLS alert that the peer sent, if that is what err
// wraps. crypto/tls keeps the type of a received alert unexported, but
// [tls.AlertError] renders identically, so the text is inverted through public
// API; a test over all codes guards it.
func RemoteAlert(err error) (tls.AlertError, bool) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" || op.Err == nil {
		return 0, false
	}
	for code := range 256 {
		if a := tls.AlertError(code); a.Error() == op.Err.Error() {
			return a, true
		}
	}
	return 0, false
}

// AlertName returns the name that RFC 8446 §6 gives to an alert, such as
// "unknown_ca", and "alert_N" for a code without one.
func AlertName(a tls.AlertError) string {
	if name, ok := alertNames()[a]; ok {
		return name
	}
	return "alert_" + strconv.Itoa(int(a))
}

// ParseAlert is the inverse of [AlertName] over the named alerts.
func ParseAlert(name string) (tls.AlertError, bool) {
	for a, n := range alertNames() {
		if n == name {
			return a, true
		}
	}
	return 0, false
}

func alertNames() map[tls.AlertError]string {
	return map[tls.AlertError]string{
		0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow",
		40: "handshake_failure", 42: "bad_certificate", 43: "unsupported_certificate",
		44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
		47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
		51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security",
		80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled",
		100: "no_renegotiation", 109: "missing_extension", 110: "unsupported_extension",
		111: "certificate_unobtainable", 112: "unrecognized_name",
		113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
		115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
	}
}
