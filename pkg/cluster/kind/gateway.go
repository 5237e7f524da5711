// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Names of the east-west gateways, as Istio's samples have them.
const (
	sidecarGateway = "istio-eastwestgateway"
	ambientGateway = "eastwest-ambient"
	labelGlobal    = "istio.io/global"
)

type obj = map[string]any

func object(apiVersion, kind, namespace, name string, labels map[string]string, rest obj) *unstructured.Unstructured {
	all := obj{labelManaged: managedBy}
	for k, v := range labels {
		all[k] = v
	}
	metadata := obj{"name": name, "labels": all}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	o := obj{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
	maps.Copy(o, rest)
	return &unstructured.Unstructured{Object: o}
}

// root is the namespace of the control plane, with the network of its cluster.
func root(spec cluster.ClusterSpec) *unstructured.Unstructured {
	return object("v1", "Namespace", "", rootNamespace, map[string]string{labelNetwork: spec.Network}, nil)
}

// eastWest is both gateways of a cluster: for sidecars on 15443, and for ambient
// and HBONE on 15008. What lets callers through the first is federation's.
func eastWest(spec cluster.ClusterSpec) []*unstructured.Unstructured {
	selector := obj{"istio": "eastwestgateway"}
	return []*unstructured.Unstructured{
		object("v1", "ServiceAccount", rootNamespace, sidecarGateway, nil, nil),
		object("apps/v1", "Deployment", rootNamespace, sidecarGateway, map[string]string{"app": sidecarGateway, "istio": "eastwestgateway"}, obj{"spec": obj{
			"selector": obj{"matchLabels": selector},
			"template": obj{
				"metadata": obj{
					"labels": obj{
						"app": sidecarGateway, "istio": "eastwestgateway", "sidecar.istio.io/inject": "true", labelNetwork: spec.Network,
					},
					"annotations": obj{"inject.istio.io/templates": "gateway"},
				},
				"spec": obj{
					"serviceAccountName":            sidecarGateway,
					"terminationGracePeriodSeconds": int64(1),
					"containers": []any{obj{
						"name": "istio-proxy", "image": "auto", "imagePullPolicy": "IfNotPresent",
						"env": []any{obj{"name": "ISTIO_META_REQUESTED_NETWORK_VIEW", "value": spec.Network}},
					}},
				},
			},
		}}),
		object("v1", "Service", rootNamespace, sidecarGateway, map[string]string{"app": sidecarGateway, "istio": "eastwestgateway", labelNetwork: spec.Network}, obj{"spec": obj{
			"type": "LoadBalancer", "selector": selector,
			"ports": []any{obj{"name": "tls", "port": int64(cluster.PortPassthrough), "targetPort": int64(cluster.PortPassthrough)}},
		}}),
		object("gateway.networking.k8s.io/v1", "Gateway", rootNamespace, ambientGateway, map[string]string{labelNetwork: spec.Network}, obj{"spec": obj{
			"gatewayClassName": "istio-east-west",
			"listeners": []any{obj{
				"name": "mesh", "port": int64(cluster.PortHBONE), "protocol": "HBONE",
				"tls": obj{"mode": "Terminate", "options": obj{"gateway.istio.io/tls-terminate-mode": "ISTIO_MUTUAL"}},
			}},
		}}),
	}
}

// waypoint is the Gateway of which istiod makes a waypoint, with a service
// account of that name. It is shared between clusters, as the services behind it
// are: otherwise the others are told nothing of it.
func waypoint(namespace, name string) *unstructured.Unstructured {
	return object("gateway.networking.k8s.io/v1", "Gateway", namespace, name, map[string]string{"istio.io/waypoint-for": "service", labelGlobal: "true"}, obj{"spec": obj{
		"gatewayClassName": "istio-waypoint",
		"listeners":        []any{obj{"name": "mesh", "port": int64(cluster.PortHBONE), "protocol": "HBONE"}},
	}})
}

// balance is the load balancer of a cluster: both gateways are reached at the
// address of the node, where kube-proxy takes what is for a load balancer.
func (a *api) balance(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, name := range []string{sidecarGateway, ambientGateway} {
		var last error
		err := wait.PollUntilContextCancel(ctx, soon, true, func(ctx context.Context) (bool, error) {
			last = a.balanceOne(ctx, name, address)
			return last == nil, lasting(last)
		})
		if err != nil {
			if last != nil {
				err = last
			}
			return fmt.Errorf("service %s: %w", name, err)
		}
	}
	return nil
}

// balanceOne gives an address to one Service, which istiod may have yet to make.
func (a *api) balanceOne(ctx context.Context, name, address string) error {
	status := obj{"status": corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: address}}}}}
	data, err := json.Marshal(status)
	if err != nil {
		return err
	}
	_, err = a.kube.CoreV1().Services(rootNamespace).Patch(ctx, name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: managedBy}, "status")
	return err
}

// gatewayKinds are the kinds of the Gateway API that istiod needs to make the
// ambient gateway and waypoints: the shape without the validation, which no
// object here depends on.
func gatewayKinds() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, k := range []struct{ kind, plural, scope string }{
		{"GatewayClass", "gatewayclasses", "Cluster"},
		{"Gateway", "gateways", "Namespaced"},
	} {
		open := obj{"type": "object", "x-kubernetes-preserve-unknown-fields": true}
		o := object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", k.plural+".gateway.networking.k8s.io", nil, obj{"spec": obj{
			"group": "gateway.networking.k8s.io",
			"names": obj{"kind": k.kind, "listKind": k.kind + "List", "plural": k.plural, "singular": lower(k.kind)},
			"scope": k.scope,
			"versions": []any{obj{
				"name": "v1", "served": true, "storage": true,
				"schema":       obj{"openAPIV3Schema": obj{"type": "object", "properties": obj{"spec": open, "status": open}}},
				"subresources": obj{"status": obj{}},
			}},
		}})
		o.SetAnnotations(map[string]string{
			"api-approved.kubernetes.io":               "unapproved, the shape of https://github.com/kubernetes-sigs/gateway-api",
			"gateway.networking.k8s.io/bundle-version": "v1.4.0",
			"gateway.networking.k8s.io/channel":        "standard",
		})
		out = append(out, o)
	}
	return out
}
