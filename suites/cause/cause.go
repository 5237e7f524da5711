// SPDX-License-Identifier: Apache-2.0

// Package cause is the catalogue of causes that several probes share: what is
// wrong with a chain, and what is wrong with the way to a peer. Codes are
// stable; a cause that one probe alone can name stands beside that probe.
package cause

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// Steps that several causes share. Templates over the subject.
const (
	restartIstiod    = "kubectl --context {{.Cluster}} -n istio-system rollout restart deployment/istiod"
	restartWorkloads = "kubectl --context {{.Cluster}} {{.Restart}}"
	refederate       = Refederate
	putChain         = "kubectl --context {{.Cluster}} -n istio-system patch secret cacerts --type merge -p '{\"data\":{\"cert-chain.pem\":\"'$(kubectl --context {{.Cluster}} -n istio-system get secret cacerts -o jsonpath='{.data.ca-cert\\.pem}')'\"}}'    # where no other CA stands between ca-cert.pem and the root"
	restartSystem    = "kubectl --context {{.Cluster}} -n istio-system rollout restart deployment,daemonset    # gateways and ztunnel"
	restartMeshed    = "for ns in $(kubectl --context {{.Cluster}} get namespaces -l istio-injection=enabled -o name); do kubectl --context {{.Cluster}} -n ${ns#namespace/} rollout restart deployment; done"
	showCA           = "kubectl --context {{.Cluster}} -n istio-system get secret cacerts -o jsonpath='{.data.ca-cert\\.pem}' | base64 -d | openssl x509 -noout -text"
	showBundle       = "kubectl --context {{.Cluster}} -n istio-system get configmap istio-ca-root-cert -o jsonpath='{.data.root-cert\\.pem}' | openssl x509 -noout -subject -fingerprint"
)

// Refederate is the step that gives all clusters one root again.
const Refederate = "meshprobe federate plan && meshprobe federate apply    # one shared root, one intermediate per cluster"

// RestartZtunnel is the value of .Restart where a ztunnel holds the
// certificates.
const RestartZtunnel = "-n istio-system rollout restart daemonset/ztunnel"

// Chain is the cause with which a chain is refused, by the code that
// verifier.Diagnose gives it.
func Chain(code string) probe.Cause {
	for _, c := range chains {
		if c.Code == code {
			return c
		}
	}
	return probe.Unknown
}

// Chains lists the causes of codes, all of them where none is named.
func Chains(codes ...string) []probe.Cause {
	if len(codes) == 0 {
		return append([]probe.Cause(nil), chains...)
	}
	out := make([]probe.Cause, len(codes))
	for i, code := range codes {
		out[i] = Chain(code)
	}
	return out
}

var chains = []probe.Cause{
	{Code: verifier.CauseRootSameDN, Title: "the two sides trust different roots that bear the same name", Try: []string{refederate, showBundle}},
	{Code: verifier.CauseRootDistinctDN, Title: "the two sides trust different roots", Try: []string{refederate, showBundle}},
	{Code: verifier.CauseRootIntermediate, Title: "what is handed out as the root is an intermediate of one cluster", Try: []string{
		refederate,
		"or, with a CA of your own: put the self-signed root, not the issuing CA, into root-cert.pem of cacerts, and restart istiod, gateways and workloads",
	}},
	{Code: verifier.CauseIntermediateUnsent, Title: "the peer sends its leaf without the intermediate that signed it", Try: append([]string{putChain}, RestartMesh()...)},
	{Code: verifier.CauseWrongIntermediate, Title: "the peer sends an intermediate that did not sign its leaf", Try: append([]string{putChain}, RestartMesh()...)},
	{Code: verifier.CauseLeafExpired, Title: "the workload's certificate has expired and was not renewed", Try: []string{
		restartWorkloads, "kubectl --context {{.Cluster}} -n istio-system logs deployment/istiod | grep -i 'sign\\|authenticate'",
	}},
	{Code: verifier.CauseIntermediateExpired, Title: "the cluster's intermediate has expired", Try: []string{refederate, showCA}},
	{Code: verifier.CauseRootExpired, Title: "the shared root has expired: sidecars refuse it, ztunnels do not look", Try: []string{refederate}},
	{Code: verifier.CauseClockSkew, Title: "a certificate is not valid yet: clocks differ", Try: []string{"compare the clocks: date -u; kubectl --context {{.Cluster}} -n istio-system exec deployment/istiod -- date -u"}},
	{Code: verifier.CauseNotACA, Title: "the certificate that signed the leaf is not a CA certificate", Try: []string{"put a certificate with CA:TRUE and keyCertSign into ca-cert.pem of cacerts", restartIstiod, restartWorkloads}},
	{Code: verifier.CauseNoKeyCertSign, Title: "the intermediate's key usage does not allow it to sign certificates", Try: []string{"issue the intermediate again with keyCertSign", restartIstiod, restartWorkloads}},
	{Code: verifier.CauseKeyUsage, Title: "the leaf's key usage does not allow it to sign a handshake", Try: []string{"issue leaves with keyUsage digitalSignature", restartWorkloads}},
	{Code: verifier.CauseEKU, Title: "the extended key usage forbids one of the two roles of a mesh workload", Try: []string{"issue the intermediate and the leaves with serverAuth and clientAuth, or with no extended key usage", restartIstiod, restartWorkloads}},
	{Code: verifier.CauseNameConstraints, Title: "a CA carries URI name constraints: ztunnel refuses all of them", Try: []string{"issue the intermediate without URI name constraints", restartIstiod, restartWorkloads}},
	{Code: verifier.CausePathLen, Title: "the chain is longer than a CA's path length allows", Try: []string{"issue the CA with a larger pathlen, or leave one CA out", restartIstiod, restartWorkloads}},
	{Code: verifier.CauseWeak, Title: "a key or signature in the chain is of a kind that one of the verifiers does not take", Try: []string{"use RSA keys of at least 2048 bits or P-256, and SHA-256", refederate}},
	{Code: verifier.CauseSameDNAsRoot, Title: "the intermediate bears the root's name", Try: []string{"give root and intermediates different names", refederate}},
	{Code: verifier.CauseDNEncoding, Title: "issuer and root have the same name in different encodings", Try: []string{"issue the intermediate with the root's subject byte for byte", refederate}},
	{Code: verifier.CauseAKISerial, Title: "the authority key identifier names a serial number that the root no longer has", Try: []string{"issue the intermediates again under the root in force", refederate}},
	{Code: verifier.CauseAKIDrift, Title: "the authority key identifier does not match the issuer's key identifier", Try: []string{"issue the certificates again from the CA certificate in force", restartIstiod, restartWorkloads}},
	{Code: verifier.CauseSameDNOrder, Title: "two roots of one name: sidecars try the first one only", Try: []string{"give every root a name of its own", refederate}},
	{Code: verifier.CauseLeafIsCA, Title: "the workload's certificate is a CA certificate", Try: []string{"issue leaves with CA:FALSE", restartWorkloads}},
	{Code: verifier.CauseCriticalExtension, Title: "a certificate has a critical extension that verifiers do not know", Try: []string{"issue it again without the extension, or not critical", restartIstiod, restartWorkloads}},
	{Code: verifier.CauseOutlives, Title: "the workload's certificate is valid longer than the intermediate that signed it", Try: []string{
		restartWorkloads + "    # an istiod of today issues no certificate that outlives its own",
		refederate + "; renews the intermediate too, where it ends soon",
	}},
	{Code: verifier.CauseSANShape, Title: "the certificate does not have exactly one SPIFFE ID as its URI SAN", Try: []string{"let the cluster's CA write the SAN: one URI, spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT", restartWorkloads}},
	{Code: verifier.CauseTrustDomainSidecar, Title: "the trust domains differ and no alias admits the other one", Try: []string{
		"kubectl --context {{.Cluster}} -n istio-system edit configmap istio    # in key mesh, add the other trust domain to trustDomainAliases; or use one trust domain", restartIstiod,
	}},
	{Code: verifier.CauseTrustDomainAmbient, Title: "the trust domains differ, and ztunnel honours no aliases", Try: []string{"use one trust domain in all clusters with ambient workloads"}},
	{Code: verifier.CauseWrongIdentity, Title: "another workload answers than the one that was called", Try: []string{
		restartWorkloads + "    # where a proxy holds the wrong certificate",
		"kubectl --context {{.Cluster}} -n {{.Namespace}} get pods -o custom-columns=POD:.metadata.name,SA:.spec.serviceAccountName,IP:.status.podIP",
	}},
	{Code: verifier.CauseNoCertificate, Title: "the peer presented no certificate", Try: []string{"find out what answers there: openssl s_client -connect ADDRESS -showcerts"}},
	{Code: verifier.CauseOversized, Title: "the peer's chain is too large to be one", Try: []string{"find out what answers there: openssl s_client -connect ADDRESS -showcerts"}},
}

// RestartMesh is the steps that make a change of the control plane's reach
// everything in the cluster of the subject, in the order in which they must
// be done.
func RestartMesh() []string {
	return []string{
		restartIstiod + " && kubectl --context {{.Cluster}} -n istio-system rollout status deployment/istiod", restartSystem, restartMeshed,
	}
}
