// SPDX-License-Identifier: Apache-2.0

// Package fault breaks an embedded mesh that works, each time in one named way:
// through the API of its clusters, with certificates of its own making, and
// through [embedded.Lab] where no object is to blame. Nothing that looks at the
// mesh afterwards can tell that it was done on purpose.
//
// Most names are slugs of the catalogue of cross-cluster mTLS failures, and the
// cause codes that meshprobe is to find.
package fault

import (
	"context"
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Fault is one way to break a mesh.
type Fault struct {
	Name  string // stable kebab-case word
	Title string // what is wrong afterwards

	inject func(context.Context, *victim) error
}

// All lists every fault, in the order in which a call meets them.
func All() []Fault {
	return []Fault{
		{"root-mismatch-same-dn", "the cluster has another root of the same name", rootMismatch(sameName)},
		{"root-mismatch-distinct-dn", "the cluster has another root of another name", rootMismatch(otherName)},
		{"root-is-intermediate", "the cluster hands out its own intermediate as the root", rootIsIntermediate},
		{"cacerts-after-istiod", "cacerts was made after istiod had started", caCertsAfterIstiod},
		{"intermediate-not-sent", "cert-chain.pem of cacerts lacks the intermediate", chainOf(withoutIntermediate)},
		{"wrong-intermediate-shipped", "cert-chain.pem of cacerts holds another cluster's intermediate", chainOf(foreignIntermediate)},
		{"intermediate-expired", "the cluster's intermediate expired an hour ago", intermediateExpired},
		{"root-configmap-stale", "one namespace was left with the root that istiod had before", rootConfigMapStale},
		{"workload-stale-leaf", "the root was changed everywhere, but one namespace was not restarted", workloadStaleLeaf},
		{"leaf-expired-no-renewal", "a workload's certificate expired and its agent does not renew it", leafExpired},
		{"leaf-outlives-intermediate", "a workload's certificate ends after the intermediate that signed it", leafOutlives},
		{"spiffe-san-shape", "a workload's certificate has two SPIFFE IDs", sanShape},
		{"inner-san-wrong-workload", "a ztunnel presents another workload's certificate", wrongWorkload},
		{"td-mismatch-sidecar-no-alias", "the cluster has another trust domain, and no alias admits it", otherTrustDomain},
		{"td-mismatch-ambient", "the cluster has another trust domain; aliases admit it to sidecars only", otherTrustDomainWithAliases},
		{"remote-secret-missing-or-broken", "the other clusters have no remote secret for the cluster", remoteSecretMissing},
		{"network-label-missing", "istio-system of the cluster has no network label", networkLabelMissing},
		{"ew-unreachable", "no pod runs behind the cluster's east-west gateways", gatewayUnreachable},
		{"ew-sni-no-match", "the cluster's 15443 gateway exposes other hosts than its services'", sniNoMatch},
		{"tls-terminated-in-middle", "the load balancer in front of the cluster's 15443 gateway ends TLS", tlsTerminated},
		{"mtls-disabled-remote", "mutual TLS is disabled in a namespace of the cluster", mtlsDisabled},
		{"client-cert-not-required", "an EnvoyFilter turns client certificates off at a workload", clientCertNotRequired},
		{"permissive-when-strict", "a sidecar still takes plaintext although its policy is STRICT", permissiveWhenStrict},
		{"strict-vs-plaintext", "a sidecar still refuses plaintext although its policy became PERMISSIVE", strictVsPlaintext},
		{"hbone-authority-any", "the cluster's ztunnel opens tunnels to any address", authorityAny},
	}
}

// UsageError is a fault that there is none of, or a cluster.
type UsageError struct {
	Msg  string
	Hint string // what to write instead
}

// Error is the message.
func (e *UsageError) Error() string { return e.Msg }

// Order is a fault and the cluster that it is to hit.
type Order struct {
	Fault
	Cluster string // empty: the last one of the topology
}

// Parse reads NAME[=CLUSTER]. The error is a *UsageError.
func Parse(text string) (Order, error) {
	name, hit, given := strings.Cut(text, "=")
	var names []string
	for _, f := range All() {
		if f.Name == name {
			if given && hit == "" {
				return Order{}, &UsageError{fmt.Sprintf("%q names no cluster", text), "write " + name + "=CLUSTER, or leave =CLUSTER out for the last one"}
			}
			return Order{Fault: f, Cluster: hit}, nil
		}
		names = append(names, f.Name)
	}
	return Order{}, &UsageError{fmt.Sprintf("there is no fault %q", name), cluster.DidYouMean(name, names)}
}

// Check says whether a topology has the cluster. The error is a *UsageError.
func (o Order) Check(t cluster.Topology) error {
	if o.Cluster == "" {
		return nil
	}
	var names []string
	for _, c := range t.Clusters {
		names = append(names, c.Name)
	}
	if _, ok := t.Spec(o.Cluster); !ok {
		return &UsageError{fmt.Sprintf("there is no cluster %q", o.Cluster), cluster.DidYouMean(o.Cluster, names)}
	}
	return nil
}

// Apply breaks a set of embedded clusters that are federated. It returns when
// everything that it restarts runs again. After an error the set is neither
// whole nor broken in the way that was meant.
func (o Order) Apply(ctx context.Context, set *cluster.Set) error {
	if err := o.Check(set.Topology); err != nil {
		return err
	}
	name := o.Cluster
	if name == "" {
		name = set.Clusters[len(set.Clusters)-1].Name()
	}
	v, err := newVictim(set, name)
	if err == nil {
		err = o.inject(ctx, v)
	}
	if err != nil {
		return fmt.Errorf("fault: %s in %s: %w", o.Name, name, err)
	}
	return nil
}
