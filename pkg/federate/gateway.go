// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Names of the gateways that are made, as Istio's samples have them.
const (
	sidecarGateway = "istio-eastwestgateway"
	ambientGateway = "eastwest-ambient"
	labelGlobal    = "istio.io/global"
)

// ErrNoAddress says that an east-west gateway is there, but nobody gave it an
// address at which other networks reach it.
var ErrNoAddress = errors.New("has no external address")

// wantedGateway is an object of an east-west gateway that is not there.
type wantedGateway struct {
	kind   kind
	object *unstructured.Unstructured
}

// missingGateways are the objects to make so that the other networks find a
// way in: the 15443 gateway where anybody has a sidecar, the HBONE gateway
// where istiod serves its class and anybody speaks HBONE. A gateway that exists
// under whatever name is left as it is.
func (m *member) missingGateways(ctx context.Context) ([]wantedGateway, error) {
	if !slices.ContainsFunc(m.f.members, func(o *member) bool { return o.cluster.Network() != m.cluster.Network() }) {
		return nil, nil
	}
	found, err := m.networked(ctx)
	if err != nil {
		return nil, err
	}
	has := func(k kind) bool { return slices.ContainsFunc(found, func(l labelled) bool { return l.kind == k }) }
	sidecars, hbone, err := m.planes(ctx)
	if err != nil {
		return nil, err
	}
	var wanted []wantedGateway
	if sidecars && !has(services) {
		wanted = append(wanted, m.sidecarGateway()...)
	}
	if hbone && !has(gatewayAPI) {
		class, err := m.get(ctx, gatewayClasses, "", classEastWest)
		if err != nil {
			return nil, err
		}
		if class != nil {
			wanted = append(wanted, m.ambientGateway())
		}
	}
	var out []wantedGateway
	for _, w := range wanted {
		have, err := m.get(ctx, w.kind, m.ns, w.object.GetName())
		if err != nil {
			return nil, err
		}
		if have == nil {
			out = append(out, w)
		}
	}
	return out, nil
}

// planes says whether anything in the cluster has a sidecar, and whether
// anything is called over HBONE.
func (m *member) planes(ctx context.Context) (sidecars, hbone bool, err error) {
	found, err := m.rollables(ctx, isMeshed)
	for _, r := range found {
		ztunnel := r.labels["app"] == "ztunnel"
		sidecars = sidecars || !ztunnel
		hbone = hbone || ztunnel || r.labels["networking.istio.io/tunnel"] == "http"
	}
	return sidecars, hbone, err
}

func (m *member) made(apiVersion, kind, name string, labels, spec map[string]any) *unstructured.Unstructured {
	o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"namespace": m.ns, "name": name, "labels": labels}}
	if spec != nil {
		o["spec"] = spec
	}
	return &unstructured.Unstructured{Object: o}
}

// sidecarGateway is the gateway of istio's samples/multicluster as plain
// manifests: a proxy that istiod's injection template "gateway" completes.
func (m *member) sidecarGateway() []wantedGateway {
	network := m.cluster.Network()
	selector := map[string]any{eastWestLabel: eastWestValue}
	labels := m.f.labels("app", sidecarGateway, eastWestLabel, eastWestValue)
	pod := m.f.labels("app", sidecarGateway, eastWestLabel, eastWestValue, "sidecar.istio.io/inject", "true", labelNetwork, network)
	annotations := map[string]any{"inject.istio.io/templates": "gateway"}
	if m.ca.ok() {
		annotations[annotationCA] = m.ca.mark()
	}
	if m.revision != "" {
		pod["istio.io/rev"] = m.revision
	}
	return []wantedGateway{
		{serviceAccounts, m.made("v1", "ServiceAccount", sidecarGateway, m.f.labels(), nil)},
		{services, m.made("v1", "Service", sidecarGateway, m.f.labels("app", sidecarGateway, eastWestLabel, eastWestValue, labelNetwork, network), map[string]any{
			"type": "LoadBalancer", "selector": selector,
			"ports": []any{
				map[string]any{"name": "status-port", "port": int64(15021), "targetPort": int64(15021)},
				map[string]any{"name": "tls", "port": int64(cluster.PortPassthrough), "targetPort": int64(cluster.PortPassthrough)},
			},
		})},
		{deployments, m.made("apps/v1", "Deployment", sidecarGateway, labels, map[string]any{
			"selector": map[string]any{"matchLabels": selector},
			"template": map[string]any{
				"metadata": map[string]any{"labels": pod, "annotations": annotations},
				"spec": map[string]any{
					"serviceAccountName": sidecarGateway,
					"containers": []any{map[string]any{
						"name": "istio-proxy", "image": "auto", "imagePullPolicy": "IfNotPresent",
						"env": []any{map[string]any{"name": "ISTIO_META_REQUESTED_NETWORK_VIEW", "value": network}},
					}},
				},
			},
		})},
	}
}

// ambientGateway is the Gateway of which istiod makes the HBONE gateway.
func (m *member) ambientGateway() wantedGateway {
	return wantedGateway{gatewayAPI, m.made("gateway.networking.k8s.io/v1", "Gateway", ambientGateway, m.f.labels(labelNetwork, m.cluster.Network()), map[string]any{
		"gatewayClassName": classEastWest,
		"listeners": []any{map[string]any{
			"name": "mesh", "port": int64(cluster.PortHBONE), "protocol": "HBONE",
			"tls": map[string]any{"mode": "Terminate", "options": map[string]any{"gateway.istio.io/tls-terminate-mode": "ISTIO_MUTUAL"}},
		}},
	})}
}

func planGateways(ctx context.Context, m *member) ([]Change, error) {
	missing, err := m.missingGateways(ctx)
	if err != nil {
		return nil, err
	}
	var out []Change
	for _, w := range missing {
		text := "into the network " + m.cluster.Network()
		if a := m.f.opts.GatewayAddresses[m.name]; a != "" && w.kind != deployments && w.kind != serviceAccounts {
			text += " at " + a
		}
		out = append(out, Change{Op: "+", Object: fmt.Sprintf("%s/%s %s", m.ns, w.kind, w.object.GetName()), Text: text})
	}
	return out, nil
}

// applyGateways makes what is missing and waits until it runs and has an
// address.
func applyGateways(ctx context.Context, m *member) error {
	missing, err := m.missingGateways(ctx)
	if err != nil {
		return err
	}
	for _, w := range missing {
		err := retry(ctx, func() error {
			err := m.createNew(ctx, w.kind, w.object, previousAbsent)
			if apierrors.IsAlreadyExists(err) {
				return nil
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("make %s %s: %w", w.kind, w.object.GetName(), err)
		}
	}
	for _, name := range []string{sidecarGateway, ambientGateway} {
		if err := m.awaitGateway(ctx, name); err != nil {
			return fmt.Errorf("gateway %s: %w", name, err)
		}
	}
	return nil
}

// awaitGateway waits for a gateway that meshprobe made, now or before it was
// interrupted: for its pods, and for its address.
func (m *member) awaitGateway(ctx context.Context, name string) error {
	k := services
	if name == ambientGateway {
		k = gatewayAPI
	}
	o, err := m.get(ctx, k, m.ns, name)
	if err != nil || o == nil || note(o, previousOn(o)) != previousAbsent {
		return err
	}
	for _, k := range []kind{services, deployments} { // of a Gateway both are istiod's to make
		if err := m.awaitObject(ctx, k, name); err != nil {
			return err
		}
	}
	d, err := m.get(ctx, deployments, m.ns, name)
	if err != nil || d == nil {
		return err
	}
	if err := m.awaitRollouts(ctx, []rollable{{kind: deployments, object: d}}); err != nil {
		return err
	}
	if err := m.markStarted(ctx, d); err != nil {
		return err
	}
	return m.awaitAddress(ctx, name)
}

// markStarted notes on a Deployment that istiod made just now that it was born
// with the present CA, so that nobody restarts it.
func (m *member) markStarted(ctx context.Context, d *unstructured.Unstructured) error {
	at, _, _ := unstructured.NestedString(d.Object, templateAnnotation(annotationCA)...) // "" where there is none
	if !m.ca.ok() || at != "" {
		return nil
	}
	return m.touch(ctx, deployments, d, edit{Path: []string{"metadata", "annotations", annotationCA}, Value: new(m.ca.mark())})
}

func (m *member) awaitObject(ctx context.Context, k kind, name string) error {
	return await(ctx, m.in(k, m.ns), byName(name), m.f.opts.StepTimeout, func(seen objects) ([]string, error) {
		if seen[objectKey{m.ns, name}] == nil {
			return []string{fmt.Sprintf("there is no %s %s yet", k, name)}, nil
		}
		return nil, nil
	})
}

// awaitAddress waits for the load balancer, or says in its place where the
// gateway is reached, where Options.GatewayAddresses knows.
func (m *member) awaitAddress(ctx context.Context, name string) error {
	s, err := m.get(ctx, services, m.ns, name)
	if err != nil || s == nil || len(external(s)) > 0 {
		return err
	}
	if at := m.f.opts.GatewayAddresses[m.name]; at != "" {
		status, err := json.Marshal(map[string]any{"status": map[string]any{"loadBalancer": map[string]any{"ingress": []any{ingress(at)}}}})
		if err != nil {
			return err
		}
		return retry(ctx, func() error {
			_, err := m.in(services, m.ns).Patch(ctx, name, types.MergePatchType, status, metav1.PatchOptions{}, "status")
			return err
		})
	}
	err = await(ctx, m.in(services, m.ns), byName(name), m.f.opts.StepTimeout, func(seen objects) ([]string, error) {
		if o := seen[objectKey{m.ns, name}]; o == nil || len(external(o)) == 0 {
			return []string{"no load balancer gave service " + name + " an address"}, nil
		}
		return nil, nil
	})
	if _, late := errors.AsType[*TimeoutError](err); late {
		return fmt.Errorf("service %s/%s %w: %w", m.ns, name, ErrNoAddress, err)
	}
	return err
}

func ingress(at string) map[string]any {
	if strings.Trim(at, "0123456789.") == "" || strings.Contains(at, ":") {
		return map[string]any{"ip": at}
	}
	return map[string]any{"hostname": at}
}

// external are the addresses at which a Service is reached from outside.
func external(s *unstructured.Unstructured) []string {
	out, _, _ := unstructured.NestedStringSlice(s.Object, "spec", "externalIPs")             // none
	entries, _, _ := unstructured.NestedSlice(s.Object, "status", "loadBalancer", "ingress") // none
	for _, i := range entries {
		at, _ := i.(map[string]any)
		for _, field := range []string{"ip", "hostname"} {
			if a, ok := at[field].(string); ok && a != "" {
				out = append(out, a)
			}
		}
	}
	return out
}

// undoGateways removes the gateways that meshprobe made.
func undoGateways(ctx context.Context, m *member) error {
	var errs []error
	for _, w := range append(m.sidecarGateway(), m.ambientGateway()) {
		errs = append(errs, m.restore(ctx, w.kind, m.ns, w.object.GetName()))
	}
	return errors.Join(errs...)
}

// globals are the services that ambient calls of the topology name, in this
// cluster: istiod shares a service between clusters over HBONE only where it
// has global scope in all of them.
func (m *member) globals(ctx context.Context) ([]labelled, error) {
	seen := map[objectKey]bool{}
	var out []labelled
	for e := range m.f.set.Edges() {
		key := objectKey{e.To.Namespace, e.To.Name}
		if e.DataPlane != cluster.Ambient || e.From.Cluster == e.To.Cluster || seen[key] {
			continue
		}
		seen[key] = true
		s, err := m.get(ctx, services, key.namespace, key.name)
		if err != nil {
			return nil, err
		}
		if s != nil {
			out = append(out, labelled{services, s})
		}
	}
	return out, nil
}
