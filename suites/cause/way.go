// SPDX-License-Identifier: Apache-2.0

package cause

import "github.com/meshprobe/meshprobe/pkg/probe"

// What can be wrong on the way to a peer, before any certificate matters.
var (
	// NoEndpoint: the caller's control plane knows no endpoint over there.
	NoEndpoint = probe.Cause{
		Code: "no-remote-endpoint", Title: "the caller's istiod offers no endpoint in the destination cluster",
		Try: []string{
			"istioctl --context {{.From}} remote-clusters",
			"kubectl --context {{.To}} -n {{.Namespace}} get service,endpointslices",
			"kubectl --context {{.To}} -n {{.Namespace}} get pods -L topology.istio.io/network    # does one claim a network that has no gateway?",
			"kubectl --context {{.From}} get peerauthentications,destinationrules -A    # mode DISABLE, or tls.mode DISABLE or SIMPLE for the host, hides other networks, too",
		},
	}
	// MTLSDisabled: cross-network endpoints without mTLS are skipped silently.
	MTLSDisabled = probe.Cause{
		Code: "mtls-disabled-remote", Title: "mutual TLS is disabled at the destination, so istiod hides it from other networks",
		Try: []string{
			"kubectl --context {{.To}} get peerauthentication -A    # which one says DISABLE? the narrowest wins: workload, namespace, root namespace",
			"kubectl --context {{.To}} -n {{.Namespace}} patch peerauthentication default --type merge -p '{\"spec\":{\"mtls\":{\"mode\":\"STRICT\"}}}'",
		},
	}
	// Unreachable: nothing answers at the address that the caller was given.
	Unreachable = probe.Cause{
		Code: "ew-unreachable", Title: "the east-west gateway does not answer: no listener, load balancer or route, or a filter in between",
		Try: []string{
			"kubectl --context {{.To}} -n istio-system get service,endpointslices -l topology.istio.io/network -o wide    # an external address? pods behind it?",
			"kubectl --context {{.To}} -n istio-system scale deployment -l {{.Gateways}} --replicas=1    # where there are no pods",
			"kubectl --context {{.To}} get gateways.networking.istio.io,gateways.gateway.networking.k8s.io -A    # one for port 15443, one for 15008? without it nothing listens there",
			"kubectl --context {{.To}} get networkpolicy -A   # ports 15443 and 15008 must be open",
		},
	}
	// NoNetworkLabel: the caller was given a pod address of another network.
	NoNetworkLabel = probe.Cause{
		Code: "network-label-missing", Title: "istiod takes the other cluster for a part of its own network and hands out its pod addresses",
		Try: []string{
			"kubectl --context {{.To}} label namespace istio-system topology.istio.io/network={{.Network}}",
		},
	}
	// NoSNIMatch: the 15443 gateway closes without an alert.
	NoSNIMatch = probe.Cause{
		Code: "ew-sni-no-match", Title: "the east-west gateway has no route for the server name and closes the connection",
		Try: []string{
			"kubectl --context {{.To}} -n istio-system get gateways.networking.istio.io -o yaml   # port 15443, AUTO_PASSTHROUGH, hosts '*.local'",
			"kubectl --context {{.To}} -n istio-system apply -f samples/multicluster/expose-services.yaml    # of the Istio release: Gateway cross-network-gateway",
			"istioctl --context {{.To}} proxy-config listeners deployment/istio-eastwestgateway -n istio-system --port 15443",
		},
	}
	// Terminated: something else ends TLS between caller and workload.
	Terminated = probe.Cause{
		Code: "tls-terminated-in-middle", Title: "something between caller and workload terminates TLS: the certificate is no mesh identity",
		Try: []string{
			"kubectl --context {{.To}} -n istio-system get service -l topology.istio.io/network -o jsonpath='{range .items[*]}{.metadata.name}: {.metadata.annotations}{\"\\n\"}{end}'    # a certificate for the load balancer?",
			"kubectl --context {{.To}} -n istio-system annotate service -l topology.istio.io/network service.beta.kubernetes.io/aws-load-balancer-ssl-cert-    # AWS: back to TCP pass-through; other clouds: their annotation",
			"or look for a proxy or firewall that inspects TLS in between, and for a gateway server that is not AUTO_PASSTHROUGH",
		},
	}
	// ClosedAfter: the handshake was cut without a reason given.
	ClosedAfter = probe.Cause{
		Code: "closed-without-alert", Title: "the peer closed the connection without an alert: a dead upstream or a policy, not a certificate",
		Try: []string{"kubectl --context {{.To}} -n {{.Namespace}} get pods,authorizationpolicies", "istioctl --context {{.To}} proxy-config log deployment/{{.Name}} -n {{.Namespace}} --level rbac:debug"},
	}
	// NotAsked: TLS is one-sided.
	NotAsked = probe.Cause{
		Code: "client-cert-not-required", Title: "the server does not ask for a client certificate: anybody may call",
		Try: []string{
			"kubectl --context {{.To}} get envoyfilters -A -o yaml | grep -B40 'require_client_certificate: false'    # in the workload's namespace or the root namespace",
			"kubectl --context {{.To}} -n {{.Namespace}} delete envoyfilter NAME    # the one that sets it",
			"kubectl --context {{.To}} get peerauthentications,sidecars -A    # or a server whose TLS mode is SIMPLE",
		},
	}
	// AmbientFlag: HBONE worked but the gateway knows no such service.
	AmbientFlag = probe.Cause{
		Code: "ambient-multinetwork-flag", Title: "the ambient east-west gateway does not know the service",
		Try: []string{
			"kubectl --context {{.To}} -n {{.Namespace}} label service {{.Name}} istio.io/global=true",
			"kubectl --context {{.To}} -n istio-system get deployment istiod -o yaml | grep AMBIENT_ENABLE_MULTI_NETWORK",
		},
	}
)
