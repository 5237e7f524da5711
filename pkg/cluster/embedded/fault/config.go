// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Resources that have no constants in their packages.
var (
	gateways    = resource{Group: "networking.istio.io", Version: "v1", Resource: "gateways"}
	filters     = resource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"}
	peerPolicy  = resource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"}
	coreService = resource{Version: "v1", Resource: "services"}
	coreSpaces  = resource{Version: "v1", Resource: "namespaces"}
)

// meshConfig changes key mesh of ConfigMap istio.
func (v *victim) meshConfig(ctx context.Context, change func(map[string]any)) error {
	maps := v.kube.CoreV1().ConfigMaps(system)
	cm, err := maps.Get(ctx, "istio", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get configmap istio: %w", err)
	}
	mesh := map[string]any{}
	if err := yaml.Unmarshal([]byte(cm.Data["mesh"]), &mesh); err != nil {
		return fmt.Errorf("configmap istio: %w", err)
	}
	change(mesh)
	text, err := yaml.Marshal(mesh)
	if err != nil {
		return fmt.Errorf("configmap istio: %w", err)
	}
	cm.Data["mesh"] = string(text)
	if _, err := maps.Update(ctx, cm, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update configmap istio: %w", err)
	}
	return nil
}

func (v *victim) foreignDomain() string { return v.Name() + ".example" }

// otherTrustDomain renames the cluster's trust domain, as an installation with
// another value of meshConfig.trustDomain does.
func otherTrustDomain(ctx context.Context, v *victim) error {
	if err := v.meshConfig(ctx, func(m map[string]any) { m["trustDomain"] = v.foreignDomain() }); err != nil {
		return err
	}
	return v.restartAll(ctx)
}

func otherTrustDomainWithAliases(ctx context.Context, v *victim) error {
	before := v.TrustDomain()
	others, err := v.others()
	if err != nil {
		return err
	}
	alias := func(td string) func(map[string]any) {
		return func(m map[string]any) {
			known, _ := m["trustDomainAliases"].([]any) // absent is none
			m["trustDomainAliases"] = append(known, td)
		}
	}
	for _, o := range others {
		if err := o.meshConfig(ctx, alias(v.foreignDomain())); err != nil {
			return err
		}
	}
	if err := v.meshConfig(ctx, alias(before)); err != nil {
		return err
	}
	return otherTrustDomain(ctx, v)
}

func networkLabelMissing(ctx context.Context, v *victim) error {
	text := `{"metadata":{"labels":{"topology.istio.io/network":null}}}`
	return v.patch(ctx, coreSpaces, "", system, text)
}

// gatewayUnreachable scales what gateways there are to nothing.
func gatewayUnreachable(ctx context.Context, v *victim) error {
	services, err := v.gatewayServices(ctx)
	if err != nil {
		return err
	}
	for _, s := range services {
		name := s.GetName()
		if err := v.patch(ctx, deployments, system, name, `{"spec":{"replicas":0}}`); err != nil {
			return err
		}
		if err := v.rolledOut(ctx, deployments, system, name); err != nil {
			return err
		}
	}
	return nil
}

// gatewayServices are the Services that lead into the cluster's network.
func (v *victim) gatewayServices(ctx context.Context) ([]unstructured.Unstructured, error) {
	all, err := v.dyn.Resource(coreService).Namespace(system).List(ctx, metav1.ListOptions{LabelSelector: "topology.istio.io/network"})
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	if len(all.Items) == 0 {
		return nil, errors.New("the cluster has no east-west gateway")
	}
	return all.Items, nil
}

func sniNoMatch(ctx context.Context, v *victim) error {
	all, err := v.dyn.Resource(gateways).Namespace(system).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list gateways: %w", err)
	}
	for _, g := range all.Items {
		text := `{"spec":{"servers":[{"port":{"number":15443,"name":"tls","protocol":"TLS"},"tls":{"mode":"AUTO_PASSTHROUGH"},"hosts":["*.global"]}]}}`
		if err := v.patch(ctx, gateways, system, g.GetName(), text); err != nil {
			return err
		}
	}
	return nil
}

// tlsTerminated gives the load balancer of the 15443 gateway a certificate,
// which makes it end TLS.
func tlsTerminated(ctx context.Context, v *victim) error {
	services, err := v.gatewayServices(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(services, func(s unstructured.Unstructured) bool { return servesPort(s, cluster.PortPassthrough) })
	if i < 0 {
		return errors.New("the cluster has no gateway on 15443")
	}
	text := `{"metadata":{"annotations":{"service.beta.kubernetes.io/aws-load-balancer-ssl-cert":"arn:aws:acm:eu-west-1:111122223333:certificate/12345678"}}}`
	return v.patch(ctx, coreService, system, services[i].GetName(), text)
}

func servesPort(s unstructured.Unstructured, port int64) bool {
	ports, _, err := unstructured.NestedSlice(s.Object, "spec", "ports")
	return err == nil && slices.ContainsFunc(ports, func(p any) bool {
		m, ok := p.(map[string]any)
		return ok && m["port"] == port
	})
}

func mtlsDisabled(ctx context.Context, v *victim) error {
	namespace, _, err := v.served(cluster.Sidecar)
	if err != nil {
		return err
	}
	return v.policy(ctx, namespace, cluster.Disable)
}

// policy sets the mode of a namespace.
func (v *victim) policy(ctx context.Context, namespace string, mode cluster.MTLSMode) error {
	return v.patch(ctx, peerPolicy, namespace, "default", fmt.Sprintf(`{"spec":{"mtls":{"mode":%q}}}`, mode))
}

func clientCertNotRequired(ctx context.Context, v *victim) error {
	namespace, w, err := v.served(cluster.Sidecar)
	if err != nil {
		return err
	}
	filter := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
		"metadata": map[string]any{"name": "legacy-clients", "namespace": namespace},
		"spec": map[string]any{
			"workloadSelector": map[string]any{"labels": map[string]any{"app.kubernetes.io/name": w.Name}},
			"configPatches": []any{map[string]any{
				"applyTo": "FILTER_CHAIN", "match": map[string]any{"context": "SIDECAR_INBOUND"},
				"patch": map[string]any{"operation": "MERGE", "value": map[string]any{"transport_socket": map[string]any{
					"name": "envoy.transport_sockets.tls",
					"typed_config": map[string]any{
						"@type":                      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
						"require_client_certificate": false,
					},
				}}},
			}},
		},
	}}
	if _, err := v.dyn.Resource(filters).Namespace(namespace).Create(ctx, filter, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create envoyfilter: %w", err)
	}
	return nil
}

func permissiveWhenStrict(_ context.Context, v *victim) error {
	namespace, w, err := v.served(cluster.Sidecar)
	if err != nil {
		return err
	}
	if v.lab == nil {
		return errNoLab
	}
	return v.lab.HoldMode(namespace, w.ServiceAccount, cluster.Permissive)
}

func strictVsPlaintext(ctx context.Context, v *victim) error {
	namespace, w, err := v.served(cluster.Sidecar)
	if err != nil {
		return err
	}
	if v.lab == nil {
		return errNoLab
	}
	if err := v.lab.HoldMode(namespace, w.ServiceAccount, cluster.Strict); err != nil {
		return err
	}
	return v.policy(ctx, namespace, cluster.Permissive)
}

func authorityAny(_ context.Context, v *victim) error {
	if _, _, err := v.served(cluster.Ambient); err != nil {
		return err
	}
	if v.lab == nil {
		return errNoLab
	}
	v.lab.AnyAuthority()
	return nil
}
