// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Names that an Istio installation fixes.
const (
	defaultRootNamespace = "istio-system"
	defaultRevision      = "default"
	defaultClusterID     = "Kubernetes"
	defaultTrustDomain   = "cluster.local"

	networkLabel  = "topology.istio.io/network"
	revisionLabel = "istio.io/rev"
)

// Facts is what a cluster's mesh says of itself.
type Facts struct {
	Context            string   `json:"context,omitempty"`
	Name               string   `json:"name"`                // CLUSTER_ID of istiod, unless an override stands for it
	ClusterID          string   `json:"clusterID,omitempty"` // CLUSTER_ID of istiod, where it was found
	Network            string   `json:"network"`             // empty where nothing names one
	TrustDomain        string   `json:"trustDomain"`
	TrustDomainAliases []string `json:"trustDomainAliases,omitempty"`
	RootNamespace      string   `json:"rootNamespace"`
	Revision           string   `json:"revision"`            // of the control plane that is looked at
	Revisions          []string `json:"revisions,omitempty"` // all of them, sorted
	Version            string   `json:"version,omitempty"`   // tag of istiod's image
	Ambient            bool     `json:"ambient,omitempty"`   // ztunnel runs

	// Assumed are facts that could not be read, so that Istio's default stands
	// for them; each with the reason.
	Assumed []string `json:"assumed,omitempty"`

	// Denied are the permissions of Rules that the API says are missing.
	Denied []string `json:"denied,omitempty"`
}

// NoMeshError says that no control plane of Istio runs where one was sought.
type NoMeshError struct{ Why, Hint string }

// Error says where none was found.
func (e *NoMeshError) Error() string { return e.Why }

// Hints says what would help.
func (e *NoMeshError) Hints() []string { return []string{e.Hint} }

// discover reads what the mesh says of itself. What the topology or an override
// says stands.
func (c *Cluster) discover(ctx context.Context) (Facts, error) {
	f := Facts{Context: c.config.Spec.Context, RootNamespace: c.config.RootNamespace, Revision: c.config.Revision}
	istiod, err := c.findIstiod(ctx, &f)
	if err != nil {
		return f, err
	}
	if err := c.readMeshConfig(ctx, &f); err != nil {
		return f, err
	}
	values, err := c.readValues(ctx, f)
	if err != nil {
		return f, err
	}
	if err := c.readNetwork(ctx, &f, values); err != nil {
		return f, err
	}
	f.ClusterID = cmp.Or(clusterID(istiod), values.clusterID())
	f.Name = cmp.Or(c.config.Spec.Name, f.ClusterID)
	if f.Name == "" {
		f.assume("cluster ID", "no pod of istiod is seen")
		f.Name = c.config.Spec.Context
	}
	f.TrustDomain = cmp.Or(f.TrustDomain, c.config.Spec.TrustDomain, defaultTrustDomain)
	return f, nil
}

// findIstiod chooses a control plane: the revision asked for, else the default
// one, else the first. It returns one of its pods, nil where pods may not be
// listed.
func (c *Cluster) findIstiod(ctx context.Context, f *Facts) (*corev1.Pod, error) {
	list, err := c.kube.CoreV1().Pods(f.RootNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
	if denied(err) {
		f.assume("root namespace and revision", "list pods")
		f.RootNamespace, f.Revision = cmp.Or(f.RootNamespace, defaultRootNamespace), cmp.Or(f.Revision, defaultRevision)
		return nil, nil //nolint:nilnil // not knowing is an answer: the defaults stand
	}
	if err != nil {
		return nil, fmt.Errorf("look for istiod: %w", err)
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil })
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, p := range pods {
		f.Revisions = append(f.Revisions, revisionOf(p))
	}
	slices.Sort(f.Revisions)
	f.Revisions = slices.Compact(f.Revisions)
	if len(pods) == 0 {
		// The control plane may be what is broken: that is for the probes.
		return nil, c.noIstiod(ctx, f)
	}
	want := f.Revision
	if want == "" && !slices.Contains(f.Revisions, defaultRevision) {
		want = f.Revisions[0]
	}
	want = cmp.Or(want, defaultRevision)
	i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return revisionOf(p) == want })
	if i < 0 {
		return nil, &NoMeshError{
			Why:  fmt.Sprintf("no istiod of revision %q runs; there is %s", want, strings.Join(f.Revisions, ", ")),
			Hint: "name one that there is: --revision " + f.Revisions[0],
		}
	}
	f.RootNamespace, f.Revision, f.Version = pods[i].Namespace, want, version(pods[i])
	return &pods[i], nil
}

// noIstiod tells a cluster whose istiod is down from one without a mesh.
func (c *Cluster) noIstiod(ctx context.Context, f *Facts) error {
	ns := cmp.Or(f.RootNamespace, defaultRootNamespace)
	services, err := c.kube.CoreV1().Services(ns).List(ctx, metav1.ListOptions{LabelSelector: "app=istiod"})
	if err == nil && len(services.Items) > 0 {
		f.RootNamespace, f.Revision = ns, cmp.Or(f.Revision, services.Items[0].Labels[revisionLabel], defaultRevision)
		return nil
	}
	return &NoMeshError{
		Why:  "no istiod runs in the cluster",
		Hint: "name a context of a cluster with Istio, or the namespace of istiod with --root-namespace",
	}
}

func (f *Facts) assume(what, why string) { f.Assumed = append(f.Assumed, what+": "+why) }

// denied says that the API refused for want of a permission.
func denied(err error) bool { return apierrors.IsForbidden(err) }

// deny turns a refusal of the API into what the engine knows.
func deny(err error, verb, resource string) error {
	if denied(err) || apierrors.IsUnauthorized(err) {
		return &cluster.DeniedError{What: verb + " " + resource, Err: err}
	}
	return err
}

func revisionOf(p corev1.Pod) string {
	return cmp.Or(p.Labels[revisionLabel], env(p, "REVISION"), defaultRevision)
}

func clusterID(p *corev1.Pod) string {
	if p == nil {
		return ""
	}
	return cmp.Or(env(*p, "CLUSTER_ID"), defaultClusterID)
}

// env is the value that a container of the pod is given, in any container.
func env(p corev1.Pod, name string) string {
	for _, c := range p.Spec.Containers {
		for _, e := range c.Env {
			if e.Name == name {
				return e.Value
			}
		}
	}
	return ""
}

// version is the tag of istiod's image.
func version(p corev1.Pod) string {
	for _, c := range p.Spec.Containers {
		if c.Name != "discovery" {
			continue
		}
		image, _, _ := strings.Cut(c.Image, "@")
		if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
			return image[i+1:]
		}
	}
	return ""
}

// suffixed is the name of an object of a revision: bare for the default one.
func (f Facts) suffixed(name string) string {
	return cluster.ControlPlane{RootNamespace: f.RootNamespace, Revision: f.Revision}.Named(name)
}

// meshConfig is the part of the mesh configuration that is of use here.
type meshConfig struct {
	TrustDomain        string   `yaml:"trustDomain"`
	TrustDomainAliases []string `yaml:"trustDomainAliases"`
	RootNamespace      string   `yaml:"rootNamespace"`
}

func (c *Cluster) readMeshConfig(ctx context.Context, f *Facts) error {
	cm, err := c.kube.CoreV1().ConfigMaps(f.RootNamespace).Get(ctx, f.suffixed("istio"), metav1.GetOptions{})
	switch {
	case denied(err), apierrors.IsNotFound(err):
		f.assume("trust domain", reasonOf(err, "get configmaps in "+f.RootNamespace, "there is no ConfigMap "+f.suffixed("istio")))
		return nil
	case err != nil:
		return fmt.Errorf("mesh configuration: %w", err)
	}
	var mesh meshConfig
	if err := yaml.Unmarshal([]byte(cm.Data["mesh"]), &mesh); err != nil {
		f.assume("trust domain", "the mesh configuration is no YAML")
		return nil //nolint:nilerr // a probe says what is wrong with it
	}
	f.TrustDomain, f.TrustDomainAliases = mesh.TrustDomain, mesh.TrustDomainAliases
	if c.config.RootNamespace == "" {
		f.RootNamespace = cmp.Or(mesh.RootNamespace, f.RootNamespace)
	}
	return nil
}

func reasonOf(err error, what, missing string) string {
	if denied(err) {
		return "missing permission: " + what
	}
	return missing
}

// injected is what istiod hands every new pod, for which it is asked where no pod
// of istiod runs.
type injected struct {
	Global struct {
		Network      string `yaml:"network"`
		MultiCluster struct {
			ClusterName string `yaml:"clusterName"`
		} `yaml:"multiCluster"`
	} `yaml:"global"`
}

// clusterID is what istiod is given as CLUSTER_ID, empty where nothing was read.
func (v *injected) clusterID() string {
	if v == nil {
		return ""
	}
	return cmp.Or(v.Global.MultiCluster.ClusterName, defaultClusterID)
}

func (v *injected) network() string {
	if v == nil {
		return ""
	}
	return v.Global.Network
}

// readValues is nil where the values are missing, are no YAML or may not be read.
func (c *Cluster) readValues(ctx context.Context, f Facts) (*injected, error) {
	cm, err := c.kube.CoreV1().ConfigMaps(f.RootNamespace).Get(ctx, f.suffixed("istio-sidecar-injector"), metav1.GetOptions{})
	if err != nil && !denied(err) && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("injection values: %w", err)
	}
	var values injected
	if err != nil || cm.Data["values"] == "" || yaml.Unmarshal([]byte(cm.Data["values"]), &values) != nil {
		return nil, nil //nolint:nilnil,nilerr // not knowing is an answer: the label and the context stand
	}
	return &values, nil
}

// readNetwork asks, in this order: the topology, the values that new pods get
// their network from, the label of the root namespace. Where the last two
// disagree the label is what is wrong, and a probe says so.
func (c *Cluster) readNetwork(ctx context.Context, f *Facts, values *injected) error {
	if f.Network = cmp.Or(c.config.Spec.Network, values.network()); f.Network != "" {
		return nil
	}
	ns, err := c.kube.CoreV1().Namespaces().Get(ctx, f.RootNamespace, metav1.GetOptions{})
	switch {
	case denied(err):
		f.assume("network", "missing permission: get namespaces")
	case apierrors.IsNotFound(err):
		return &NoMeshError{Why: "there is no namespace " + f.RootNamespace, Hint: "name the namespace of istiod: --root-namespace NAMESPACE"}
	case err != nil:
		return errors.Join(errors.New("root namespace"), err)
	default:
		f.Network = ns.Labels[networkLabel]
	}
	return nil
}
