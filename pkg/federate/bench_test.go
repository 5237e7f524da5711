// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// BenchmarkApply federates n clusters without the handshakes: n(n-1) remote
// secrets, and every workload restarted once.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{2, 8, 24} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				top, err := cluster.Default(n)
				if err != nil {
					b.Fatal(err)
				}
				set, err := (&embedded.Provider{}).Open(b.Context(), top, nil)
				if err != nil {
					b.Fatal(err)
				}
				i, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256})
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				p, err := federate.NewPlan(b.Context(), set, federate.Options{Issuer: i, NoVerify: true})
				if err != nil {
					b.Fatal(err)
				}
				if err := federate.Apply(b.Context(), p, nil); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := set.Close(context.WithoutCancel(b.Context())); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
