// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	judged "github.com/meshprobe/meshprobe/suites/material"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// inspectFlags say by what and as of when documents are judged.
type inspectFlags struct {
	at           string
	against      string
	bundle       string // --trust-bundle, the same by its other name
	hostname     string
	identities   []string
	as           string
	trustDomains []string
	selection    selectionFlags
	output       outputFlags
	chosen       func(flag string) bool
}

func (f *inspectFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.at, "at", "", "judge as of another `TIME` (RFC 3339)")
	fl.StringVar(&f.against, "against", "", "judge by the trust anchors in `BUNDLE`: any file that inspect reads")
	fl.StringVar(&f.bundle, "trust-bundle", "", "the same as --against")
	fl.StringVar(&f.hostname, "hostname", "", "expect the DNS `NAME` in the certificate")
	fl.StringArrayVar(&f.identities, "expect-id", nil, "expect the SPIFFE `ID` in the certificate; repeatable: one of them")
	fl.StringVar(&f.as, "as", verifier.Server.String(), "side that presents the chain: client or server")
	fl.StringArrayVar(&f.trustDomains, "trust-domain", []string{"cluster.local"}, "trust `DOMAIN` of the side that verifies; repeatable: its own, then its aliases")
	f.selection.add(cmd)
	f.output.add(cmd)
	f.chosen = fl.Changed
}

// question is what the flags ask of the documents of a source.
func (f *inspectFlags) question(ctx context.Context, c *cli, source string) (judged.Question, error) {
	q := judged.Question{
		At: time.Now().UTC().Truncate(time.Second), As: f.as, Hostname: f.hostname, Identities: f.identities,
		TrustDomains: f.trustDomains, Strict: f.selection.profile == probe.SPIFFEStrict.Name,
	}
	if f.chosen("at") {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return q, &usageError{msg: fmt.Sprintf("--at %q is no time of RFC 3339", f.at), hint: "for example: --at 2026-01-02T15:04:05Z"}
		}
		q.At = at.UTC()
	}
	if f.as != verifier.Server.String() && f.as != verifier.Client.String() {
		return q, &usageError{msg: fmt.Sprintf("--as %q is neither client nor server", f.as), hint: "the side that presents the chain: --as client"}
	}
	for _, id := range f.identities {
		if !strings.HasPrefix(id, "spiffe://") {
			return q, &usageError{msg: fmt.Sprintf("--expect-id %q is no SPIFFE ID", id), hint: "for example: --expect-id spiffe://cluster.local/ns/shop/sa/cart"}
		}
	}
	for _, td := range f.trustDomains {
		if td == "" || strings.ContainsAny(td, "/: ") {
			return q, &usageError{msg: fmt.Sprintf("--trust-domain %q is no trust domain", td), hint: "its name alone: --trust-domain cluster.local"}
		}
	}
	trust, err := f.trust(ctx, c, source)
	q.Against = trust
	return q, err
}

// trust reads the bundle of --against, nil where there is none.
func (f *inspectFlags) trust(ctx context.Context, c *cli, source string) (*judged.Trust, error) {
	name, flag := f.against, "--against"
	switch {
	case f.chosen("against") && f.chosen("trust-bundle"):
		return nil, &usageError{msg: "--against and --trust-bundle are the same", hint: "give one of them"}
	case f.chosen("trust-bundle"):
		name, flag = f.bundle, "--trust-bundle"
	case !f.chosen("against"):
		return nil, nil //nolint:nilnil // no bundle is an answer: nothing is trusted
	}
	if name == "-" && source == "-" {
		return nil, &usageError{msg: flag + " and the input are both standard input", hint: "write one of them to a file"}
	}
	docs, err := c.read(ctx, name, "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	trust := trustOf(name, docs)
	if len(trust.Roots) == 0 {
		return nil, &usageError{msg: fmt.Sprintf("%s %s: holds no certificate to trust", flag, name), hint: "see what it holds: meshprobe inspect " + name}
	}
	return &trust, nil
}

// trustOf takes the trust anchors of documents. Where there are none, a chain is
// meant: its root, or all of it where it has none.
func trustOf(source string, docs []material.Document) judged.Trust {
	t := judged.Trust{Source: source}
	for _, d := range docs {
		t.Roots = append(t.Roots, seen.FromX509(material.Parsed(d.Roots))...)
		t.Others = append(t.Others, seen.FromX509(material.Parsed(slices.Concat(d.CACert, d.Certificates)))...)
	}
	if len(t.Roots) > 0 {
		return t
	}
	for _, c := range t.Others.Parsed() {
		if verifier.SelfSigned(c) {
			t.Roots = append(t.Roots, c.Raw)
		}
	}
	if len(t.Roots) == 0 {
		t.Roots, t.Others = t.Others, nil
	}
	return t
}
