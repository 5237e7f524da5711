// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// attached is a cluster with two workloads that mints for any account and
// reaches nothing.
type attached struct {
	cluster.Cluster

	dialed []string
}

func (*attached) Name() string { return "east" }

func (*attached) Workloads(context.Context) ([]cluster.Workload, error) {
	return []cluster.Workload{
		{Ref: cluster.Ref{Cluster: "east", Namespace: "shop", Name: "cart"}, ServiceAccount: "cart"},
		{Ref: cluster.Ref{Cluster: "east", Namespace: "shop", Name: "reviews"}, ServiceAccount: "critic"},
	}, nil
}

func (a *attached) Dial(_ context.Context, from cluster.Workload, addr string) (net.Conn, error) {
	a.dialed = append(a.dialed, from.Name+" to "+addr)
	return nil, &cluster.OutOfReachError{Addr: addr, Why: "it is elsewhere", Hint: "go there"}
}

func (*attached) Identity(_ context.Context, namespace, account string) (*cluster.Identity, error) {
	if account == "" {
		return nil, &cluster.DeniedError{What: "create serviceaccounts/token in " + namespace}
	}
	return &cluster.Identity{ID: cluster.SPIFFEID("cluster.local", namespace, account)}, nil
}

func (*attached) TrustBundle(_ context.Context, namespace string) ([]*x509.Certificate, error) {
	if namespace != "shop" {
		return nil, &cluster.DeniedError{What: "get configmaps in " + namespace}
	}
	return []*x509.Certificate{{Raw: []byte("root")}}, nil
}

// TestFrom looks as a workload does: with its SVID and bundle, and through its
// cluster. What is out of reach could not be looked at, and is no fault of the
// endpoint.
func TestFrom(t *testing.T) {
	in := &attached{}
	w, err := workloadOf(t.Context(), in, cluster.Ref{Namespace: "shop", Name: "reviews"})
	if err != nil {
		t.Fatal(err)
	}
	s := &station{cluster: in, workload: w}
	var target wire.Target
	var asked endpoint.Asked
	if err := s.identify(t.Context(), &probeFlags{}, &target, &asked); err != nil {
		t.Fatal(err)
	}
	if want := "spiffe://cluster.local/ns/shop/sa/critic"; target.Identity == nil || target.Identity.ID != want || len(asked.Bundle) != 1 {
		t.Errorf("identity %+v and %d roots, want %s and 1", target.Identity, len(asked.Bundle), want)
	}
	for _, denied := range []cluster.Workload{{Ref: cluster.Ref{Namespace: "shop"}}, {Ref: cluster.Ref{Namespace: "bank"}, ServiceAccount: "teller"}} {
		err := (&station{cluster: in, workload: denied}).identify(t.Context(), &probeFlags{}, &wire.Target{}, &endpoint.Asked{})
		if _, ok := errors.AsType[*cluster.DeniedError](err); !ok {
			t.Errorf("a missing permission for %s is %v", denied, err)
		}
	}
	given := wire.Target{Identity: &cluster.Identity{ID: "given"}}
	if err := s.identify(t.Context(), &probeFlags{cert: "x"}, &given, &asked); err != nil || given.Identity.ID != "given" {
		t.Errorf("the certificate of --cert was replaced by %v (%v)", given.Identity, err)
	}
	got := (&wire.Observer{Dial: s.dial}).Observe(t.Context(), wire.Target{Kind: wire.TLS, Address: "b.example:443"})
	if got.TCP.Outcome != wire.TCPLocal || !strings.HasSuffix(got.TCP.Error, "it is elsewhere; go there") {
		t.Errorf("out of reach is %+v", got.TCP)
	}
	if diff := cmp.Diff([]string{"reviews to b.example:443"}, in.dialed); diff != "" {
		t.Errorf("dialed (-want +got):\n%s", diff)
	}
	_, err = workloadOf(t.Context(), in, cluster.Ref{Namespace: "shop", Name: "review"})
	if usage, ok := errors.AsType[*usageError](err); !ok || !strings.Contains(usage.hint, "shop/reviews") {
		t.Errorf("a workload that there is not: %v", err)
	}
}
