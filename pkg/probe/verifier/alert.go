// SPDX-License-Identifier: Apache-2.0

package verifier

// TLS alerts with which verifiers refuse a certificate (RFC 8446 §6).
const (
	alertHandshakeFailure       uint8 = 40
	alertBadCertificate         uint8 = 42
	alertUnsupportedCertificate uint8 = 43
	alertCertificateExpired     uint8 = 45
	alertCertificateUnknown     uint8 = 46
	alertIllegalParameter       uint8 = 47
	alertUnknownCA              uint8 = 48
	alertDecryptError           uint8 = 51
	alertCertificateRequired    uint8 = 116
)
