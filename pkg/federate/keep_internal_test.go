// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What istiod copies from a Gateway to its Deployment must not replace what is
// kept of the Deployment.
func TestGatewayKeepsItsPastElsewhere(t *testing.T) {
	t.Parallel()
	object := func(apiVersion string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "metadata": map[string]any{"name": "eastwest-ambient"}}}
	}
	gateway, deployment := object("gateway.networking.k8s.io/v1"), object("apps/v1")
	seal(gateway, previousAbsent)
	seal(deployment, "[]")
	deployment.SetAnnotations(merged(deployment.GetAnnotations(), gateway.GetAnnotations()))
	if got := note(deployment, previousOn(deployment)); got != "[]" {
		t.Errorf("the Deployment's past became %q", got)
	}
	if got := note(gateway, previousOn(gateway)); got != previousAbsent || !untouched(gateway) {
		t.Errorf("the Gateway's past is %q", got)
	}
}
