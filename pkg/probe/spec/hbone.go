// SPDX-License-Identifier: Apache-2.0

package spec

const (
	hboneDoc   = "HBONE"
	ztunnelSrc = "https://github.com/istio/ztunnel/blob/master/"
)

// Clauses of HBONE, Istio's ambient transport: what ztunnel and the east-west
// gateway do, in this project's words.
var (
	// HBONETLSProfile is ztunnel's TLS.
	HBONETLSProfile = Clause{
		Doc: hboneDoc, Section: "TLS profile", Level: Must, URL: ztunnelSrc + "src/tls/workload.rs",
		Quote: "port 15008 speaks TLS 1.3 with the ALPN protocol h2",
	}
	// HBONEClientCert makes HBONE mutual.
	HBONEClientCert = Clause{
		Doc: hboneDoc, Section: "client certificate", Level: Must, URL: ztunnelSrc + "src/tls/workload.rs",
		Quote: "port 15008 requires a client certificate and verifies it against the roots that came with its own certificate",
	}
	// HBONETrustDomain is ztunnel's check of a client.
	HBONETrustDomain = Clause{
		Doc: hboneDoc, Section: "client trust domain", Level: Must, URL: ztunnelSrc + "src/tls/workload.rs",
		Quote: "ztunnel accepts only clients of the trust domain of its own certificate; trust domain aliases do not apply",
	}
	// HBONEIdentity is ztunnel's check of a server.
	HBONEIdentity = Clause{
		Doc: hboneDoc, Section: "server identity", Level: Must, URL: ztunnelSrc + "src/tls/certificate.rs",
		Quote: "a ztunnel client accepts a server only if a URI SAN equals an identity expected of the destination",
	}
	// HBONEAuthority is what a destination takes for its own.
	HBONEAuthority = Clause{
		Doc: hboneDoc, Section: "CONNECT authority", Level: Must, URL: ztunnelSrc + "src/proxy/inbound.rs",
		Quote: "a CONNECT to the workload's own address and a port that it serves is answered with 200, after the connection to the workload stands",
	}
	// HBONEForeignAuthority is the refusal of another workload's address.
	HBONEForeignAuthority = Clause{
		Doc: hboneDoc, Section: "CONNECT authority", Level: Must, URL: ztunnelSrc + "src/proxy/inbound.rs",
		Quote: "a CONNECT to an address other than the one that was dialed is answered with 400",
	}
	// HBONEStatuses are ztunnel's refusals.
	HBONEStatuses = Clause{
		Doc: hboneDoc, Section: "CONNECT status", Level: Must, URL: ztunnelSrc + "src/proxy/inbound.rs",
		Quote: "ztunnel answers 200, 400 (not a CONNECT, malformed or foreign authority), 401 (denied by policy) or 503 (unknown or unreachable destination), nothing else",
	}
	// HBONESettings are ztunnel's HTTP/2 settings.
	HBONESettings = Clause{
		Doc: hboneDoc, Section: "HTTP/2 settings", Level: Should, URL: ztunnelSrc + "src/config.rs",
		Quote: "an HBONE server announces SETTINGS that let one connection carry many tunnels: a stream window and a number of streams no smaller than HTTP/2's defaults",
	}
	// HBONEDoubleOuter is the identity of the outer tunnel.
	HBONEDoubleOuter = Clause{
		Doc: hboneDoc, Section: "double HBONE, outer", Level: Must, URL: ztunnelSrc + "src/proxy/outbound.rs",
		Quote: "the outer tunnel ends at the other network's gateway, which presents the gateway's identity",
	}
	// HBONEDoubleInner is the identity of the inner tunnel.
	HBONEDoubleInner = Clause{
		Doc: hboneDoc, Section: "double HBONE, inner", Level: Must, URL: ztunnelSrc + "src/proxy/outbound.rs",
		Quote: "the inner tunnel runs through the gateway to the destination, which presents an identity of the service",
	}
	// HBONEDoubleAuthority is the authority of both tunnels.
	HBONEDoubleAuthority = Clause{
		Doc: hboneDoc, Section: "double HBONE, authority", Level: Must, URL: ztunnelSrc + "src/proxy/outbound.rs",
		Quote: "both tunnels of double HBONE name the service: HOST:PORT",
	}
	// HBONEOneTrustDomain is a limit of ambient multicluster.
	HBONEOneTrustDomain = Clause{
		Doc: hboneDoc, Section: "one trust domain", Level: Must, URL: istioSrc + "pilot/pkg/serviceregistry/ambient/multicluster.go",
		Quote: "clusters joined by ambient multi-network share one trust domain, since expected identities are formed with the caller's own",
	}
)

func hbone() []Clause {
	return []Clause{
		HBONETLSProfile, HBONEClientCert, HBONETrustDomain, HBONEIdentity,
		HBONEAuthority, HBONEForeignAuthority, HBONEStatuses, HBONESettings,
		HBONEDoubleOuter, HBONEDoubleInner, HBONEDoubleAuthority,
		HBONEOneTrustDomain,
	}
}
