// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// The secrets that istio-agent gives every proxy over SDS.
const (
	ProxyCertificate = "default"
	ProxyRoots       = "ROOTCA"
)

// Secrets is what the proxy beside a workload holds, and what its workload
// presents. Private keys are no part of it: a proxy redacts them, and what is
// read of a dump leaves them out.
type Secrets struct {
	At       time.Time        `json:"at"`
	Workload cluster.Workload `json:"workload"`

	NotOffered string       `json:"notOffered,omitempty"` // why its proxy cannot be asked
	Held       []HeldSecret `json:"held,omitempty"`

	// Others are further pods of the workload, those that run longest first.
	Others []Replica `json:"others,omitempty"`

	Roots     Certs `json:"roots"`               // istio-ca-root-cert of its namespace
	MoreRoots bool  `json:"moreRoots,omitempty"` // the mesh configuration gives proxies further roots (caCertificates)
	Signer    Certs `json:"signer"`              // certificate that the cluster's CA should sign with; empty where unknown

	// Handshake is one with a client of the mesh; null where nothing is served
	// over mutual TLS, or where TooFar says that it is out of reach.
	Handshake *Handshake               `json:"handshake,omitempty"`
	TooFar    *cluster.OutOfReachError `json:"tooFar,omitempty"`
}

// Replica is what the proxy in another pod of a workload holds.
type Replica struct {
	Pod        string       `json:"pod"`
	NotOffered string       `json:"notOffered,omitempty"`
	Held       []HeldSecret `json:"held,omitempty"`
}

// HeldSecret is one secret of a proxy.
type HeldSecret struct {
	Name         string    `json:"name"`
	Warming      bool      `json:"warming,omitempty"` // asked for and not delivered
	Error        string    `json:"error,omitempty"`   // why it was refused, in the proxy's words
	Updated      time.Time `json:"updated,omitzero"`
	Certificates Certs     `json:"certificates,omitempty"` // leaf first
	Roots        Certs     `json:"roots,omitempty"`
}

const (
	// maxSecrets bounds what a proxy may make us keep.
	maxSecrets = 64

	// maxOthers bounds the pods of a workload that are asked beside the first.
	maxOthers = 4
)

// HeldSecrets observes the secrets of each sidecar, whether or not its workload
// serves anything.
func HeldSecrets() probe.Observation[cluster.Workload, Secrets] {
	return probe.Observation[cluster.Workload, Secrets]{
		Name:    "secrets",
		Over:    probe.Workloads(func(w cluster.Workload) bool { return w.DataPlane == cluster.Sidecar }),
		Observe: observeSecrets,
	}
}

func observeSecrets(ctx context.Context, env *probe.Env, w cluster.Workload) (Secrets, error) {
	o := Secrets{At: env.Now(), Workload: w}
	c, ok := env.Set.Cluster(w.Cluster)
	if !ok {
		return o, fmt.Errorf("no cluster %s", w.Cluster)
	}
	dumper, ok := cluster.As[cluster.Dumper](c)
	if !ok {
		o.NotOffered = "the provider asks no proxies"
		return o, nil
	}
	var err error
	if o.Held, err = heldBy(ctx, dumper, w); err != nil {
		if closed, ok := errors.AsType[*cluster.NotOfferedError](err); ok {
			o.NotOffered = closed.Error()
			return o, nil
		}
		return o, APIError(err, "create", "pods/portforward in "+w.Namespace)
	}
	if o.Others, err = heldByOthers(ctx, c, dumper, w); err != nil {
		return o, err
	}
	if o.Roots, err = Bundle(ctx, c, w.Namespace); err != nil {
		return o, err
	}
	if o.Signer, err = signer(ctx, c); err != nil {
		return o, err
	}
	if o.MoreRoots, err = moreRoots(ctx, c); err != nil {
		return o, err
	}
	if w.Service == nil || w.MTLS == cluster.Disable {
		return o, nil
	}
	if err := o.onTheWire(ctx, env, c); err != nil {
		return o, err
	}
	if o.same() {
		return o, nil
	}
	// It may have been renewed in between.
	o.Held, err = heldBy(ctx, dumper, w)
	return o, err
}

// moreRoots says whether a mesh configuration names CA certificates of its own.
func moreRoots(ctx context.Context, c cluster.Cluster) (bool, error) {
	m, err := ReadMeshConfig(ctx, c)
	if errors.Is(err, ErrNoKube) {
		return false, nil // without an API there is no configuration to read
	}
	return m.CACertificates > 0, err
}

// onTheWire shakes hands with the workload.
func (o *Secrets) onTheWire(ctx context.Context, env *probe.Env, c cluster.Cluster) error {
	source := neighbour(env, o.Workload)
	id, err := Identity(ctx, c, source)
	if err != nil {
		return err
	}
	look, cancel := Short(ctx)
	defer cancel()
	w := Workload{Workload: o.Workload}
	err = w.look(look, env, c, source, id)
	if far := tooFar(err); far != nil {
		o.TooFar = far
		return nil
	}
	if err != nil {
		return err
	}
	o.Handshake = &w.Handshake
	return nil
}

// same says that the wire shows what the proxy holds, as far as it shows
// anything.
func (o *Secrets) same() bool {
	if o.Handshake == nil || len(o.Handshake.Chain) == 0 {
		return true
	}
	return slices.ContainsFunc(o.Held, func(h HeldSecret) bool { return h.Name == ProxyCertificate && h.Certificates.Equal(o.Handshake.Chain) })
}

// heldByOthers asks the proxies of a workload's further pods. One that does not
// answer has perhaps ended since.
func heldByOthers(ctx context.Context, c cluster.Cluster, d cluster.Dumper, w cluster.Workload) ([]Replica, error) {
	asked, ok := cluster.As[cluster.Replicated](c)
	if !ok {
		return nil, nil
	}
	pods, err := asked.Replicas(ctx, w)
	if err != nil {
		return nil, APIError(err, "list", "pods in "+w.Namespace)
	}
	var out []Replica
	for _, p := range pods[:min(len(pods), maxOthers)] {
		one := Replica{Pod: p.Pod}
		if one.Held, err = heldBy(ctx, d, p.Workload); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			one.NotOffered = err.Error()
		}
		out = append(out, one)
	}
	return out, nil
}

// Pods is what was seen of each pod by itself, o's own first, and under which
// name. What another pod presents was not looked at.
func (o Secrets) Pods() iter.Seq2[string, Secrets] {
	return func(yield func(string, Secrets) bool) {
		if !yield(o.Workload.String(), o) {
			return
		}
		for _, r := range o.Others {
			one := o
			one.NotOffered, one.Held, one.Others, one.Handshake, one.TooFar = r.NotOffered, r.Held, nil, nil, nil
			if !yield("pod "+r.Pod+" of "+o.Workload.String(), one) {
				return
			}
		}
	}
}

// heldBy asks a proxy for its secrets (envoy.admin.v3.SecretsConfigDump).
func heldBy(ctx context.Context, d cluster.Dumper, w cluster.Workload) ([]HeldSecret, error) {
	var out []HeldSecret
	for _, section := range []string{"dynamic_active_secrets", "dynamic_warming_secrets"} {
		raw, err := d.Dump(ctx, w, "/config_dump?resource="+section)
		if err != nil {
			return nil, err
		}
		held, err := readSecrets(raw, section == "dynamic_warming_secrets")
		if err != nil {
			return nil, fmt.Errorf("secrets of the proxy of %s: %w", w.Ref, err)
		}
		out = append(out, held...)
	}
	return out[:min(len(out), maxSecrets)], nil
}

// readSecrets reads a section of a config_dump; one without any secret is {}.
func readSecrets(raw []byte, warming bool) ([]HeldSecret, error) {
	var dump struct {
		Configs []json.RawMessage `json:"configs"`
	}
	if err := json.Unmarshal(raw, &dump); err != nil || len(dump.Configs) == 0 {
		return nil, err
	}
	docs, err := material.Parse("config_dump", raw, material.Options{Kind: material.KindEnvoyDump})
	if err != nil {
		return nil, err
	}
	var out []HeldSecret
	for _, d := range docs {
		if d.SDS == nil || len(out) == maxSecrets {
			continue
		}
		out = append(out, HeldSecret{
			Name: d.Name, Warming: warming || d.SDS.State == material.StateWarming, Error: d.SDS.Error, Updated: d.SDS.Updated,
			Certificates: fromMaterial(d.Certificates), Roots: fromMaterial(d.Roots),
		})
	}
	return out, nil
}

func fromMaterial(certs []material.Certificate) Certs {
	var out Certs
	for _, c := range certs[:min(len(certs), maxCerts)] {
		out = append(out, c.DER)
	}
	return out
}

// Equal compares certificates byte by byte, in their order.
func (c Certs) Equal(other Certs) bool { return slices.EqualFunc(c, other, bytes.Equal) }
