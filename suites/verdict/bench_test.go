// SPDX-License-Identifier: Apache-2.0

package verdict_test

import (
	"io/fs"
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	_ "github.com/meshprobe/meshprobe/pkg/probe/probetest" // for its flags
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

func BenchmarkChain(b *testing.B) {
	read := func(name string) seen.Certs {
		raw, err := fs.ReadFile(fixtures.FS, name)
		if err != nil {
			b.Fatal(err)
		}
		return seen.FromPEM(raw)
	}
	q := verdict.Question{
		Chain: read("pki/good.pem"), Roots: read("pki/root.pem"), At: fixtures.PKITime(), Role: verifier.Server,
		TrustDomains: []string{"cluster.local"}, By: cluster.Sidecar,
	}
	for b.Loop() {
		if f := verdict.Chain(q); f.Status != probe.Pass {
			b.Fatal(f)
		}
	}
}
