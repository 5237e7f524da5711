// SPDX-License-Identifier: Apache-2.0

// Package fault breaks a mesh that works, each time in one named way: through the
// API of its clusters, with certificates of its own making, and through
// [embedded.Lab] where no object is to blame, which embedded clusters alone have.
// Nothing that looks at the mesh afterwards can tell that it was done on purpose.
//
// Most names are slugs of the catalogue of cross-cluster mTLS failures, and the
// cause codes that meshprobe is to find.
package fault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Fault is one way to break a mesh.
type Fault struct {
	Name  string // stable kebab-case word
	Title string // what is wrong afterwards
	Cause string // code of the cause that is to be found, where it is not Name

	inject func(context.Context, *victim) error
}

// All lists every fault, in the order in which a call meets them.
func All() []Fault {
	return []Fault{
		{Name: "root-mismatch-same-dn", Title: "the cluster has another root of the same name", inject: rootMismatch(sameName)},
		{Name: "root-mismatch-distinct-dn", Title: "the cluster has another root of another name", inject: rootMismatch(otherName)},
		{Name: "root-is-intermediate", Title: "the cluster hands out its own intermediate as the root", inject: rootIsIntermediate},
		{Name: "cacerts-after-istiod", Title: "cacerts was made after istiod had started", inject: caCertsAfterIstiod},
		{Name: "istiod-unreachable", Title: "no istiod runs in the cluster", inject: istiodDown},
		{Name: "intermediate-not-sent", Title: "cert-chain.pem of cacerts lacks the intermediate", inject: chainOf(withoutIntermediate)},
		{Name: "wrong-intermediate-shipped", Title: "cert-chain.pem of cacerts holds another cluster's intermediate", inject: chainOf(foreignIntermediate)},
		{Name: "intermediate-expired", Title: "the cluster's intermediate expired an hour ago", inject: intermediateExpired},
		{Name: "root-configmap-stale", Title: "one namespace was left with the root that istiod had before", inject: rootConfigMapStale},
		{Name: "workload-stale-leaf", Title: "the root was changed everywhere, but one namespace was not restarted", inject: workloadStaleLeaf},
		{Name: "leaf-expired-no-renewal", Title: "a workload's certificate expired and its agent does not renew it", inject: leafExpired},
		{Name: "leaf-outlives-intermediate", Title: "a workload's certificate ends after the intermediate that signed it", inject: leafOutlives},
		{Name: "spiffe-san-shape", Title: "a workload's certificate has two SPIFFE IDs", inject: sanShape},
		{Name: "inner-san-wrong-workload", Title: "a ztunnel presents another workload's certificate", inject: wrongWorkload},
		{Name: "td-mismatch-sidecar-no-alias", Title: "the cluster has another trust domain, and no alias admits it", inject: otherTrustDomain},
		{Name: "td-mismatch-ambient", Title: "the cluster has another trust domain; aliases admit it to sidecars only", inject: otherTrustDomainWithAliases},
		{Name: "remote-secret-missing-or-broken", Title: "the other clusters have no remote secret for the cluster", inject: remoteSecretMissing},
		{Name: "remote-secret-unlabelled", Title: "the other clusters' remote secret for the cluster lacks its label", Cause: "remote-secret-missing-or-broken", inject: remoteSecretUnlabelled},
		{Name: "remote-secret-bad-ca", Title: "the other clusters' remote secret for the cluster trusts another API server", Cause: "remote-secret-missing-or-broken", inject: remoteSecretBadCA},
		{Name: "remote-secret-expired-token", Title: "the token in the other clusters' remote secret for the cluster expired", Cause: "remote-secret-missing-or-broken", inject: remoteSecretExpiredToken},
		{Name: "network-label-missing", Title: "istio-system of the cluster has no network label", inject: networkLabelMissing},
		{Name: "ew-unreachable", Title: "no pod runs behind the cluster's east-west gateways", inject: gatewayUnreachable},
		{Name: "ew-sni-no-match", Title: "the cluster's 15443 gateway exposes other hosts than its services'", inject: sniNoMatch},
		{Name: "tls-terminated-in-middle", Title: "the load balancer in front of the cluster's 15443 gateway ends TLS", inject: tlsTerminated},
		{Name: "mtls-disabled-remote", Title: "mutual TLS is disabled in a namespace of the cluster", inject: mtlsDisabled},
		{Name: "client-cert-not-required", Title: "an EnvoyFilter turns client certificates off at a workload", inject: clientCertNotRequired},
		{Name: "permissive-when-strict", Title: "a sidecar still takes plaintext although its policy is STRICT", inject: permissiveWhenStrict},
		{Name: "strict-vs-plaintext", Title: "a sidecar still refuses plaintext although its policy became PERMISSIVE", inject: strictVsPlaintext},
		{Name: "hbone-authority-any", Title: "the cluster's ztunnel opens tunnels to any address", inject: authorityAny},
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

// Code is the code of the cause that is to be found.
func (f Fault) Code() string { return cmp.Or(f.Cause, f.Name) }

// errNoLab says that a fault needs what only embedded clusters have.
var errNoLab = errors.New("only clusters of the embedded provider can be broken in this way")

// Apply breaks a set of clusters that are federated, embedded ones or others that
// may be written to. It returns when everything that it restarts runs again.
// After an error the set is neither
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
