// SPDX-License-Identifier: Apache-2.0

package spec

const (
	istioDoc    = "Istio"
	istioSrc    = "https://github.com/istio/istio/blob/master/"
	istioDocs   = "https://istio.io/latest/docs/"
	plugInCAURL = istioDocs + "tasks/security/cert-management/plugin-ca-cert/"
)

// Clauses of Istio's own: what a multicluster mesh needs beyond the public
// standards, in this project's words.
var (
	// IstioIdentityPath is the path of every Istio workload identity.
	IstioIdentityPath = Clause{
		Doc: istioDoc, Section: "identity", Level: Must, URL: istioSrc + "pkg/spiffe/spiffe.go",
		Quote: "a workload's identity is spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT",
	}
	// IstioSecureNaming ties a dialed service to the identities that may answer.
	IstioSecureNaming = Clause{
		Doc: istioDoc, Section: "secure naming", Level: Must, URL: istioDocs + "concepts/security/#secure-naming",
		Quote: "the identity that a server presents is one of those allowed to run the service that the client dialed",
	}
	// IstioTrustDomain keeps identities inside the mesh's trust domain.
	IstioTrustDomain = Clause{
		Doc: istioDoc, Section: "trust domain", Level: Must, URL: istioSrc + "pilot/pkg/networking/plugin/authn/util.go",
		Quote: "a sidecar or gateway accepts a client whose trust domain is the mesh's own, one of its aliases, or one named with its CA certificates",
	}
	// IstioTrustDomainAliases asks both sides of a federation to know each other.
	IstioTrustDomainAliases = Clause{
		Doc: istioDoc, Section: "trust domain aliases", Level: Must, URL: istioDocs + "tasks/security/authorization/authz-td-migration/",
		Quote: "where clusters use different trust domains, each cluster's trustDomainAliases name the others'",
	}
	// IstioSharedRoot is the premise of every multicluster installation.
	IstioSharedRoot = Clause{
		Doc: istioDoc, Section: "shared root", Level: Must, URL: istioDocs + "setup/install/multicluster/before-you-begin/#configure-trust",
		Quote: "all clusters of a mesh trust the same root, by key and not only by name, and each signs with an intermediate below it",
	}
	// IstioNotDefaultCA rules out the self-signed root that each istiod makes for itself.
	IstioNotDefaultCA = Clause{
		Doc: istioDoc, Section: "plug-in CA", Level: Must, URL: plugInCAURL,
		Quote: "a cluster of a multicluster mesh does not sign with the self-signed root that istiod generates for itself",
	}
	// IstioCACertsFiles is the content of the cacerts Secret.
	IstioCACertsFiles = Clause{
		Doc: istioDoc, Section: "plug-in CA", Level: Must, URL: plugInCAURL,
		Quote: "the Secret cacerts holds ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem, none of them empty",
	}
	// IstioCACertsKey requires the key of cacerts to fit its certificate.
	IstioCACertsKey = Clause{
		Doc: istioDoc, Section: "plug-in CA", Level: Must, URL: istioSrc + "security/pkg/pki/util/keycertbundle.go",
		Quote: "ca-key.pem is the private key of ca-cert.pem, and ca-cert.pem is a CA certificate",
	}
	// IstioCACertsChain requires cacerts to chain to its own root.
	IstioCACertsChain = Clause{
		Doc: istioDoc, Section: "plug-in CA", Level: Must, URL: istioSrc + "security/pkg/pki/util/keycertbundle.go",
		Quote: "ca-cert.pem verifies to root-cert.pem through cert-chain.pem, which starts with the signing certificate",
	}
	// IstioCAStart is what istiod verifies before it signs anything.
	IstioCAStart = Clause{
		Doc: istioDoc, Section: "plug-in CA start", Level: Must, URL: istioSrc + "security/pkg/pki/ca/ca.go",
		Quote: "istiod starts only with a plugged-in CA that is complete, that it can verify up to root-cert.pem, whose key fits, and that may sign",
	}
	// IstioKeyPair ties a chain to the key that it is used with.
	IstioKeyPair = Clause{
		Doc: istioDoc, Section: "key pair", Level: Must, URL: istioSrc + "security/pkg/pki/util/keycertbundle.go",
		Quote: "a certificate is used with its own private key, unencrypted: proxies and istiod refuse any other",
	}
	// IstioCRL asks for all revocation lists or none.
	IstioCRL = Clause{
		Doc: istioDoc, Section: "CRL", Level: Must, URL: istioSrc + "security/pkg/pki/util",
		Quote: "where ca-crl.pem is given, it holds a list of every CA in the chain, signed by that CA",
	}
	// IstioSecrets is what a proxy needs before it takes part.
	IstioSecrets = Clause{
		Doc: istioDoc, Section: "secret discovery", Level: Must, URL: istioSrc + "security/pkg/nodeagent/sds/sdsservice.go",
		Quote: "a proxy is given its certificate and the mesh's roots before it takes or makes a mutual TLS connection",
	}
	// IstioProxyRoots ties what proxies verify with to what their cluster distributes.
	IstioProxyRoots = Clause{
		Doc: istioDoc, Section: "secret discovery", Level: Must, URL: istioSrc + "security/pkg/nodeagent/cache/secretcache.go",
		Quote: "a proxy verifies its peers by the roots that its cluster distributes now",
	}
	// IstioProxyPresents ties the wire to what the proxy was given.
	IstioProxyPresents = Clause{
		Doc: istioDoc, Section: "secret discovery", Level: Must, URL: istioSrc + "pilot/pkg/security/model/authentication.go",
		Quote: "a sidecar presents the certificate that its agent gave it, to clients and servers of the mesh alike",
	}
	// IstioCARestart makes istiod pick up a plugged-in CA.
	IstioCARestart = Clause{
		Doc: istioDoc, Section: "plug-in CA restart", Level: Must, URL: istioSrc + "pilot/pkg/bootstrap/istio_ca.go",
		Quote: "an istiod that started with its self-signed CA does not watch for cacerts; it is restarted after cacerts is created",
	}
	// IstioCAServes requires the CA that istiod uses to be the one in cacerts.
	IstioCAServes = Clause{
		Doc: istioDoc, Section: "plug-in CA restart", Level: Must, URL: istioSrc + "pilot/pkg/bootstrap/certcontroller.go",
		Quote: "istiod's serving certificate and every certificate that it issues chain to the CA in cacerts",
	}
	// IstioServingCertificate is what lets workloads reach their control plane.
	IstioServingCertificate = Clause{
		Doc: istioDoc, Section: "istiod serving certificate", Level: Must, URL: istioSrc + "security/pkg/nodeagent/caclient/providers/citadel/client.go",
		Quote: "workloads verify istiod by istio-ca-root-cert and by the name that they connect to",
	}
	// IstioRootDistribution requires the root in every namespace.
	IstioRootDistribution = Clause{
		Doc: istioDoc, Section: "istio-ca-root-cert", Level: Must, URL: istioSrc + "pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go",
		Quote: "the ConfigMap istio-ca-root-cert in every namespace holds the root that the cluster's CA chains to",
	}
	// IstioCALifetime keeps time for a rotation.
	IstioCALifetime = Clause{
		Doc: istioDoc, Section: "CA lifetime", Level: Should, URL: istioSrc + "security/pkg/pki/ca/ca.go",
		Quote: "a signing certificate has more time left than the leaves that it signs are asked for, and its issuer outlives it",
	}
	// IstioLeafInsideIssuer is istiod's clamp of leaf lifetimes.
	IstioLeafInsideIssuer = Clause{
		Doc: istioDoc, Section: "leaf lifetime", Level: Should, URL: istioSrc + "security/pkg/pki/util/generate_cert.go",
		Quote: "a leaf is valid no longer than any certificate of the chain that it is sent with",
	}
	// IstioLeafCurrent asks for leaves of the CA that signs now.
	IstioLeafCurrent = Clause{
		Doc: istioDoc, Section: "leaf issuer", Level: Should, URL: plugInCAURL,
		Quote: "after a CA change, workloads are restarted, so that each leaf is issued by the current signing key",
	}
	// IstioLeafTrusted is what remains binding of it while workloads renew.
	IstioLeafTrusted = Clause{
		Doc: istioDoc, Section: "leaf issuer", Level: Must, URL: plugInCAURL,
		Quote: "a leaf of a former CA is presented no longer than until its renewal is due, and only while its root is trusted",
	}
	// IstioClientCertRequired makes mutual TLS mutual.
	IstioClientCertRequired = Clause{
		Doc: istioDoc, Section: "mutual TLS", Level: Must, URL: istioSrc + "pilot/pkg/security/authn/utils/utils.go",
		Quote: "a sidecar's inbound TLS requires a client certificate and verifies it against the mesh's roots",
	}
	// IstioMutualTLS requires the two sides of an edge to accept each other.
	IstioMutualTLS = Clause{
		Doc: istioDoc, Section: "mutual TLS", Level: Must, URL: istioDocs + "concepts/security/#mutual-tls-authentication",
		Quote: "client and server verify each other's certificate against the mesh's roots, across clusters as within one",
	}
	// IstioTLSFloor is the version floor of sidecars.
	IstioTLSFloor = Clause{
		Doc: istioDoc, Section: "TLS version", Level: Must, URL: istioSrc + "pilot/pkg/networking/core/listener_inbound.go",
		Quote: "sidecars take TLS 1.2 or newer, or 1.3 where meshMTLS.minProtocolVersion says so",
	}
	// IstioSidecarALPN are the protocol names that select the mutual TLS filter chain.
	IstioSidecarALPN = Clause{
		Doc: istioDoc, Section: "sidecar ALPN", Level: Must, URL: istioSrc + "pilot/pkg/networking/util/util.go",
		Quote: "mesh clients offer an ALPN name of Istio's (istio, istio-peer-exchange, istio-http/1.0, istio-http/1.1, istio-h2), by which the server selects its mutual TLS filter chain",
	}
	// IstioStrict refuses plaintext.
	IstioStrict = Clause{
		Doc: istioDoc, Section: "PeerAuthentication STRICT", Level: Must, URL: istioDocs + "reference/config/security/peer_authentication/",
		Quote: "a workload in STRICT mode takes mutual TLS only and closes a plaintext connection unanswered",
	}
	// IstioPermissive takes both.
	IstioPermissive = Clause{
		Doc: istioDoc, Section: "PeerAuthentication PERMISSIVE", Level: Must, URL: istioDocs + "reference/config/security/peer_authentication/",
		Quote: "a workload in PERMISSIVE mode takes plaintext and mutual TLS on one port",
	}
	// IstioDisable takes plaintext only.
	IstioDisable = Clause{
		Doc: istioDoc, Section: "PeerAuthentication DISABLE", Level: Must, URL: istioDocs + "reference/config/security/peer_authentication/",
		Quote: "a workload in DISABLE mode takes plaintext and terminates no TLS",
	}
	// IstioRemoteSecret is how istiod learns of another cluster.
	IstioRemoteSecret = Clause{
		Doc: istioDoc, Section: "remote secret", Level: Must, URL: istioSrc + "pkg/kube/multicluster/secretcontroller.go",
		Quote: "each cluster's istiod finds a Secret labelled istio/multiCluster=true whose data key is the other cluster's ID and whose kubeconfig opens that cluster's API",
	}
	// IstioRemoteCluster is what a remote secret is for.
	IstioRemoteCluster = Clause{
		Doc: istioDoc, Section: "remote cluster", Level: Must, URL: istioSrc + "pkg/kube/multicluster/cluster.go",
		Quote: "each istiod has read the services and endpoints of every other cluster of the mesh",
	}
	// IstioProxySync is what keeps proxies and control plane of one mind.
	IstioProxySync = Clause{
		Doc: istioDoc, Section: "proxy status", Level: Should, URL: istioDocs + "ops/diagnostic-tools/proxy-cmd/",
		Quote: "a proxy acknowledges the last configuration that istiod sent to it",
	}
	// IstioNetworkLabel is how endpoints behind a gateway are known as such.
	IstioNetworkLabel = Clause{
		Doc: istioDoc, Section: "network label", Level: Must, URL: istioDocs + "setup/install/multicluster/multi-primary_multi-network/",
		Quote: "where clusters are on different networks, the system namespace and the east-west gateway carry topology.istio.io/network",
	}
	// IstioGatewayAddress requires the gateway to be reachable from outside.
	IstioGatewayAddress = Clause{
		Doc: istioDoc, Section: "east-west gateway", Level: Must, URL: istioSrc + "samples/multicluster/expose-services.yaml",
		Quote: "the east-west gateway of a network has an address that other networks reach, on 15443 for sidecars and 15008 for ambient",
	}
	// IstioGatewayEndpoint is how a caller knows of the gateway.
	IstioGatewayEndpoint = Clause{
		Doc: istioDoc, Section: "split horizon EDS", Level: Must, URL: istioSrc + "pilot/pkg/xds/endpoints/ep_filters.go",
		Quote: "a caller is given the gateway of another network for the endpoints behind it, with the server name or authority that leads through it",
	}
	// IstioAutoPassthrough is the gateway's routing by SNI.
	IstioAutoPassthrough = Clause{
		Doc: istioDoc, Section: "AUTO_PASSTHROUGH", Level: Must, URL: istioSrc + "pilot/pkg/networking/core/gateway.go",
		Quote: "port 15443 routes outbound_.PORT_.SUBSET_.HOST by SNI to that service and leaves TLS to the workload",
	}
	// IstioAutoPassthroughUnknown is what happens to a stranger's SNI.
	IstioAutoPassthroughUnknown = Clause{
		Doc: istioDoc, Section: "AUTO_PASSTHROUGH", Level: Must, URL: istioSrc + "pilot/pkg/networking/core/gateway.go",
		Quote: "port 15443 closes a connection whose SNI names no exposed service, without an alert",
	}
	// IstioServiceEntryHost is the federated host of Service Mesh Hub and Gloo Mesh.
	IstioServiceEntryHost = Clause{
		Doc: "Gloo Mesh", Section: "federated host", Level: Must, URL: "https://github.com/solo-io/gloo-mesh/tree/v0.4.11",
		Quote: "a federated service is a mesh-internal ServiceEntry for SERVICE.NAMESPACE.CLUSTER whose endpoint is the other cluster's gateway",
	}
	// IstioRejectForeignRoot is the control that mutual TLS really verifies.
	IstioRejectForeignRoot = Clause{
		Doc: istioDoc, Section: "mutual TLS", Level: Must, URL: istioDocs + "concepts/security/#mutual-tls-authentication",
		Quote: "a client certificate of a root that the mesh does not trust is refused",
	}
	// IstioVerifiersAgree asks for chains on which the verifiers of a mesh do not differ.
	IstioVerifiersAgree = Clause{
		Doc: istioDoc, Section: "data-plane verifiers", Level: Should, URL: plugInCAURL,
		Quote: "a chain is accepted alike by Envoy, ztunnel and istiod, which compare names, key identifiers and constraints differently",
	}
)

func istio() []Clause {
	return []Clause{
		IstioIdentityPath, IstioSecureNaming, IstioTrustDomain,
		IstioTrustDomainAliases, IstioSharedRoot, IstioNotDefaultCA,
		IstioCACertsFiles, IstioCACertsKey, IstioCACertsChain, IstioCARestart,
		IstioCAServes, IstioRootDistribution, IstioCALifetime,
		IstioLeafInsideIssuer, IstioLeafCurrent, IstioLeafTrusted, IstioClientCertRequired,
		IstioMutualTLS, IstioTLSFloor, IstioSidecarALPN, IstioStrict,
		IstioPermissive, IstioDisable, IstioRemoteSecret, IstioNetworkLabel,
		IstioGatewayAddress, IstioAutoPassthrough, IstioAutoPassthroughUnknown,
		IstioServiceEntryHost, IstioRejectForeignRoot, IstioVerifiersAgree,
		IstioCAStart, IstioKeyPair, IstioCRL, IstioSecrets, IstioProxyRoots, IstioProxyPresents,
		IstioServingCertificate, IstioRemoteCluster, IstioProxySync,
		IstioGatewayEndpoint,
	}
}
