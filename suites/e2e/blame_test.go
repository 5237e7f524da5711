// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// failures is what a run found wrong, without what that blocks.
func failures(t *testing.T, set *cluster.Set) []string {
	t.Helper()
	var failed []string
	for _, f := range run(t, set, nil) {
		switch f.Status {
		case probe.Fail, probe.Pending, probe.Broken:
			failed = append(failed, strings.TrimSpace(f.Status.String()+" "+f.ID+" "+f.Subject+" "+f.Cause.Code+f.Reason))
		case probe.Blocked:
			if f.BlockedBy == "" {
				t.Errorf("%s %s is blocked by nothing", f.ID, f.Subject)
			}
		default: // nothing is wrong
		}
	}
	slices.Sort(failed)
	return failed
}

// TestUnfederated looks at clusters that nobody federated: each fails once for
// its CA, and once for every way in which it does not know the others.
// Whatever rests on that is blocked.
func TestUnfederated(t *testing.T) {
	want := []string{
		"fail ca/not-self-signed east ca-is-self-signed",
		"fail ca/not-self-signed west ca-is-self-signed",
		"fail discovery/network-label east network-label-missing",
		"fail discovery/network-label west network-label-missing",
		"fail discovery/remote-secret east → west remote-secret-missing-or-broken",
		"fail discovery/remote-secret west → east remote-secret-missing-or-broken",
	}
	if diff := cmp.Diff(want, failures(t, open(t))); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

// TestOneFaultOneFailure breaks one thing in one cluster of a federated mesh.
func TestOneFaultOneFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, k kubernetes.Interface)
		want  string
	}{
		"nothing":            {func(*testing.T, kubernetes.Interface) {}, ""},
		"cacerts-deleted":    {deleteCACerts, "fail ca/not-self-signed east ca-is-self-signed"},
		"cert-chain-empty":   {cacerts(func(d map[string][]byte) { delete(d, "cert-chain.pem") }), "fail ca/cacerts-complete east cacerts-incomplete"},
		"root-is-signer":     {cacerts(func(d map[string][]byte) { d["root-cert.pem"] = d["ca-cert.pem"] }), "fail ca/signed-by-root east root-is-intermediate"},
		"chain-is-root-only": {cacerts(func(d map[string][]byte) { d["cert-chain.pem"] = d["root-cert.pem"] }), "fail ca/chain-order east intermediate-not-sent"},
		"other-trust-domain": {otherTrustDomain, "fail trust/trust-domain east td-mismatch-sidecar-no-alias"},
	} {
		t.Run(name, func(t *testing.T) {
			set := open(t)
			federation(t, set)
			k, err := seen.Kube(set.Clusters[0])
			if err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, k)
			if got := strings.Join(failures(t, set), "\n"); got != tc.want {
				t.Errorf("failures:\n%s\nwant:\n%s", got, tc.want)
			}
		})
	}
}

// cacerts edits the Secret and leaves istiod alone.
func cacerts(edit func(map[string][]byte)) func(*testing.T, kubernetes.Interface) {
	return func(t *testing.T, k kubernetes.Interface) {
		t.Helper()
		secrets := k.CoreV1().Secrets("istio-system")
		s, err := secrets.Get(t.Context(), seen.PluginSecret, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		edit(s.Data)
		if _, err := secrets.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func deleteCACerts(t *testing.T, k kubernetes.Interface) {
	t.Helper()
	if err := k.CoreV1().Secrets("istio-system").Delete(t.Context(), seen.PluginSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func otherTrustDomain(t *testing.T, k kubernetes.Interface) {
	t.Helper()
	maps := k.CoreV1().ConfigMaps("istio-system")
	cm, err := maps.Get(t.Context(), "istio", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cm.Data["mesh"] = "trustDomain: other.example\n"
	if _, err := maps.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
