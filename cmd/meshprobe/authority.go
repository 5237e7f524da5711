// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// rootFlags say where the shared root comes from.
type rootFlags struct {
	org, keyType string
	keySize      int
	ttl          time.Duration
	dir, secret  string
	cert, key    string
	chosen       func(flag string) bool
}

func (f *rootFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.org, "org", issuer.DefaultOrg, "organisation (O=) of the root and the intermediates")
	fl.DurationVar(&f.ttl, "ttl", issuer.DefaultTTL, "lifetime of the root; intermediates live half as long")
	fl.StringVar(&f.keyType, "key-type", string(issuer.ECDSAP256), "keys of the root and the intermediates: rsa, ecdsa-p256 or ecdsa-p384")
	fl.IntVar(&f.keySize, "key-size", 0, "`BITS` of an RSA root (default 4096); the intermediates have 2048")
	fl.StringVar(&f.dir, "root-dir", "", "keep the root in `DIR`, mode 0700; without it, it lives as long as the run")
	fl.StringVar(&f.secret, "root-secret", "", "keep the root in a Secret: `CONTEXT/NAMESPACE/NAME`")
	fl.StringVar(&f.cert, "root-cert", "", "use the root certificate in `FILE` (PEM); needs --root-key")
	fl.StringVar(&f.key, "root-key", "", "private key `FILE` (PEM) of --root-cert")
	f.chosen = fl.Changed
}

// federation is where the root of a run comes from. What can be found wrong
// with it without a cluster is found here.
func (f *rootFlags) federation(ctx context.Context, t cluster.Topology) (*federation, error) {
	if err := f.contradiction(); err != nil {
		return nil, err
	}
	fed := &federation{opts: f.options(t), placed: f.chosen("root-secret") || f.chosen("root-dir") || f.chosen("root-cert")}
	if f.chosen("root-secret") {
		var err error
		if fed.secret, err = secretRef(f.secret, t); err != nil {
			return nil, err
		}
	}
	var err error
	switch {
	case f.chosen("root-cert"):
		fed.issuer, err = f.provided(fed.opts)
	case f.chosen("root-dir"):
		fed.issuer, err = issuer.NewBuiltin(issuer.Dir{Path: f.dir}, fed.opts)
	default:
		fed.issuer, err = issuer.NewBuiltin(&issuer.Memory{}, fed.opts)
	}
	if err == nil {
		_, err = fed.issuer.Current(ctx)
	}
	if oe, ok := errors.AsType[*issuer.OptionError](err); ok {
		return nil, &usageError{msg: f.origin(oe.Option) + ": " + oe.Msg, hint: oe.Hint}
	}
	return fed, err
}

// contradiction refuses flags that exclude or need each other.
func (f *rootFlags) contradiction() error {
	var places []string
	for _, name := range []string{"root-dir", "root-secret", "root-cert"} {
		if f.chosen(name) {
			places = append(places, "--"+name)
		}
	}
	switch {
	case len(places) > 1:
		return &usageError{msg: strings.Join(places, " and ") + " contradict each other", hint: "a mesh has one root: give one of them"}
	case f.chosen("root-cert") && !f.chosen("root-key"):
		return &usageError{msg: "--root-cert without its key cannot sign intermediates", hint: "give the key too: --root-cert " + f.cert + " --root-key root-key.pem"}
	case f.chosen("root-key") && !f.chosen("root-cert"):
		return &usageError{msg: "--root-key without its certificate is no root", hint: "give the certificate too: --root-cert root-cert.pem --root-key " + f.key}
	case !slices.Contains(keyTypes(), f.keyType):
		return &usageError{msg: fmt.Sprintf("--key-type: unknown key type %q", f.keyType), hint: "one of: " + strings.Join(keyTypes(), ", ")}
	case f.chosen("root-dir") && f.dir == "":
		return &usageError{msg: "--root-dir needs the name of a directory", hint: "for example: --root-dir root"}
	}
	return nil
}

func keyTypes() []string {
	return []string{string(issuer.RSA), string(issuer.ECDSAP256), string(issuer.ECDSAP384)}
}

// options prefers flags to the topology, and the topology to the defaults.
func (f *rootFlags) options(t cluster.Topology) issuer.Options {
	o := issuer.FromSpec(t.Mesh.Root)
	if f.chosen("org") {
		o.Org = f.org
	}
	if f.chosen("ttl") {
		o.TTL = max(f.ttl, 1) // 0 would mean the default
	}
	if f.chosen("key-size") {
		o.KeySize = f.keySize
	}
	if f.chosen("key-type") {
		o.KeyType = issuer.KeyType(f.keyType)
	}
	if o.KeyType == "" && o.KeySize == 0 {
		o.KeyType = issuer.KeyType(f.keyType)
	}
	return o
}

// origin is where an option was set: by its flag, or in the topology.
func (f *rootFlags) origin(option string) string {
	if f.chosen(option) {
		return "--" + option
	}
	return "mesh.root of the topology"
}

func (f *rootFlags) provided(o issuer.Options) (*issuer.Builtin, error) {
	cert, err := readPEM("--root-cert", f.cert)
	if err != nil {
		return nil, err
	}
	key, err := readPEM("--root-key", f.key)
	if err != nil {
		return nil, err
	}
	return issuer.NewProvided(cert, key, o)
}

// maxPEM bounds what is read of a file that should hold one certificate.
const maxPEM = 1 << 20

func readPEM(flag, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxPEM {
		err = errors.New("it is larger than 1 MiB")
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, &usageError{msg: fmt.Sprintf("%s: cannot read %q: %v", flag, path, reason(err)), hint: "name a readable PEM file"}
	}
	return data, nil
}

func secretRef(text string, t cluster.Topology) (cluster.Ref, error) {
	ref, err := cluster.ParseRef(text)
	if err != nil {
		return ref, &usageError{msg: fmt.Sprintf("--root-secret: %q is not CONTEXT/NAMESPACE/NAME", text), hint: "for example: --root-secret " + t.Clusters[0].Name + "/istio-system/mesh-root"}
	}
	names := make([]string, len(t.Clusters))
	for i, c := range t.Clusters {
		names[i] = c.Name
		if c.Name == ref.Cluster {
			return ref, nil
		}
	}
	return ref, &usageError{msg: fmt.Sprintf("--root-secret: there is no cluster %q", ref.Cluster), hint: cluster.DidYouMean(ref.Cluster, names)}
}

// federation makes clusters trust each other, with the root that was asked
// for.
type federation struct {
	opts   issuer.Options
	issuer *issuer.Builtin
	secret cluster.Ref // zero: the root is not in a Secret
	placed bool        // flags say where the root is
}

// options are those of pkg/federate for a set of clusters.
func (f *federation) options(set *cluster.Set) (federate.Options, error) {
	if f.secret == (cluster.Ref{}) {
		return federate.Options{Issuer: f.issuer}, nil
	}
	c, ok := set.Cluster(f.secret.Cluster)
	if !ok {
		return federate.Options{}, fmt.Errorf("there is no cluster %s", f.secret.Cluster)
	}
	kube, ok := cluster.As[cluster.Kube](c)
	if !ok {
		return federate.Options{}, federate.ErrNoKube
	}
	b, err := issuer.NewBuiltin(issuer.Secret{Kube: kube.Kubernetes(), Ref: f.secret}, f.opts)
	if err != nil {
		return federate.Options{}, err
	}
	return federate.Options{Issuer: b}, nil
}

// apply federates for a run of probes, which prove the rest. Real control planes
// need a moment to tell their proxies; what they do not tell in time is for the
// probes to name.
func (f *federation) apply(ctx context.Context, set *cluster.Set, events cluster.Events) error {
	o, err := f.options(set)
	if err != nil {
		return err
	}
	o.NoVerify = set.Provider == embedded.Name
	err = f.applyWith(ctx, set, o, events)
	if fe, ok := errors.AsType[*federate.Error](err); ok && fe.Step == federate.StepVerify && ctx.Err() == nil {
		return nil
	}
	return err
}

func (f *federation) applyWith(ctx context.Context, set *cluster.Set, o federate.Options, events cluster.Events) error {
	plan, err := federate.NewPlan(ctx, set, o)
	if err == nil {
		err = federate.Apply(ctx, plan, events)
	}
	if re, ok := errors.AsType[*issuer.RootError](err); ok {
		return &hintedError{err: err, hint: re.Hint}
	}
	return err
}

// hintedError carries a hint into the report of a set-up that died.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string   { return e.err.Error() }
func (e *hintedError) Unwrap() error   { return e.err }
func (e *hintedError) Hints() []string { return []string{e.hint} }
