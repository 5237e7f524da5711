// SPDX-License-Identifier: Apache-2.0

package spec

const (
	bundleDoc = "SPIFFE Bundle"
	bundleURL = "https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md"
)

// Clauses of "The SPIFFE Trust Domain and Bundle", and of X509-SVID where it
// speaks of bundles.
var (
	// BundleOwnKeys asks that a root signs for one trust domain only.
	BundleOwnKeys = Clause{
		Doc: bundleDoc, Section: "2", Level: May, URL: bundleURL,
		Quote: "It should be noted that while it is possible to share cryptographic keys amongst many trust domains, we strongly advise that each authoritative key be used in a single trust domain.",
	}
	// BundleOfTrustDomain binds an SVID to the bundle of its own trust domain.
	BundleOfTrustDomain = Clause{
		Doc: bundleDoc, Section: "3", Level: Must, URL: bundleURL,
		Quote: "When validating an SVID, validators must choose the bundle corresponding to the trust domain that the SVID resides in, so maintaining this relationship is required in most scenarios.",
	}
	// BundleDistribution makes updates of a bundle reach the workloads.
	BundleDistribution = Clause{
		Doc: bundleDoc, Section: "3", Level: Must, URL: bundleURL,
		Quote: "It is the responsibility of the SPIFFE implementation to distribute bundle content updates to workloads as needed.",
	}
	// BundleSelfSigned asks that anchors be self-signed: a root, not an intermediate.
	BundleSelfSigned = Clause{
		Doc: x509Doc, Section: "6.1", Level: Should, URL: x509URL,
		Quote: "The value MUST include exactly one CA certificate, and the certificate SHOULD be self-signed.",
	}
	// BundleSequence tells an old bundle from a new one.
	BundleSequence = Clause{
		Doc: bundleDoc, Section: "4.1.1", Level: Should, URL: bundleURL,
		Quote: "The parameter `spiffe_sequence` SHOULD be set.",
	}
	// BundleRefreshHint tells consumers how often to look.
	BundleRefreshHint = Clause{
		Doc: bundleDoc, Section: "4.1.2", Level: Should, URL: bundleURL,
		Quote: "The parameter `spiffe_refresh_hint` SHOULD be set.",
	}
	// BundleKeys are what a bundle is for.
	BundleKeys = Clause{
		Doc: bundleDoc, Section: "4.1.3", Level: Must, URL: bundleURL,
		Quote: "The parameter `keys` MUST be present. Its value is an array of JWKs.",
	}
)

func spiffeBundle() []Clause {
	return []Clause{BundleOwnKeys, BundleOfTrustDomain, BundleDistribution, BundleSelfSigned, BundleSequence, BundleRefreshHint, BundleKeys}
}
