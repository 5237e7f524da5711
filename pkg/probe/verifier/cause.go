// SPDX-License-Identifier: Apache-2.0

package verifier

// Causes, as returned by [Diagnose] and in [Verdict].Code. They name the state
// of the world, not the error that some verifier makes of it.
const (
	CauseNoCertificate       = "no-certificate"
	CauseOversized           = "chain-too-large"
	CauseRootSameDN          = "root-mismatch-same-dn"
	CauseRootDistinctDN      = "root-mismatch-distinct-dn"
	CauseRootIntermediate    = "root-is-intermediate"
	CauseIntermediateUnsent  = "intermediate-not-sent"
	CauseWrongIntermediate   = "wrong-intermediate-shipped"
	CauseLeafExpired         = "leaf-expired-no-renewal"
	CauseIntermediateExpired = "intermediate-expired"
	CauseRootExpired         = "root-expired"
	CauseClockSkew           = "clock-skew"
	CauseNotACA              = "cacerts-not-a-ca"
	CauseNoKeyCertSign       = "no-keycertsign"
	CauseKeyUsage            = "leaf-key-usage"
	CauseEKU                 = "eku-restricted"
	CauseNameConstraints     = "name-constraints-uri"
	CausePathLen             = "pathlen"
	CauseWeak                = "weak-sig-or-key"
	CauseDNEncoding          = "dn-encoding-mismatch"
	CauseSameDNAsRoot        = "int-dn-equals-root-dn"
	CauseAKIDrift            = "aki-ski-drift"
	CauseAKISerial           = "aki-issuer-serial"
	CauseSameDNOrder         = "multiroot-same-dn-order"
	CauseLeafIsCA            = "leaf-is-ca"
	CauseCriticalExtension   = "unknown-critical-ext"
	CauseOutlives            = "leaf-outlives-intermediate"
	CauseSANShape            = "spiffe-san-shape"
	CauseTrustDomainSidecar  = "td-mismatch-sidecar-no-alias"
	CauseTrustDomainAmbient  = "td-mismatch-ambient"
	CauseWrongIdentity       = "inner-san-wrong-workload"
	CauseUnknown             = "unknown"
)

// Causes returns every cause that this package can give, in the order in which
// [Diagnose] prefers them. The slice is the caller's.
func Causes() []string {
	return []string{
		CauseNoCertificate, CauseOversized,
		CauseRootIntermediate, CauseRootSameDN, CauseRootDistinctDN,
		CauseWrongIntermediate, CauseIntermediateUnsent,
		CauseLeafExpired, CauseClockSkew, CauseIntermediateExpired, CauseRootExpired,
		CauseCriticalExtension, CauseLeafIsCA, CauseNotACA, CauseNoKeyCertSign,
		CauseKeyUsage, CauseEKU, CauseNameConstraints, CausePathLen, CauseWeak,
		CauseSameDNAsRoot, CauseDNEncoding, CauseAKISerial, CauseAKIDrift,
		CauseSameDNOrder, CauseSANShape, CauseTrustDomainSidecar,
		CauseTrustDomainAmbient, CauseWrongIdentity, CauseOutlives, CauseUnknown,
	}
}
