// SPDX-License-Identifier: Apache-2.0

package cluster

import "cmp"

// Names of an Istio that was installed as it comes.
const (
	defaultRootNamespace = "istio-system"
	defaultRevision      = "default"
)

// ControlPlane says where the istiod of a cluster is, and so what its objects
// are called. The zero value is an Istio that was installed as it comes:
// istio-system, without a revision.
type ControlPlane struct {
	RootNamespace string `json:"rootNamespace,omitempty"`
	Revision      string `json:"revision,omitempty"`
}

// Installed is the ability of a provider to say where the control plane is. A
// provider without it has it where Istio installs it.
type Installed interface {
	// ControlPlane is the one that is looked at, where there are several.
	ControlPlane() ControlPlane
}

// ControlPlaneOf is that of a cluster.
func ControlPlaneOf(c Cluster) ControlPlane {
	if i, ok := As[Installed](c); ok {
		return i.ControlPlane()
	}
	return ControlPlane{}
}

// Namespace is where istiod and its objects are.
func (p ControlPlane) Namespace() string { return cmp.Or(p.RootNamespace, defaultRootNamespace) }

// Named is what an object of the control plane is called: as without revisions,
// or with the revision at its end (istio manifests/charts/istio-control,
// "istiod-canary", "istio-canary").
func (p ControlPlane) Named(object string) string {
	if p.Revision == "" || p.Revision == defaultRevision {
		return object
	}
	return object + "-" + p.Revision
}

// Host is the DNS name of istiod's Service, to which agents and ztunnels connect
// and which its certificate has (istio pkg/config/constants; meshConfig's
// defaultConfig.discoveryAddress).
func (p ControlPlane) Host() string { return p.Named("istiod") + "." + p.Namespace() + ".svc" }

// Runs says whether a pod of istiod is one of this control plane, by the value
// of its label istio.io/rev, empty where it has none.
func (p ControlPlane) Runs(revision string) bool {
	return cmp.Or(revision, defaultRevision) == cmp.Or(p.Revision, defaultRevision)
}
