// SPDX-License-Identifier: Apache-2.0

// Package ca holds the probes of each cluster's certificate authority: what is
// in Secret cacerts, and whether istiod signs with it.
package ca

import "github.com/meshprobe/meshprobe/pkg/probe"

// Probes lists the probes of the suite in report order.
func Probes() []probe.Probe {
	return []probe.Probe{
		NotSelfSigned, CACertsComplete, KeyMatches, IsCA, SignedByRoot, ChainOrder,
		LifetimeLeft, LifetimeNested, LifetimeEnough, IstiodServesCACerts, ServingCertificate,
		SigningKeyUsage, SigningSPIFFEID, SigningNoPath,
	}
}
