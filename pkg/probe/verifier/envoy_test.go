// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// answer is what a verifier said: the alert that it sent, 0 if it accepted, and
// its reason and depth where it gave them.
type answer struct {
	Alert  uint8
	Reason string
	Depth  string
}

// localFault marks a handshake that failed before the verifier said anything.
const localFault = 255

// greeting is what a client that was accepted hears.
const greeting = "accepted"

// TestAgainstEnvoy holds the model of Envoy to an Envoy: alert, reason and
// depth, for every case as a client and as a server, with and without the SAN
// matchers that istiod configures. The cases are made anew for the present,
// since Envoy's clock cannot be set.
func TestAgainstEnvoy(t *testing.T) {
	path := hbonetest.EnvoyPath(t)
	now := time.Now().UTC().Truncate(time.Second)
	list := casesAt(t, now)
	cert, key := ownCertificate(t)
	upstream := presentChains(t, list)
	ports := envoyPorts{client: hbonetest.FreePort(t), server: hbonetest.FreePort(t), upstream: upstream.port, greeter: greet(t)}
	files := writeEnvoyConfig(t, list, ports, cert, key)
	envoy := hbonetest.Run(t, path, "-c", files.config, "--concurrency", "1",
		"--disable-hot-restart", "-l", "error", "--file-flush-interval-msec", "20")
	envoy.Listens(t, hbonetest.Loopback(ports.client))
	envoy.Listens(t, hbonetest.Loopback(ports.server))

	got := map[string]answer{}
	for _, c := range list {
		for _, v := range variants() {
			got["client "+v.sni(c)] = answer{Alert: showClient(t, ports.client, v.sni(c), tlsCertificate(c.Case))}
			got["server "+v.sni(c)] = askServer(t, ports.server, v.sni(c), upstream)
		}
	}
	readReasons(t, envoy, files.log, got)
	compared, unparsed := 0, 0
	for _, c := range list {
		chain, roots, err := c.parse()
		if err != nil {
			unparsed++
			t.Logf("%s: not parsed by Go (%v); Envoy: %+v", c.Name, err, got["client "+variants()[0].sni(c)])
			continue
		}
		for _, v := range variants() {
			compared += 2
			opts := Options{Roots: roots, At: now, Role: Client}
			if v.clientPrefix != "" {
				opts.TrustDomains, opts.Identities = []string{"cluster.local"}, []string{v.serverID}
			}
			compareEnvoy(t, c, v, "client", Envoy(chain, opts), got["client "+v.sni(c)])
			opts.Role = Server
			compareEnvoy(t, c, v, "server", Envoy(chain, opts), got["server "+v.sni(c)])
		}
	}
	t.Logf("envoy: %d verdicts compared, %d cases not parsed by Go", compared, unparsed)
}

func compareEnvoy(t *testing.T, c corpusCase, v variant, role string, model Verdict, heard answer) {
	t.Helper()
	want := answer{Alert: model.Alert}
	if model.Alert == alertHandshakeFailure {
		want.Alert = localFault // of the peer that cannot sign
	}
	if heard.Depth != "" {
		want.Reason, want.Depth = model.Reason, fmt.Sprint(model.Depth)
	}
	want.Reason, _, _ = strings.Cut(want.Reason, " 1.3.6")
	if diff := cmp.Diff(heard, want); diff != "" {
		t.Errorf("%s as %s, %s (%s) (-envoy +model):\n%s", c.Name, role, v.name, c.Note, diff)
	}
}

// showClient presents a chain to a filter chain and returns the alert that
// came back, 0 for acceptance.
func showClient(t *testing.T, port int, sni string, cert *tls.Certificate) uint8 {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", hbonetest.Loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	client := tls.Client(conn, &tls.Config{
		ServerName: sni, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil },
	})
	// Under TLS 1.3 only a word of the server proves that the certificate was
	// accepted. The client says none: it might cross an alert and reset it away.
	_, err = io.ReadFull(client, make([]byte, len(greeting)))
	if alert, ok := hbone.RemoteAlert(err); ok {
		return uint8(alert)
	}
	if err != nil {
		t.Logf("%s: %v", sni, err)
		return localFault
	}
	return 0
}

// askServer has Envoy connect to the chains' server and returns what it said.
func askServer(t *testing.T, port int, sni string, upstream *presenter) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+hbonetest.Loopback(port), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Cluster", sni)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	heard := upstream.wait(t, sni)
	if (resp.StatusCode == http.StatusOK) != (heard == 0) {
		t.Errorf("%s: status %d, alert %d: %s", sni, resp.StatusCode, heard, body)
	}
	return because(heard, string(body))
}

// because adds to an alert what Envoy says that X509_verify_cert said.
func because(alert uint8, text string) answer {
	// The access log writes an underscore for a space.
	text = strings.ReplaceAll(text, "_", " ")
	if m := regexp.MustCompile(`verification error at depth (\d+): ([^:]+)`).FindStringSubmatch(text); m != nil {
		return answer{alert, m[2], m[1]}
	}
	return answer{Alert: alert}
}

// readReasons adds what Envoy's log says of the clients.
func readReasons(t *testing.T, envoy *hbonetest.Process, log string, got map[string]answer) {
	t.Helper()
	clients := len(got) / 2
	var lines []string
	envoy.Until(t, func() bool {
		text, err := os.ReadFile(log)
		lines = strings.Split(strings.TrimSpace(string(text)), "\n")
		// The first is of the connection that waited for the port.
		return err == nil && len(lines) > clients
	})
	for _, line := range lines {
		sni, reason, _ := strings.Cut(line, " ")
		if a, ok := got["client "+sni]; ok && reason != "-" {
			got["client "+sni] = because(a.Alert, reason)
		}
	}
}

// presenter is a TLS server that presents the chain that the SNI names.
type presenter struct {
	port  int
	mu    sync.Mutex
	heard map[string]chan uint8
}

func presentChains(t *testing.T, list []corpusCase) *presenter {
	t.Helper()
	certs := map[string]*tls.Certificate{}
	for _, c := range list {
		for _, v := range variants() {
			certs[v.sni(c)] = tlsCertificate(c.Case)
		}
	}
	p := &presenter{heard: map[string]chan uint8{}}
	p.port = portOf(t, hbonetest.Listen(t, func(ctx context.Context, conn net.Conn) { p.handshake(ctx, conn, certs) }))
	return p
}

// greet serves a word to everybody who comes.
func greet(t *testing.T) int {
	t.Helper()
	return portOf(t, hbonetest.Listen(t, func(_ context.Context, conn net.Conn) {
		_, _ = io.WriteString(conn, greeting)
		_, _ = io.Copy(io.Discard, conn)
	}))
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return int(a.Port())
}

// handshake makes one, answers one request and tells what it heard.
func (p *presenter) handshake(ctx context.Context, conn net.Conn, certs map[string]*tls.Certificate) {
	var sni string
	server := tls.Server(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			sni = hello.ServerName
			if cert, ok := certs[sni]; ok {
				return cert, nil
			}
			return nil, errors.New("no such case")
		},
	})
	err := server.HandshakeContext(ctx)
	if err == nil {
		_, err = http.ReadRequest(bufio.NewReader(server))
	}
	if err == nil {
		_, err = io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	}
	alert, ok := hbone.RemoteAlert(err)
	if err != nil && !ok {
		alert = localFault
	}
	p.channel(sni) <- uint8(alert)
}

// channel is where the outcome for a name is told.
func (p *presenter) channel(sni string) chan uint8 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heard[sni] == nil {
		p.heard[sni] = make(chan uint8, 8)
	}
	return p.heard[sni]
}

func (p *presenter) wait(t *testing.T, sni string) uint8 {
	t.Helper()
	select {
	case alert := <-p.channel(sni):
		return alert
	case <-time.After(time.Minute):
		t.Fatalf("%s: Envoy did not come", sni)
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
	return localFault
}
