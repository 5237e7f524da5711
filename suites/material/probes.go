// SPDX-License-Identifier: Apache-2.0

package material

import "github.com/meshprobe/meshprobe/pkg/probe"

// Probes lists the probes of the suite in report order.
func Probes() []probe.Probe {
	return []probe.Probe{
		Readable, ChainAccepted, IstiodStarts, IssuedAccepted, KeyMatches, ExpectedIdentity, ChainOrder,
		SharedRoot, AcceptedAcross,
		AnchorsAreRoots, AnchorsValid, DistinctNames, BundleAuthorities, BundleParameters,
		RequestSigned, RequestNames, ListCurrent, ListSigned, ListRevokes, ListsComplete,
		SecretDelivered, PeersVerified, RemoteSecret, SPIFFEID, IstioID,
	}
}
