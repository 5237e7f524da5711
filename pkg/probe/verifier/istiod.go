// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"errors"
	"slices"
)

// verifyGo asks crypto/x509, as istiod, istio-agent and meshprobe itself do.
func verifyGo(in input) *fault {
	roots, sent := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range in.opts.Roots {
		roots.AddCert(c)
	}
	for _, c := range in.sent {
		sent.AddCert(c)
	}
	usage := x509.ExtKeyUsageServerAuth
	if in.opts.Role == Client {
		usage = x509.ExtKeyUsageClientAuth
	}
	_, err := in.leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: sent, CurrentTime: in.opts.At,
		KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err == nil {
		return nil
	}
	f := in.goFault(err)
	f.reason = err.Error()
	if in.opts.Role == Server {
		// A Go client says bad_certificate whatever is wrong: crypto/tls
		// handshake_client.go, verifyServerCertificate.
		f.alert = alertBadCertificate
	}
	return f
}

// goFault maps an error of x509.Certificate.Verify to its clause and to the
// alert that a Go server sends. Source: crypto/tls handshake_server.go,
// processCertsFromClient.
func (in input) goFault(err error) *fault {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return &fault{clause: "RFC 5280 §6.1", depth: in.depthOf(unknown.Cert), alert: alertUnknownCA}
	}
	if _, ok := errors.AsType[x509.UnhandledCriticalExtension](err); ok {
		return &fault{clause: "RFC 5280 §4.2", code: CauseCriticalExtension, alert: alertBadCertificate}
	}
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok {
		return &fault{clause: "RFC 5280 §6.1", alert: alertBadCertificate}
	}
	f := &fault{depth: in.depthOf(invalid.Cert), alert: alertBadCertificate}
	switch invalid.Reason {
	case x509.Expired:
		f.clause, f.alert = "RFC 5280 §6.1", alertCertificateExpired
		f.code = timeCause(invalid.Cert, f.depth, slices.ContainsFunc(in.opts.Roots, invalid.Cert.Equal), in.opts.At)
	case x509.CANotAuthorizedForThisName, x509.UnconstrainedName, x509.TooManyConstraints:
		f.clause, f.code = "RFC 5280 §4.2.1.10", CauseNameConstraints
	case x509.TooManyIntermediates:
		f.clause, f.code = "RFC 5280 §4.2.1.9", CausePathLen
	case x509.IncompatibleUsage, x509.CANotAuthorizedForExtKeyUsage:
		f.clause, f.code = "RFC 5280 §4.2.1.12", CauseEKU
	case x509.NotAuthorizedToSign:
		f.clause, f.code = "RFC 5280 §4.2.1.9", CauseNotACA
	default:
		f.clause = "RFC 5280 §6.1"
	}
	return f
}
