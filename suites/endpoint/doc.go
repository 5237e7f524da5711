// SPDX-License-Identifier: Apache-2.0

// Package endpoint holds the probes of one endpoint, which `meshprobe probe`
// runs against any address: what TCP, TLS, the chain, the identity and, for
// HBONE, the tunnel are like there, in that order.
//
// A [Look] is the subject: where to look and what is asked of it. Package wire
// looks, the probes judge what it saw, and [Met] is both together: it is what
// records hold, what JSON shows as "endpoint" and what text draws.
//
//	looks := []probe.Subject{endpoint.Look{Name: "10.0.3.7:15008", Target: target, Observer: observer}}
//	plan, err := probe.Select(endpoint.For(wire.HBONE, false), probe.Selection{})
//	summary, err := runner.Run(ctx, start, plan, func(context.Context, func(probe.Progress)) (*probe.Env, error) {
//		return probe.EnvOf(slices.Values(looks), nil), nil
//	})
//
// The first probe that fails blocks those after it. Nothing is called trusted
// without a bundle to verify with, and nothing that was closed without an alert
// is called a problem of a certificate.
package endpoint
