// SPDX-License-Identifier: Apache-2.0

// Command bench measures what meshprobe costs beyond the handshakes it makes,
// and prints ratios: each pair of contestants runs interleaved in one process
// on the same certificates, and the median of the rounds is compared.
//
//	go run ./internal/bench
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 10, "rounds of each contest; the median counts")
	span := flag.Duration("span", 300*time.Millisecond, "length of one round of one contestant")
	only := flag.Bool("endpoints", false, "only the fleet of endpoints")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	do := func(ctx context.Context) error { return run(ctx, *rounds, *span) }
	if *only {
		do = endpoints
	}
	if err := do(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, span time.Duration) error {
	for _, open := range []func(context.Context) (*contest, error){handshakes, connects, tunnels} {
		c, err := open(ctx)
		if err != nil {
			return err
		}
		err = c.print(ctx, rounds, span)
		c.close()
		if err != nil {
			return err
		}
	}
	if err := endpoints(ctx); err != nil {
		return err
	}
	return wholeRuns(ctx)
}

// contest is two ways to do the same thing.
type contest struct {
	name  string
	unit  string
	goal  float64
	ours  func(context.Context) (float64, error) // does it once, returns how much was done
	other func(context.Context) (float64, error)
	than  string
	close func()
}

// print runs the contest and prints its ratio beside the goal.
func (c *contest) print(ctx context.Context, rounds int, span time.Duration) error {
	var ours, other, ratios []float64
	for range rounds {
		a, err := rate(ctx, span, c.ours)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		b, err := rate(ctx, span, c.other)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", c.name, c.than, err)
		}
		ours, other, ratios = append(ours, a), append(other, b), append(ratios, a/b)
	}
	fmt.Printf("%-44s %10.0f %s  %10.0f %s %s  ratio %.2f (goal %.2f)\n",
		c.name, median(ours), c.unit, median(other), c.unit, c.than, median(ratios), c.goal)
	return nil
}

// rate is how much of it is done in a second, over at least span.
func rate(ctx context.Context, span time.Duration, do func(context.Context) (float64, error)) (float64, error) {
	begin, done := time.Now(), 0.0
	for time.Since(begin) < span {
		n, err := do(ctx)
		if err != nil {
			return 0, err
		}
		done += n
	}
	return done / time.Since(begin).Seconds(), nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
