// SPDX-License-Identifier: Apache-2.0

package material

import "time"

// Kind is what a document is. It is recognised from content, or demanded with
// [Options.Kind].
type Kind string

// The kinds of document.
const (
	// KindChain is certificates that somebody presents, leaf or CA first, with or
	// without their key: Certificates and Key.
	KindChain Kind = "chain"
	// KindBundle is certificates that somebody trusts: Roots.
	KindBundle Kind = "bundle"
	// KindCACerts is the CA of an istiod, from a directory or from a Secret (then
	// Object is set): CACert, Certificates (cert-chain.pem), Roots, Key.
	KindCACerts Kind = "cacerts"
	// KindCSR is a certificate signing request: Request.
	KindCSR Kind = "csr"
	// KindCRL is certificate revocation lists: CRLs.
	KindCRL Kind = "crl"
	// KindSecret is a Kubernetes Secret that is not the CA of an istiod: Object,
	// and Certificates, Roots, Key or Remotes.
	KindSecret Kind = "secret"
	// KindConfigMap is a Kubernetes ConfigMap: Object, and Roots or CRLs.
	KindConfigMap Kind = "configmap"
	// KindEnvoyDump is one secret of an Envoy config_dump (SDS is set), or the TLS
	// contexts of its listeners and clusters (Contexts is set).
	KindEnvoyDump Kind = "envoy-config-dump"
	// KindZtunnelDump is one certificate of a ztunnel config_dump (SDS is set), or
	// the workloads and services that it knows (Workloads, Services).
	KindZtunnelDump Kind = "ztunnel-config-dump"
	// KindProxySecret is one secret of `istioctl proxy-config secret -o json`, as
	// KindEnvoyDump has it.
	KindProxySecret Kind = "proxy-config-secret"
	// KindSPIFFEBundle is the bundle of one trust domain: Roots, Bundle and, where
	// the input names it, TrustDomains.
	KindSPIFFEBundle Kind = "spiffe-bundle"
	// KindSPIFFEID is a SPIFFE ID: Identity.
	KindSPIFFEID Kind = "spiffe-id"
	// KindKey is a private or public key alone: Key.
	KindKey Kind = "key"
)

// Kinds returns every kind, in the order above. The slice is the caller's.
func Kinds() []Kind {
	return []Kind{
		KindChain, KindBundle, KindCACerts, KindCSR, KindCRL, KindSecret, KindConfigMap, KindEnvoyDump,
		KindZtunnelDump, KindProxySecret, KindSPIFFEBundle, KindSPIFFEID, KindKey,
	}
}

// Document is one thing that was read: plain data that survives JSON and holds
// nothing secret. One input may hold several; those of a dump or of a List have
// the same Source and follow each other in its order.
type Document struct {
	Kind   Kind   `json:"kind"`
	Source string `json:"source"` // the file, directory or "stdin", as the user named it
	// Name is namespace/name of a Kubernetes object (name alone where it has no
	// namespace), the name of an SDS secret, the identity of a ztunnel
	// certificate, the trust domain of a bundle; empty otherwise.
	Name string `json:"name,omitempty"`
	Line int    `json:"line,omitempty"` // where it begins in a manifest, from 1

	Object *Object `json:"object,omitempty"` // the Kubernetes object around it
	SDS    *SDS    `json:"sds,omitempty"`    // its state inside a proxy

	// Certificates is what is presented, in the order found: leaf first, or the
	// cert-chain.pem of cacerts.
	Certificates []Certificate `json:"certificates,omitempty"`
	// CACert is ca-cert.pem, the certificate that istiod signs with. Where the CA
	// comes as tls.crt, that is CACert, and Certificates are tls.crt and ca.crt, as
	// istiod takes them.
	CACert []Certificate `json:"caCert,omitempty"`
	// Roots is what is trusted, in the order found, which matters to Envoy.
	Roots []Certificate `json:"roots,omitempty"`
	// Key is the private key that came along, null where there was none.
	Key *Key `json:"key,omitempty"`
	// MoreKeys are private keys beyond the first.
	MoreKeys []Key `json:"moreKeys,omitempty"`

	Request  *Request         `json:"request,omitempty"`
	CRLs     []RevocationList `json:"crls,omitempty"`
	Identity *Identity        `json:"identity,omitempty"`
	Bundle   *BundleFacts     `json:"bundle,omitempty"`

	// TrustDomains are the trust domains that the document itself names: of a
	// SPIFFE bundle, of Envoy's SPIFFE validator, of an ID. It is not derived from
	// certificates.
	TrustDomains []TrustDomain `json:"trustDomains,omitempty"`
	SANMatchers  []SANMatcher  `json:"sanMatchers,omitempty"` // of an SDS validation context
	Contexts     []Context     `json:"contexts,omitempty"`
	Workloads    []Workload    `json:"workloads,omitempty"`
	Services     []Service     `json:"services,omitempty"`
	Remotes      []Remote      `json:"remotes,omitempty"`

	// Entries are the files of a directory or the data keys of an object that
	// matter, with what each holds, sorted by name.
	Entries []Entry `json:"entries,omitempty"`
	// Missing are the entries that such a document needs and that are absent or
	// empty, sorted.
	Missing []string `json:"missing,omitempty"`
	// Problems are the structural defects, in the order found. What the content
	// means, such as dates and chains, is for others to judge.
	Problems []Problem `json:"problems,omitempty"`
}

// Shape is what a Kubernetes object is to a mesh.
type Shape string

// The shapes of objects.
const (
	ShapeCACerts     Shape = "cacerts"            // Istio's plugged-in CA, ca-cert.pem and so on
	ShapeCACertsTLS  Shape = "cacerts-tls"        // the same as tls.crt, tls.key, ca.crt
	ShapeSelfSigned  Shape = "istio-ca-secret"    // the CA that istiod made for itself
	ShapeTLS         Shape = "tls"                // kubernetes.io/tls
	ShapeCertManager Shape = "cert-manager"       // kubernetes.io/tls, written by cert-manager
	ShapeIstioCSR    Shape = "istio-csr"          // istiod-tls, written by cert-manager for istio-csr
	ShapeCredential  Shape = "gateway-credential" // a generic Secret with cert, key, cacert (Istio gateways)
	ShapeRemote      Shape = "remote-secret"      // kubeconfigs of other clusters
	ShapeRootMap     Shape = "istio-ca-root-cert" // the roots that workloads of a namespace get
	ShapeCRLMap      Shape = "istio-ca-crl"       // the CRLs that workloads of a namespace get
	ShapeTrustMap    Shape = "trust-bundle"       // another ConfigMap with certificates, such as trust-manager's
	ShapeToken       Shape = "service-account-token"
	ShapeOther       Shape = "other"
)

// Object is the Kubernetes object that a document was found in.
type Object struct {
	Kind      string `json:"kind"` // "Secret" or "ConfigMap"
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Type      string `json:"type,omitempty"` // of a Secret, such as "kubernetes.io/tls"
	Shape     Shape  `json:"shape"`
	// Created is creationTimestamp, zero where the manifest has none.
	Created time.Time `json:"created,omitzero"`
	// Generated says that istiod made the content itself (key istio-generated).
	Generated bool `json:"generated,omitempty"`
	// Issuer is cert-manager's issuer, as "kind/name".
	Issuer string `json:"issuer,omitempty"`
	// Immutable objects are never updated.
	Immutable bool `json:"immutable,omitempty"`
}

// Holds says what an entry is.
type Holds string

// What an entry may hold.
const (
	HoldsCertificates Holds = "certificates"
	HoldsKey          Holds = "private key"
	HoldsCRL          Holds = "crl"
	HoldsKubeconfig   Holds = "kubeconfig"
	HoldsNothing      Holds = "nothing"
	HoldsOther        Holds = "other"
)

// Entry is one file of a directory, or one data key of an object.
type Entry struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
	Holds Holds  `json:"holds"`
}

// Remote describes a kubeconfig in a remote secret. Its credential is named by
// its sort and nothing else of it is kept.
type Remote struct {
	Cluster  string        `json:"cluster"`            // the data key, which istiod takes for the cluster ID
	Server   string        `json:"server,omitempty"`   // scheme, host and port of the API server
	Auth     string        `json:"auth,omitempty"`     // "token", "client-certificate", "exec", "auth-provider", "basic", "none"
	CA       []Certificate `json:"ca,omitempty"`       // the roots by which the API server is verified
	Insecure bool          `json:"insecure,omitempty"` // insecure-skip-tls-verify
	Expires  time.Time     `json:"expires,omitzero"`   // of a JWT token, from its claims
	Error    string        `json:"error,omitempty"`    // why the kubeconfig cannot be read, never a part of it
}

// Identity is a SPIFFE ID and what Istio reads from it.
type Identity struct {
	ID             string `json:"id"`
	TrustDomain    string `json:"trustDomain,omitempty"`
	Path           string `json:"path,omitempty"`
	Namespace      string `json:"namespace,omitempty"`      // of /ns/NAMESPACE/sa/ACCOUNT
	ServiceAccount string `json:"serviceAccount,omitempty"` // of the same
	// Istio says that the path is /ns/NAMESPACE/sa/ACCOUNT exactly.
	Istio bool `json:"istio"`
	// Error says why it is no SPIFFE ID, in the words of go-spiffe.
	Error string `json:"error,omitempty"`
}

// BundleFacts are what a SPIFFE bundle says beside its X.509 authorities.
type BundleFacts struct {
	Sequence *uint64 `json:"sequence,omitempty"`
	// RefreshHint is in seconds, absent where there is none.
	RefreshHint *int64 `json:"refreshHint,omitempty"`
	// JWTAuthorities are the key IDs of the JWT-SVID keys.
	JWTAuthorities []string `json:"jwtAuthorities,omitempty"`
	// Federated is set for one bundle of a map of several.
	Federated bool `json:"federated,omitempty"`
}

// Problem is a structural defect of a document. Its text never quotes key
// material.
type Problem struct {
	Code Code   `json:"code"`
	What string `json:"what"` // one sentence without a full stop
	// Entry is the file or data key, empty where the input is one text.
	Entry string `json:"entry,omitempty"`
	// Line counts from 1 in the text of the entry, or in the input where Entry is
	// empty; 0 where there are no lines.
	Line int `json:"line,omitempty"`
	// Certificate counts from 1 among the certificates of the entry; 0 where the
	// problem is not one certificate's.
	Certificate int `json:"certificate,omitempty"`
	// Hint is what to do, empty where the text says it.
	Hint string `json:"hint,omitempty"`
}

// Code names a sort of problem. Where failures.md has a slug, it is that.
type Code string

// The codes of problems.
const (
	// CodeConcat is an END line that runs into the next BEGIN line. Go, OpenSSL
	// and BoringSSL then read neither certificate, rustls the first.
	CodeConcat Code = "pem-concat-no-newline"
	// CodePEM is a block that some parser does not read: a bad base64 line, an END
	// that is missing or of another type, a BEGIN line that is not alone.
	CodePEM Code = "pem-malformed"
	// CodeNotPEM is an entry that must be PEM and is not, DER included.
	CodeNotPEM Code = "not-pem"
	// CodeBOM is a byte order mark before the text.
	CodeBOM Code = "byte-order-mark"
	// CodeEscaped is a text with \n written out instead of line breaks.
	CodeEscaped Code = "escaped-newlines"
	// CodeDoubleBase64 is data that was encoded twice.
	CodeDoubleBase64 Code = "base64-twice"
	// CodeBase64 is data that is not base64 where it must be.
	CodeBase64 Code = "base64-malformed"
	// CodeUnparsable is a certificate that crypto/x509 refuses to read.
	CodeUnparsable Code = "certificate-unparsable"
	// CodeTrailing is bytes after the end of a DER structure.
	CodeTrailing Code = "trailing-data"
	// CodeUnexpected is a block of a type that has no business there, such as a
	// private key in a bundle.
	CodeUnexpected Code = "unexpected-block"
	// CodeEmpty is an input or entry without content.
	CodeEmpty Code = "empty"
	// CodeNoCertificate is an entry that should hold a certificate and holds none.
	CodeNoCertificate Code = "no-certificate"
	// CodeMissing is an entry that such a document needs and does not have.
	CodeMissing Code = "entry-missing"
	// CodeKey is a private key that cannot be read.
	CodeKey Code = "key-unparsable"
	// CodeKeyEncrypted is a private key under a passphrase, which no part of Istio
	// can use.
	CodeKeyEncrypted Code = "key-encrypted"
	// CodeKeyMismatch is a private key that is not the certificate's.
	CodeKeyMismatch Code = "key-mismatch"
	// CodeCSR is a request that cannot be read or whose signature does not verify.
	CodeCSR Code = "csr-malformed"
	// CodeCRL is a revocation list that cannot be read.
	CodeCRL Code = "crl-malformed"
	// CodeBundle is a SPIFFE bundle that go-spiffe refuses.
	CodeBundle Code = "spiffe-bundle-malformed"
	// CodeID is a SPIFFE ID that is none.
	CodeID Code = "spiffe-id-malformed"
	// CodeKubeconfig is a remote secret without a usable kubeconfig.
	CodeKubeconfig Code = "kubeconfig-malformed"
	// CodeDump is a part of a dump that cannot be read.
	CodeDump Code = "dump-malformed"
	// CodeOmitted is more content than is kept; see the limits of this package.
	CodeOmitted Code = "omitted"
)
