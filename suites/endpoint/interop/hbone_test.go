// SPDX-License-Identifier: Apache-2.0

package interop_test

import (
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// through is an HBONE target.
func through(service string) wire.Target {
	return wire.Target{Kind: wire.HBONE, To: service + ".shop.svc.cluster.local:9080", Send: []byte("hello"), Quiet: 200 * time.Millisecond}
}

func TestEnvoyHBONE(t *testing.T) {
	t.Parallel()
	p := newPKI()
	at := p.envoyOf(t, "hbone.yaml", "good", map[string]string{"APPLICATION": port(t, echo(t))})["connect_terminate"]
	status := func(code int, cause string) want {
		return want{last: "accepted", status: code, cause: cause, verdict: probe.Nonconformant}
	}
	expect := func(what, value string) endpoint.Asked {
		return endpoint.Asked{Expect: &endpoint.Wanted{What: what, Value: value}}
	}
	p.meets(t, at, map[string]row{
		"good":               {client: "good", target: through("ratings"), asked: endpoint.Asked{Identity: ratings}, want: want{last: "accepted", status: 200, verdict: probe.Conformant}},
		"none":               {client: "good", show: wire.None, target: through("ratings"), want: asExpected("certificate_required")},
		"foreign":            {client: "good", show: wire.Foreign, target: through("ratings"), want: asExpected("unknown_ca")},
		"expired client":     {client: "leaf-expired", target: through("ratings"), want: refused("certificate_expired", "leaf-expired-no-renewal")},
		"other trust domain": {client: "leaf-other-trust-domain", target: through("ratings"), want: refused("certificate_unknown", "td-mismatch-sidecar-no-alias | td-mismatch-ambient")},
		"unknown":            {client: "good", target: through("unknown"), want: status(404, "ambient-multinetwork-flag")},
		"denied":             {client: "good", target: through("denied"), want: status(403, "authz-td-principal")},
		"dead":               {client: "good", target: through("dead"), want: status(503, "hbone-upstream-dead")},
		"denied as expected": {client: "good", target: through("denied"), asked: expect(endpoint.ExpectStatus, "403"), want: want{status: 403, verdict: probe.Conformant}},
		"sidecar":            {client: "good", target: wire.Target{Kind: wire.Sidecar}, want: want{last: "accepted"}},
	})
}

func TestEnvoyDoubleHBONE(t *testing.T) {
	t.Parallel()
	p := newPKI()
	inner := p.envoyOf(t, "hbone.yaml", "good", map[string]string{"APPLICATION": port(t, echo(t))})["connect_terminate"]
	at := p.envoyOf(t, "gateway-hbone.yaml", "leaf-waypoint", map[string]string{"WORKLOAD": port(t, inner)})["connect_terminate"]
	double := func(outer, inner string) wire.Target {
		target := through(outer)
		target.Kind, target.InnerTo = wire.DoubleHBONE, through(inner).To
		return target
	}
	p.meets(t, at, map[string]row{
		"good":              {client: "good", target: double("ratings", "ratings"), asked: endpoint.Asked{Identity: ratings, OuterIdentity: waypoint}, want: want{last: "accepted", status: 200, verdict: probe.Conformant}},
		"foreign":           {client: "good", show: wire.Foreign, target: double("ratings", "ratings"), want: asExpected("unknown_ca")},
		"outer unknown":     {client: "good", target: double("unknown", "ratings"), want: want{last: "accepted", status: 404, cause: "ambient-multinetwork-flag", verdict: probe.Nonconformant}},
		"outer no endpoint": {client: "good", target: double("gone", "ratings"), want: want{last: "accepted", status: 503, cause: "ambient-multinetwork-flag", verdict: probe.Nonconformant}},
		"inner denied":      {client: "good", target: double("ratings", "denied"), want: want{last: "accepted", status: 403, cause: "authz-td-principal", verdict: probe.Nonconformant}},
		"inner somebody":    {client: "good", target: double("ratings", "ratings"), asked: endpoint.Asked{Identity: reviews}, want: want{last: "accepted", cause: "inner-san-wrong-workload", verdict: probe.Nonconformant}},
		"outer somebody":    {client: "good", target: double("ratings", "ratings"), asked: endpoint.Asked{Identity: ratings, OuterIdentity: reviews}, want: want{cause: "ew-identity-mismatch", verdict: probe.Nonconformant}},
	})
}
