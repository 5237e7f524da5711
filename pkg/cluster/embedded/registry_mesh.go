// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// peerPolicy is one PeerAuthentication. An empty mode inherits.
type peerPolicy struct {
	namespace string
	selector  labels.Set
	mode      cluster.MTLSMode
}

func (r *registry) addPolicies(objects []runtime.Object) {
	for _, u := range each[*unstructured.Unstructured](objects) {
		mode := nestedString(u.Object, "spec", "mtls", "mode")
		selector := nestedStringMap(u.Object, "spec", "selector", "matchLabels")
		p := peerPolicy{namespace: u.GetNamespace(), selector: selector}
		switch m := cluster.MTLSMode(mode); m {
		case cluster.Strict, cluster.Permissive, cluster.Disable:
			p.mode = m
		}
		r.policies = append(r.policies, p)
	}
}

// mode is the PeerAuthentication in force for a pod: the one that selects it,
// then its namespace's, then the root namespace's, then PERMISSIVE
// (istio pilot/pkg/model/authentication.go).
func (r *registry) mode(namespace string, pod labels.Set) cluster.MTLSMode {
	var own, inNamespace, inRoot cluster.MTLSMode
	for _, p := range r.policies {
		switch {
		case p.namespace == namespace && len(p.selector) > 0:
			if p.selector.AsSelectorPreValidated().Matches(pod) {
				own = cmp.Or(own, p.mode)
			}
		case len(p.selector) > 0:
		case p.namespace == namespace:
			inNamespace = cmp.Or(inNamespace, p.mode)
		case p.namespace == rootNamespace:
			inRoot = cmp.Or(inRoot, p.mode)
		}
	}
	return cmp.Or(own, inNamespace, inRoot, cluster.Permissive)
}

// selection is the pods that a configuration object is about: all of a
// namespace, of the mesh where that is the root namespace.
type selection struct {
	namespace string
	selector  labels.Set
}

func (s selection) has(namespace string, pod labels.Set) bool {
	return (s.namespace == namespace || s.namespace == rootNamespace) && s.selector.AsSelectorPreValidated().Matches(pod)
}

// addFilters reads the one thing in an EnvoyFilter that the listeners here can
// do: TLS without client certificates (envoy DownstreamTlsContext,
// require_client_certificate).
func (r *registry) addFilters(objects []runtime.Object) {
	for _, u := range each[*unstructured.Unstructured](objects) {
		for _, p := range nestedMaps(u.Object, "spec", "configPatches") {
			required, set, err := unstructured.NestedBool(p, "patch", "value", "transport_socket", "typed_config", "require_client_certificate")
			if err == nil && set && !required {
				r.onesided = append(r.onesided, selection{u.GetNamespace(), nestedStringMap(u.Object, "spec", "workloadSelector", "labels")})
			}
		}
	}
}

// anonymous says whether a pod's sidecar asks for no client certificate.
func (r *registry) anonymous(namespace string, pod labels.Set) bool {
	return slices.ContainsFunc(r.onesided, func(s selection) bool { return s.has(namespace, pod) })
}

// gatewayView is an ambient east-west gateway.
type gatewayView struct {
	network, serviceAccount string
	addr                    netip.AddrPort
}

// addGateways reads the Gateways that lead into a network: class
// istio-east-west with one HBONE listener (istio
// pilot/pkg/serviceregistry/ambient/networks.go).
func (r *registry) addGateways(objects []runtime.Object) {
	for _, u := range each[*unstructured.Unstructured](objects) {
		class := nestedString(u.Object, "spec", "gatewayClassName")
		if class != "istio-east-west" || u.GetLabels()[networkLabel] == "" {
			continue
		}
		var port uint16
		for _, l := range nestedMaps(u.Object, "spec", "listeners") {
			if n, ok := l["port"].(int64); ok && l["protocol"] == "HBONE" {
				port = uint16(n)
			}
		}
		for _, a := range nestedMaps(u.Object, "status", "addresses") {
			text, _ := a["value"].(string)
			if addr, err := netip.ParseAddr(text); err == nil && port != 0 {
				r.gateways = append(r.gateways, gatewayView{
					network:        u.GetLabels()[networkLabel],
					serviceAccount: cmp.Or(u.GetAnnotations()["gateway.istio.io/service-account"], u.GetName()),
					addr:           netip.AddrPortFrom(addr, port),
				})
			}
		}
	}
}

// addExposed collects what the sidecar east-west gateway may pass through:
// the hosts of AUTO_PASSTHROUGH servers (samples/multicluster/expose-services.yaml).
func (r *registry) addExposed(objects []runtime.Object) {
	for _, u := range each[*unstructured.Unstructured](objects) {
		selector := nestedStringMap(u.Object, "spec", "selector")
		if selector["istio"] != "eastwestgateway" {
			continue
		}
		for _, s := range nestedMaps(u.Object, "spec", "servers") {
			number := nestedInt(s, "port", "number")
			mode := nestedString(s, "tls", "mode")
			hosts := nestedStrings(s, "hosts")
			if number == cluster.PortPassthrough && mode == "AUTO_PASSTHROUGH" {
				for _, h := range hosts {
					_, host, scoped := strings.Cut(h, "/")
					if !scoped {
						host = h
					}
					r.exposed = append(r.exposed, host)
				}
			}
		}
	}
}

// exposes reports whether a Gateway lists the host, by name or wildcard.
func (r *registry) exposes(host string) bool {
	return slices.ContainsFunc(r.exposed, func(pattern string) bool {
		if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
			return strings.HasSuffix(host, suffix)
		}
		return host == pattern
	})
}

// passthroughGateways are the addresses of the Services that lead into a
// network on 15443.
func (r *registry) passthroughGateways(network string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range r.services {
		if s.network != network {
			continue
		}
		for _, p := range s.ports {
			if p.TargetPort.IntValue() == cluster.PortPassthrough || p.Port == cluster.PortPassthrough {
				for _, a := range s.external {
					out = append(out, netip.AddrPortFrom(a, uint16(p.Port)))
				}
			}
		}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return out
}

// entryView is a ServiceEntry.
type entryView struct {
	ports      map[uint16]string // names by number
	endpoints  []entryEndpoint
	identities []string
}

type entryEndpoint struct {
	address string
	ports   map[string]uint16
}

func (r *registry) addEntries(objects []runtime.Object) {
	for _, u := range each[*unstructured.Unstructured](objects) {
		v := &entryView{ports: map[uint16]string{}}
		for _, p := range nestedMaps(u.Object, "spec", "ports") {
			number, _ := p["number"].(int64)
			v.ports[uint16(number)], _ = p["name"].(string)
		}
		for _, e := range nestedMaps(u.Object, "spec", "endpoints") {
			end := entryEndpoint{ports: map[string]uint16{}}
			end.address, _ = e["address"].(string)
			for name, number := range nestedInts(e, "ports") {
				end.ports[name] = uint16(number)
			}
			v.endpoints = append(v.endpoints, end)
		}
		v.identities = nestedStrings(u.Object, "spec", "subjectAltNames")
		hosts := nestedStrings(u.Object, "spec", "hosts")
		for _, h := range hosts {
			r.entries[h] = v
		}
	}
}
