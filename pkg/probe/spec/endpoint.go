// SPDX-License-Identifier: Apache-2.0

package spec

const (
	endpointDoc = "meshprobe"
	endpointURL = "https://github.com/meshprobe/meshprobe/blob/main/README.md"
)

// Clauses of meshprobe probe: what whoever probes one endpoint takes for
// granted, and what they ask for. No standard says it.
var (
	// EndpointReached is what everything else about an endpoint stands on.
	EndpointReached = Clause{
		Doc: endpointDoc, Section: "reach", Level: Must, URL: endpointURL,
		Quote: "An endpoint that is probed takes a TCP connection.",
	}
	// EndpointTLS rules out every other protocol.
	EndpointTLS = Clause{
		Doc: endpointDoc, Section: "TLS", Level: Must, URL: endpointURL,
		Quote: "An endpoint that is probed answers a ClientHello with TLS.",
	}
	// EndpointExpected is the caller's own clause.
	EndpointExpected = Clause{
		Doc: endpointDoc, Section: "--expect", Level: Must, URL: endpointURL,
		Quote: "What the caller of meshprobe probe expects comes about, and nothing in its place.",
	}
)

func endpoint() []Clause { return []Clause{EndpointReached, EndpointTLS, EndpointExpected} }
