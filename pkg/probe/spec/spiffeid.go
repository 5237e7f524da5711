// SPDX-License-Identifier: Apache-2.0

package spec

const (
	spiffeIDDoc = "SPIFFE-ID"
	spiffeIDURL = "https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md"
)

// Clauses of "The SPIFFE Identity and Verifiable Identity Document".
var (
	// SPIFFEIDForm is the outer shape of an identity.
	SPIFFEIDForm = Clause{
		Doc: spiffeIDDoc, Section: "2", Level: Must, URL: spiffeIDURL,
		Quote: "Valid SPIFFE IDs MUST have the scheme set to `spiffe`, include a non-zero trust domain name, and MUST NOT include a query or fragment component.",
	}
	// SPIFFEIDTrustDomainNoPort forbids userinfo and port in the authority.
	SPIFFEIDTrustDomainNoPort = Clause{
		Doc: spiffeIDDoc, Section: "2.1", Level: Must, URL: spiffeIDURL,
		Quote: "The `userinfo` and `port` parts of the authority component MUST be empty.",
	}
	// SPIFFEIDTrustDomainLowercase forbids upper case in trust domain names.
	SPIFFEIDTrustDomainLowercase = Clause{
		Doc: spiffeIDDoc, Section: "2.1", Level: Must, URL: spiffeIDURL,
		Quote: "The `host` part of the authority MUST be lowercase.",
	}
	// SPIFFEIDTrustDomainCharset is the alphabet of trust domain names.
	SPIFFEIDTrustDomainCharset = Clause{
		Doc: spiffeIDDoc, Section: "2.1", Level: Must, URL: spiffeIDURL,
		Quote: "The `host` part of the authority MUST contain only letters, numbers, dots, dashes, and underscores ([a-z0-9.-_]).",
	}
	// SPIFFEIDPathSegments forbids empty and relative path segments.
	SPIFFEIDPathSegments = Clause{
		Doc: spiffeIDDoc, Section: "2.2", Level: Must, URL: spiffeIDURL,
		Quote: "The path component MUST NOT include segments that are empty or are relative path modifiers (i.e. `.`, `..`)",
	}
	// SPIFFEIDPathTrailingSlash forbids a slash at the end.
	SPIFFEIDPathTrailingSlash = Clause{
		Doc: spiffeIDDoc, Section: "2.2", Level: Must, URL: spiffeIDURL,
		Quote: "The path component MUST NOT include a trailing `/`.",
	}
	// SPIFFEIDPathCharset is the alphabet of path segments.
	SPIFFEIDPathCharset = Clause{
		Doc: spiffeIDDoc, Section: "2.2", Level: Must, URL: spiffeIDURL,
		Quote: "Individual path segments MUST contain only letters, numbers, dots, dashes, and underscores ([a-zA-Z0-9.-_]).",
	}
	// SPIFFEIDLength bounds the whole URI.
	SPIFFEIDLength = Clause{
		Doc: spiffeIDDoc, Section: "2.3", Level: Should, URL: spiffeIDURL,
		Quote: "SPIFFE implementations MUST support SPIFFE URIs up to 2048 bytes in length and SHOULD NOT generate URIs of length greater than 2048 bytes.",
	}
)

func spiffeID() []Clause {
	return []Clause{
		SPIFFEIDForm, SPIFFEIDTrustDomainNoPort, SPIFFEIDTrustDomainLowercase,
		SPIFFEIDTrustDomainCharset, SPIFFEIDPathSegments,
		SPIFFEIDPathTrailingSlash, SPIFFEIDPathCharset, SPIFFEIDLength,
	}
}
