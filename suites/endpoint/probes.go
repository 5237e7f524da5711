// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// Probes lists the probes of the suite in report order, which is the order in
// which an endpoint answers.
func Probes() []probe.Probe {
	return []probe.Probe{
		TCP, Protocol, TLS, ClientCertificate, Accepted, Chain, Trust, Identity,
		Settings, Connect,
		InnerTLS, InnerClientCertificate, InnerAccepted, InnerChain, InnerTrust, InnerIdentity,
		InnerSettings, InnerConnect,
		Tunnel, Expectation,
	}
}

// For lists the probes that mean something for a kind of endpoint; expects says
// whether something is expected of it.
func For(kind wire.Kind, expects bool) []probe.Probe {
	var some []probe.Probe
	for _, p := range Probes() {
		switch p.ID {
		case Expectation.ID:
			if !expects {
				continue
			}
		case Settings.ID, Connect.ID, Tunnel.ID:
			if kind != wire.HBONE && kind != wire.DoubleHBONE {
				continue
			}
		case InnerTLS.ID, InnerClientCertificate.ID, InnerAccepted.ID, InnerChain.ID, InnerTrust.ID, InnerIdentity.ID,
			InnerSettings.ID, InnerConnect.ID:
			if kind != wire.DoubleHBONE {
				continue
			}
		}
		some = append(some, p)
	}
	return some
}

// judges are what the probes of a kind say, in order; a chain's form is no
// reason to fail.
func judges(kind wire.Kind) []func(Met) []probe.Finding {
	all := []func(Met) []probe.Finding{
		judgeTCP, judgeProtocol, outer(judgeTLS), outer(judgeClientCertificate), outer(judgeAccepted), outer(judgeTrust), outer(judgeIdentity),
	}
	if kind == wire.HBONE || kind == wire.DoubleHBONE {
		all = append(all, outer(judgeConnect))
	}
	if kind == wire.DoubleHBONE {
		all = append(all, inner(judgeTLS), inner(judgeClientCertificate), inner(judgeAccepted), inner(judgeTrust), inner(judgeIdentity), inner(judgeConnect))
	}
	return append(all, judgeTunnel, judgeExpectation)
}
