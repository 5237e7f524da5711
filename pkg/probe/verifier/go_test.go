// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// TestAgainstGo holds the verdict of Go to a handshake with crypto/tls, alert
// and reason, for every case as a client; and as a server to x509.Verify as a
// Go program calls it that knows no host name.
func TestAgainstGo(t *testing.T) {
	own := selfSignedServer(t)
	for _, c := range cases(t) {
		chain, roots, err := c.parse()
		opts := Options{Roots: roots, At: c.at, Role: Client}
		if err != nil {
			if alert, reason := showGo(t, own, c); alert == 0 || !strings.Contains(reason, "failed to parse") {
				t.Errorf("%s (%v): %d %s", c.Name, err, alert, reason)
			}
			continue
		}
		alert, reason := showGo(t, own, c)
		if v := Go(chain, opts); v.Alert != alert || !strings.Contains(reason, v.Reason) {
			t.Errorf("%s as client (%s): Go says %d %q, the verdict %d %q", c.Name, c.Note, alert, reason, v.Alert, v.Reason)
		}
		opts.Role = Server
		_, err = chain.Certs[0].Verify(x509.VerifyOptions{
			Roots: pool(t, c.Bundle(c.at)), Intermediates: pool(t, c.Chain[1:]), CurrentTime: c.at,
		})
		v := Go(chain, opts)
		if v.Accepts != (err == nil) || err != nil && v.Reason != clip(err.Error()) {
			t.Errorf("%s as server (%s): Go says %v, the verdict %q", c.Name, c.Note, err, v.Reason)
		}
	}
}

// pool reads certificates as programs do, from PEM.
func pool(t *testing.T, list [][]byte) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	for _, der := range list {
		if !p.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) {
			t.Fatal("not a certificate")
		}
	}
	return p
}

func selfSignedServer(t *testing.T) tls.Certificate {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(ownCertificate(t))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// showGo presents a case to a server of crypto/tls and returns the alert that
// came back and the server's error.
func showGo(t *testing.T, own tls.Certificate, c corpusCase) (alert uint8, reason string) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	_ = near.SetDeadline(time.Now().Add(time.Minute))
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		_ = far.SetDeadline(time.Now().Add(time.Minute))
		server := tls.Server(far, &tls.Config{
			Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(t, c.Bundle(c.at)),
			Time: func() time.Time { return c.at },
		})
		_, err := io.WriteString(server, greeting)
		done <- err
	}()
	client := tls.Client(near, &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tlsCertificate(c.Case), nil },
	})
	_, err := io.ReadFull(client, make([]byte, len(greeting)))
	if said, ok := hbone.RemoteAlert(err); ok {
		alert = uint8(said)
	} else if err != nil {
		alert = localFault
	}
	if err := <-done; err != nil {
		reason = err.Error()
	}
	return alert, reason
}
