// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/pkg/probe"
	judged "github.com/meshprobe/meshprobe/suites/material"
)

func (c *cli) inspectCommand() *cobra.Command {
	f := &inspectFlags{}
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Say what is in a file of certificates, and what Istio would make of it",
		Long: `inspect reads chains, bundles, the CA of an istiod (a directory, a Secret),
signing requests, revocation lists, Secrets and ConfigMaps as kubectl prints
them, dumps of Envoy and ztunnel, SPIFFE bundles and IDs, in PEM, DER, YAML or
JSON, and recognises which it is. FILE may be a directory, a SPIFFE ID, or - for
standard input.

It draws what is there and judges it: what istiod does with it at start, and
whether Envoy, ztunnel, istiod and OpenSSL accept it, each by its own rules.
Without --against a chain is described and not judged. Private keys are compared
with their certificate and never printed.`,
		Example: `  meshprobe inspect cacerts.yaml
  kubectl get secret cacerts -n istio-system -o yaml | meshprobe inspect -
  meshprobe inspect chain.pem --against root-cert.pem --expect-id spiffe://cluster.local/ns/shop/sa/cart
  meshprobe inspect diff east/ west/`,
		Args: exactArgs(1, "one FILE, or one of: chain, bundle, cacerts, csr, crl, dump, id, diff"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.inspect(cmd.Context(), f, args[0], "") },
	}
	f.add(cmd)
	for _, k := range []struct{ use, short, example string }{
		{"chain", "Inspect certificates that somebody presents", "meshprobe inspect chain cert-chain.pem --against root-cert.pem"},
		{"bundle", "Inspect certificates that somebody trusts", "meshprobe inspect bundle root-cert.pem"},
		{"cacerts", "Inspect the CA of an istiod: a directory or a Secret", "meshprobe inspect cacerts ./east"},
		{"csr", "Inspect a certificate signing request", "meshprobe inspect csr request.pem"},
		{"crl", "Inspect revocation lists", "meshprobe inspect crl ca-crl.pem --against cert-chain.pem"},
		{"dump", "Inspect a dump of Envoy or ztunnel, or proxy-config secret -o json", "meshprobe inspect dump config_dump.json"},
		{"id", "Inspect a SPIFFE ID", "meshprobe inspect id spiffe://cluster.local/ns/shop/sa/cart"},
	} {
		cmd.AddCommand(c.inspectKind(k.use, k.short, k.example))
	}
	cmd.AddCommand(c.inspectDiffCommand())
	return cmd
}

func (c *cli) inspectKind(use, short, example string) *cobra.Command {
	f := &inspectFlags{}
	cmd := &cobra.Command{
		Use: use + " SOURCE", Short: short, Example: "  " + example,
		Long: short + `, and take SOURCE for nothing else. SOURCE is a file, a directory or - for
standard input. See meshprobe inspect --help.`,
		Args: exactArgs(1, "one SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.inspect(cmd.Context(), f, args[0], kindOf(use))
		},
	}
	f.add(cmd)
	return cmd
}

// kindOf is what the input must hold, by the word of the command line.
func kindOf(word string) material.Kind {
	switch word {
	case "dump":
		return material.KindEnvoyDump
	case "id":
		return material.KindSPIFFEID
	default:
		return material.Kind(word)
	}
}

// inspect reads one source, judges what is there, and reports.
func (c *cli) inspect(ctx context.Context, f *inspectFlags, source string, kind material.Kind) error {
	q, err := f.question(ctx, c, source)
	if err != nil {
		return err
	}
	docs, err := c.read(ctx, source, kind)
	if err != nil {
		return err
	}
	exams := judged.Ask(docs, q)
	var subjects []probe.Subject
	for _, s := range judged.Subjects(exams) {
		subjects = append(subjects, s)
	}
	return c.examine(ctx, f, "inspect", judged.For(exams), slices.Values(subjects))
}

// read reads the documents of a source. What cannot be read at all is a usage
// error that names it.
func (c *cli) read(ctx context.Context, source string, kind material.Kind) ([]material.Document, error) {
	docs, err := material.Read(ctx, source, c.In, material.Options{Kind: kind})
	return readable(source, docs, err)
}

// readable makes what package material says of a source a usage error.
func readable(source string, docs []material.Document, err error) ([]material.Document, error) {
	if me, ok := errors.AsType[*material.Error](err); ok {
		at := me.Source
		switch {
		case me.Line > 0:
			at = fmt.Sprintf("%s: line %d", at, me.Line)
		case me.Offset > 0:
			at = fmt.Sprintf("%s: byte %d", at, me.Offset)
		}
		return nil, &usageError{msg: at + ": " + me.What, hint: me.Hint}
	}
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, &usageError{msg: source + ": holds nothing that can be inspected", hint: "see: meshprobe inspect --help"}
	}
	return docs, nil
}

// examine runs probes over subjects that are at hand, and reports.
func (c *cli) examine(ctx context.Context, f *inspectFlags, what string, probes []probe.Probe, subjects iter.Seq[probe.Subject]) error {
	plan, err := f.selection.plan(probes)
	if err != nil {
		return err
	}
	sink, err := c.sinks(f.output)
	if err != nil {
		return err
	}
	// One at a time: there is nothing to wait for, and documents keep their order.
	runner := &probe.Runner{Sink: sink, Parallel: 1, Strict: f.selection.strict}
	summary, err := runner.Run(ctx, probe.RunStarted{Version: version(), Provider: what}, plan,
		func(context.Context, func(probe.Progress)) (*probe.Env, error) {
			return probe.EnvOf(subjects, nil), nil
		})
	return c.finish(ctx, summary, errors.Join(err, sink.Close()))
}
