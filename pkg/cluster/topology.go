// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"time"
)

// TopologyVersion is the only version of the topology file so far.
const TopologyVersion = "meshprobe/v1"

// MaxClusters bounds a topology on one machine.
const MaxClusters = 100

// Topology says which clusters there are, what runs in them and which calls
// must work. ParseTopology and Default return it complete: every default is
// filled in and every reference checked.
type Topology struct {
	Version  string        `yaml:"version" json:"version"`
	Mesh     Mesh          `yaml:"mesh" json:"mesh"`
	Clusters []ClusterSpec `yaml:"clusters" json:"clusters"`
	Edges    []Edge        `yaml:"edges" json:"edges"`
}

// Mesh is what all clusters share.
type Mesh struct {
	TrustDomain string   `yaml:"trustDomain" json:"trustDomain"` // default cluster.local
	Root        RootSpec `yaml:"root" json:"root"`
}

// RootSpec says how federation makes the shared root and its intermediates.
// The zero value of a field means the default of whoever federates.
type RootSpec struct {
	KeyType string   `yaml:"keyType" json:"keyType,omitempty"` // rsa | ecdsa-p256 | ecdsa-p384
	KeySize int      `yaml:"keySize" json:"keySize,omitempty"` // RSA bits of the root
	Org     string   `yaml:"org" json:"org,omitempty"`         // O= of root and intermediates
	TTL     Duration `yaml:"ttl" json:"ttl,omitempty"`         // of the root
}

// ClusterSpec is one cluster of a topology.
type ClusterSpec struct {
	Name               string          `yaml:"name" json:"name"`
	Network            string          `yaml:"network" json:"network"`         // default: the name
	TrustDomain        string          `yaml:"trustDomain" json:"trustDomain"` // default: the mesh's
	TrustDomainAliases []string        `yaml:"trustDomainAliases" json:"trustDomainAliases,omitempty"`
	Context            string          `yaml:"context" json:"context,omitempty"` // kubeconfig context, live only
	Namespaces         []NamespaceSpec `yaml:"namespaces" json:"namespaces"`     // default: Bookinfo's
}

// NamespaceSpec is one namespace with its workloads.
type NamespaceSpec struct {
	Name      string         `yaml:"name" json:"name"`
	MTLS      MTLSMode       `yaml:"mtls" json:"mtls"`                   // default STRICT
	Waypoint  string         `yaml:"waypoint" json:"waypoint,omitempty"` // in front of all its services; default: none
	Workloads []WorkloadSpec `yaml:"workloads" json:"workloads"`
}

// WorkloadSpec is one workload of a namespace.
type WorkloadSpec struct {
	Name           string       `yaml:"name" json:"name"`
	ServiceAccount string       `yaml:"serviceAccount" json:"serviceAccount"` // default: the name
	DataPlane      DataPlane    `yaml:"dataPlane" json:"dataPlane"`           // default sidecar
	HBONE          bool         `yaml:"hbone" json:"hbone,omitempty"`         // a sidecar that takes HBONE on 15008 too
	MTLS           MTLSMode     `yaml:"mtls" json:"mtls"`                     // default: the namespace's
	Service        *ServiceSpec `yaml:"service" json:"service,omitempty"`     // nil: not a server
}

// ServiceSpec is the service that selects a workload.
type ServiceSpec struct {
	Name     string `yaml:"name" json:"name"`                   // default: the workload's
	Port     uint16 `yaml:"port" json:"port"`                   // default 9080
	Protocol string `yaml:"protocol" json:"protocol"`           // http | tcp | auto; default http
	Waypoint string `yaml:"waypoint" json:"waypoint,omitempty"` // in front of it; default: the namespace's
}

// Host is the fully qualified name of a service in a namespace.
func (s ServiceSpec) Host(namespace string) string {
	return s.Name + "." + namespace + ".svc.cluster.local"
}

// Duration is a time.Duration written as Go writes it: 8760h, 15m.
type Duration time.Duration

// UnmarshalText reads Go's form.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 8760h", b)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes Go's form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
