// SPDX-License-Identifier: Apache-2.0

package material

import "time"

// State is what a proxy makes of a certificate or secret.
type State string

// The states. Envoy knows the first three, ztunnel the others.
const (
	StateActive       State = "active"
	StateWarming      State = "warming" // asked for, and not delivered or not complete yet
	StateStatic       State = "static"  // from the bootstrap
	StateAvailable    State = "available"
	StateInitializing State = "initializing"
	StateUnavailable  State = "unavailable"
)

// SDS is the state of a certificate inside a proxy.
type SDS struct {
	State   State     `json:"state"`
	Version string    `json:"version,omitempty"` // version_info; "uninitialized" while Envoy waits
	Updated time.Time `json:"updated,omitzero"`
	// Error is what the proxy says of it: Envoy's error_state, or what follows
	// ztunnel's "Unavailable:".
	Error string `json:"error,omitempty"`
	// Holds is "certificate", "validation-context" or "nothing"; another name
	// where the secret is of another type.
	Holds string `json:"holds"`
	// Legacy says that the dump is of a ztunnel that had no rootCerts: the last
	// certificate of its chain is then the root and stands in Roots.
	Legacy bool `json:"legacy,omitempty"`
}

// TrustDomain is a trust domain and the roots that are trusted for it alone.
type TrustDomain struct {
	Name  string        `json:"name"`
	Roots []Certificate `json:"roots,omitempty"`
}

// SANMatcher is what Envoy asks of a peer's subject alternative names; one of
// those of a context must match.
type SANMatcher struct {
	Type  string `json:"type,omitempty"` // "URI", "DNS", "EMAIL", "IP_ADDRESS", "OTHER_NAME"; empty for any
	Match string `json:"match"`          // "exact", "prefix", "suffix", "contains", "regex", or another name of Envoy's
	Value string `json:"value"`
	// IgnoreCase applies to all but regex.
	IgnoreCase bool `json:"ignoreCase,omitempty"`
}

// Context is one TLS context of a listener's filter chain or of a cluster.
type Context struct {
	// Where is "listener NAME, filter chain NAME" or "cluster NAME", with
	// ", match NAME" where a cluster chooses among several.
	Where string `json:"where"`
	// Downstream says that it terminates TLS; otherwise it originates it.
	Downstream bool  `json:"downstream,omitempty"`
	State      State `json:"state"` // of the listener or cluster
	// CertificateSecrets and ValidationSecret are names of SDS secrets.
	CertificateSecrets []string      `json:"certificateSecrets,omitempty"`
	ValidationSecret   string        `json:"validationSecret,omitempty"`
	Certificates       []Certificate `json:"certificates,omitempty"` // inline
	Roots              []Certificate `json:"roots,omitempty"`        // inline
	TrustDomains       []TrustDomain `json:"trustDomains,omitempty"` // of an inline SPIFFE validator
	SANMatchers        []SANMatcher  `json:"sanMatchers,omitempty"`
	SNI                string        `json:"sni,omitempty"`
	ALPN               []string      `json:"alpn,omitempty"`
	RequireClientCert  bool          `json:"requireClientCert,omitempty"`
	MinVersion         string        `json:"minVersion,omitempty"` // as Envoy writes it, "TLSv1_2"
	MaxVersion         string        `json:"maxVersion,omitempty"`
	// Verifies says whether a peer certificate is checked against anything at all.
	Verifies bool `json:"verifies"`
}

// Workload is a workload as a ztunnel knows it.
type Workload struct {
	UID            string   `json:"uid"`
	Name           string   `json:"name"`
	Namespace      string   `json:"namespace"`
	ServiceAccount string   `json:"serviceAccount,omitempty"`
	TrustDomain    string   `json:"trustDomain,omitempty"` // empty as in the dump: cluster.local is left out by some versions
	Identity       string   `json:"identity,omitempty"`    // spiffe://TRUSTDOMAIN/ns/NAMESPACE/sa/ACCOUNT, where all three are known
	Cluster        string   `json:"cluster,omitempty"`
	Network        string   `json:"network,omitempty"`
	Addresses      []string `json:"addresses,omitempty"`
	Protocol       string   `json:"protocol,omitempty"` // "HBONE" or "TCP"
	NetworkGateway string   `json:"networkGateway,omitempty"`
	Waypoint       string   `json:"waypoint,omitempty"`
	Status         string   `json:"status,omitempty"`
}

// Service is a service as a ztunnel knows it, if it names identities.
type Service struct {
	Name            string   `json:"name"`
	Namespace       string   `json:"namespace"`
	Hostname        string   `json:"hostname"`
	SubjectAltNames []string `json:"subjectAltNames,omitempty"`
}
