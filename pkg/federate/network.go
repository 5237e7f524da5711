// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

const (
	labelNetwork   = "topology.istio.io/network"
	crossGateway   = "cross-network-gateway"
	eastWestLabel  = "istio"
	eastWestValue  = "eastwestgateway"
	classEastWest  = "istio-east-west"
	gatewayAllHost = "*.local"

	labelGatewayName = "gateway.networking.k8s.io/gateway-name" // on what istiod makes for a Gateway
	labelPatience    = 10 * time.Second
)

// labelled is an object that has to name the cluster's network.
type labelled struct {
	kind   kind
	object *unstructured.Unstructured
}

func (l labelled) String() string {
	if ns := l.object.GetNamespace(); ns != "" {
		return fmt.Sprintf("%s/%s %s", ns, l.kind, l.object.GetName())
	}
	return fmt.Sprintf("%s %s", l.kind, l.object.GetName())
}

// networked lists the objects by which istiod knows a cluster's network: the
// control plane's namespace, the Services of the sidecar east-west gateway, and
// the Gateways of the ambient one.
func (m *member) networked(ctx context.Context) ([]labelled, error) {
	ns, err := m.get(ctx, namespaces, "", m.ns)
	if err != nil {
		return nil, err
	}
	if ns == nil {
		return nil, fmt.Errorf("there is no namespace %s", m.ns)
	}
	out := []labelled{{namespaces, ns}}
	svcs, err := m.list(ctx, services, "", "")
	if err != nil {
		return nil, err
	}
	for i := range svcs {
		selector, _, _ := unstructured.NestedStringMap(svcs[i].Object, "spec", "selector") // none
		if selector[eastWestLabel] == eastWestValue {
			out = append(out, labelled{services, &svcs[i]})
		}
	}
	gws, err := m.list(ctx, gatewayAPI, "", "")
	if err != nil {
		return nil, err
	}
	for i := range gws {
		class, _, _ := unstructured.NestedString(gws[i].Object, "spec", "gatewayClassName") // none
		if class == classEastWest {
			out = append(out, labelled{gatewayAPI, &gws[i]})
		}
	}
	return out, nil
}

// crossNetwork is the Gateway that lets other networks in
// (istio samples/multicluster/expose-services.yaml).
func (m *member) crossNetwork() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
		"metadata": map[string]any{"namespace": m.ns, "name": crossGateway, "labels": m.f.labels()},
		"spec": map[string]any{
			"selector": map[string]any{eastWestLabel: eastWestValue},
			"servers": []any{map[string]any{
				"port":  map[string]any{"number": int64(cluster.PortPassthrough), "name": "tls", "protocol": "TLS"},
				"tls":   map[string]any{"mode": "AUTO_PASSTHROUGH"},
				"hosts": []any{gatewayAllHost},
			}},
		},
	}}
}

// entered reports whether other clusters reach this one through a gateway for
// sidecars.
func (m *member) entered(found []labelled) bool {
	other := slices.ContainsFunc(m.f.members, func(o *member) bool { return o.cluster.Network() != m.cluster.Network() })
	return other && slices.ContainsFunc(found, func(l labelled) bool { return l.kind == services })
}

func planNetwork(ctx context.Context, m *member) ([]Change, error) {
	found, err := m.networked(ctx)
	if err != nil {
		return nil, err
	}
	var out []Change
	network := m.cluster.Network()
	for _, l := range found {
		was, ok := l.object.GetLabels()[labelNetwork]
		switch {
		case !ok:
			out = append(out, Change{Op: "+", Object: l.String(), Text: "label " + labelNetwork + "=" + network})
		case was != network:
			out = append(out, Change{Op: "~", Object: l.String(), Text: "label " + labelNetwork + "=" + was + " becomes " + network})
		}
	}
	shared, err := m.globals(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range shared {
		if l.object.GetLabels()[labelGlobal] != "true" {
			out = append(out, Change{Op: "+", Object: l.String(), Text: "label " + labelGlobal + "=true"})
		}
	}
	if !m.entered(found) {
		return out, nil
	}
	have, err := m.get(ctx, istioGateways, m.ns, crossGateway)
	if err != nil {
		return nil, err
	}
	object := m.ns + "/gateway " + crossGateway
	switch {
	case have == nil:
		out = append(out, Change{Op: "+", Object: object, Text: "15443 AUTO_PASSTHROUGH " + gatewayAllHost})
	case digest(have) != digest(m.crossNetwork()):
		out = append(out, Change{Op: "~", Object: object, Text: "15443 AUTO_PASSTHROUGH " + gatewayAllHost})
	}
	return out, nil
}

func applyNetwork(ctx context.Context, m *member) error {
	found, err := m.networked(ctx)
	if err != nil {
		return err
	}
	for _, l := range found {
		if err := m.touch(ctx, l.kind, l.object, label(labelNetwork, m.cluster.Network())); err != nil {
			return fmt.Errorf("label %s: %w", l, err)
		}
		if l.kind == gatewayAPI {
			if err := m.awaitGatewayService(ctx, l.object); err != nil {
				return fmt.Errorf("label %s: %w", l, err)
			}
		}
	}
	shared, err := m.globals(ctx)
	if err != nil {
		return err
	}
	for _, l := range shared {
		if err := m.touch(ctx, l.kind, l.object, label(labelGlobal, "true")); err != nil {
			return fmt.Errorf("label %s: %w", l, err)
		}
	}
	if !m.entered(found) {
		return nil
	}
	want := m.crossNetwork()
	have, err := m.get(ctx, istioGateways, m.ns, crossGateway)
	if err != nil || have != nil && digest(have) == digest(want) {
		return err
	}
	return m.put(ctx, istioGateways, want)
}

// awaitGatewayService waits until istiod has handed the label of a Gateway to
// the Service that it made for it, by which other clusters find the way in. An
// istiod that does not do so is not waited for: the probes say what is missing.
func (m *member) awaitGatewayService(ctx context.Context, gateway *unstructured.Unstructured) error {
	made := metav1.ListOptions{LabelSelector: labelGatewayName + "=" + gateway.GetName()}
	patience := min(m.f.opts.StepTimeout, labelPatience)
	err := await(ctx, m.in(services, gateway.GetNamespace()), made, patience, func(seen objects) ([]string, error) {
		var missing []string
		for k, o := range seen {
			if o.GetLabels()[labelNetwork] != m.cluster.Network() {
				missing = append(missing, k.String()+" has no label "+labelNetwork)
			}
		}
		return missing, nil
	})
	if _, late := errors.AsType[*TimeoutError](err); late {
		return nil
	}
	return err
}

// undoNetwork puts labels and gateway back.
func undoNetwork(ctx context.Context, m *member) error {
	err := m.restore(ctx, istioGateways, m.ns, crossGateway)
	for _, k := range []kind{gatewayAPI, services, namespaces} {
		items, listErr := m.list(ctx, k, "", "")
		err = errors.Join(err, listErr)
		for _, o := range items {
			if len(former(&o)) > 0 {
				err = errors.Join(err, m.untouch(ctx, k, o.GetNamespace(), o.GetName()))
			}
		}
	}
	return err
}
