// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/federate"
)

// A gateway that is there is left alone; one that is not is planned, with the
// address that it will be given.
func TestPlanMakesTheGatewayThatIsMissing(t *testing.T) {
	t.Parallel()
	set, o := mesh(t), options(t)
	o.GatewayAddresses = map[string]string{"east": "192.0.2.1", "west": "192.0.2.2"}
	planned := func() []string {
		p, err := federate.NewPlan(t.Context(), set, o)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(p.Steps, func(s federate.Step) bool { return s.Name == federate.StepGateway })
		var out []string
		for _, c := range p.Steps[i].Changes {
			out = append(out, c.String())
		}
		return out
	}
	if got := planned(); len(got) != 0 {
		t.Errorf("a gateway that is there is made anew: %v", got)
	}
	services := kubeOf(t, set, "east").Kubernetes().CoreV1().Services(metav1.NamespaceAll)
	list, err := services.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Items {
		if s.Spec.Selector["istio"] == "eastwestgateway" {
			own := kubeOf(t, set, "east").Kubernetes()
			if err := own.CoreV1().Services(s.Namespace).Delete(t.Context(), s.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := own.AppsV1().Deployments(s.Namespace).Delete(t.Context(), s.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := slices.DeleteFunc(planned(), func(s string) bool { return strings.Contains(s, "serviceaccount") })
	want := []string{
		"+ east istio-system/service istio-eastwestgateway into the network east at 192.0.2.1",
		"+ east istio-system/deployment istio-eastwestgateway into the network east",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("planned (-want +got):\n%s", diff)
	}
}

// Where an API is reached at an address of this machine, the others are told
// what it advertises; what does not say is not guessed.
func TestAdvertisedIsNotThisMachine(t *testing.T) {
	t.Parallel()
	set := mesh(t)
	at, err := federate.Advertised(t.Context(), set.Clusters[0])
	if err != nil || strings.Contains(at, "127.0.0.1") {
		t.Errorf("%q, %v", at, err)
	}
}
