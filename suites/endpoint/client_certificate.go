// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ClientCertificate checks that TLS is mutual.
var ClientCertificate = probe.DefineOn(probe.Meta{
	ID:      "endpoint/client-certificate",
	Title:   "the server asks for a client certificate",
	About:   aboutClient,
	Clause:  spec.IstioClientCertRequired,
	Causes:  append(clientCauses(), causeWrongChain),
	After:   []string{"endpoint/tls"},
	Applies: "endpoints",
}, met(), outer(judgeClientCertificate))

const aboutClient = "Whether the server sent a CertificateRequest, and which authorities it named. A sidecar, a ztunnel and a gateway always ask; a plain TLS server need not, which is worth a note. The names are those of the roots that it trusts: names, not keys."

func clientCauses() []probe.Cause {
	return []probe.Cause{cause.NotAsked, cause.Terminated}
}

var causeWrongChain = probe.Cause{
	Code: "permissive-wrong-alpn", Title: "the connection reached the application's own TLS instead of the sidecar's",
	Try: []string{
		"meshprobe probe sidecar {{.Address}}   # offers the ALPN istio, by which a PERMISSIVE sidecar tells mesh clients from others",
		"istioctl --context CONTEXT proxy-config listeners POD -n NAMESPACE --port 15006   # which filter chain matches ALPN istio?",
	},
}

func judgeClientCertificate(p part) []probe.Finding {
	l := p.layer
	label := p.label("CertificateRequest")
	if l.Asked {
		names := "no authority named"
		if len(l.Authorities) > 0 {
			names = strings.Join(l.Authorities, "\n")
		}
		return []probe.Finding{probe.Passing(probe.Text(label, names))}
	}
	got := probe.WantGot(label, "sent", "not sent")
	leaf := probe.Text(p.label("leaf"), leafName(l))
	mesh := p.tunnels() || p.Kind == wire.Sidecar
	switch {
	case len(l.Chain) == 0 && p.refusedAsExpected():
		return []probe.Finding{probe.Skipping("the handshake ended, as expected, before a certificate could be asked for")}
	case len(l.Chain) == 0:
		return []probe.Finding{probe.Breaking("the handshake ended before a certificate could be asked for", probe.Text("handshake", said(l)))}
	case l.Early && l.Chain.Leaf() == nil:
		return []probe.Finding{probe.Breaking("the handshake ended at a certificate that cannot be read", leaf)}
	case !mesh && p.Asked.Negative:
		return []probe.Finding{probe.Failing(cause.NotAsked, got, leaf)}
	case !mesh:
		return []probe.Finding{probe.Noting(cause.NotAsked, got, leaf)}
	case !l.Spiffe() && p.Kind == wire.Sidecar && !istioALPN(l):
		return []probe.Finding{probe.Failing(causeWrongChain, got, leaf, probe.Text("ALPN offered", orNone(strings.Join(l.Offered, ","))))}
	case !l.Spiffe():
		return []probe.Finding{probe.Failing(cause.Terminated, got, leaf)}
	default:
		return []probe.Finding{probe.Failing(cause.NotAsked, got, leaf)}
	}
}

func istioALPN(l *wire.Layer) bool {
	for _, p := range l.Offered {
		if strings.HasPrefix(p, "istio") {
			return true
		}
	}
	return false
}

// leafName is who the leaf says it is.
func leafName(l *wire.Layer) string {
	if leaf := l.Chain.Leaf(); leaf != nil {
		name := seen.Subject(leaf)
		if len(leaf.URIs) == 0 && len(leaf.DNSNames) > 0 {
			name += " (" + strings.Join(leaf.DNSNames[:min(len(leaf.DNSNames), 4)], ", ") + ")"
		}
		return name
	}
	if len(l.Certificates) > 0 {
		c := l.Certificates[0]
		return join(", ", strings.Join(c.URIs, " + "), strings.Join(c.DNS, ", "), c.Subject, "a certificate that cannot be parsed")
	}
	return "(no certificate)"
}
