// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// many are findings of a mesh of n clusters: mostly passes with evidence, one
// in fifty fails.
func many(n int) (probe.RunStarted, []probe.Finding) {
	run := probe.RunStarted{Version: "bench", Started: time.Unix(0, 0)}
	for i := range n {
		run.Clusters = append(run.Clusters, probe.ClusterFacts{Name: fmt.Sprintf("cluster%02d", i), TrustDomain: "cluster.local"})
	}
	var fs []probe.Finding
	for i, a := range run.Clusters {
		for j, b := range run.Clusters {
			f := probe.Finding{
				Status: probe.Pass, ID: "handshake/accepted", Title: "sidecar mTLS is accepted, and a read after it succeeds",
				Suite: "handshake", Subject: a.Name + "/shop/reviews → " + b.Name + "/shop/ratings", Duration: 3 * time.Millisecond,
				Level: spec.Must, Clause: spec.Clause{Doc: "Istio", Section: "mutual TLS"},
				Evidence: []probe.Evidence{{Kind: probe.KindChain, Label: "chain of ratings", Got: "spiffe://cluster.local/ns/shop/sa/ratings\nO=meshprobe, CN=root"}},
			}
			if (i*n+j)%50 == 0 {
				f.Status, f.Cause = probe.Fail, probe.Cause{Code: "root-mismatch-same-dn", Title: "equal names"}
				f.Hint = []string{"meshprobe federate apply"}
			}
			fs = append(fs, f)
		}
	}
	return run, fs
}

// One finding through each reporter, into nothing.
func BenchmarkSinks(b *testing.B) {
	for _, format := range Formats() {
		b.Run(format, func(b *testing.B) {
			s, err := New(format, io.Discard, Options{TempDir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			flood(b, s)
		})
	}
}

// The goal is 200 000 findings a second through JUnit and JSONL, into files:
// 5000 ns/op.
func BenchmarkJUnitAndJSONLFiles(b *testing.B) {
	dir := b.TempDir()
	junit, err := File(filepath.Join(dir, "r.xml"), FormatJUnit, Options{})
	if err != nil {
		b.Fatal(err)
	}
	jsonl, err := File(filepath.Join(dir, "r.jsonl"), FormatJSONL, Options{})
	if err != nil {
		b.Fatal(err)
	}
	flood(b, Tee(junit, jsonl))
}

func flood(b *testing.B, s probe.Sink) {
	run, fs := many(24)
	if err := s.Emit(run); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		f := fs[i%len(fs)]
		i++
		f.Seq = i
		if err := s.Emit(probe.FindingDone{Finding: f}); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
