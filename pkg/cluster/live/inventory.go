// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// fresh is for how long a reading of the cluster's objects is used: long enough
// that the observations of one moment share it, short enough that what is
// repaired is seen.
const fresh = 2 * time.Second

// pageSize bounds one answer of the API.
const pageSize = 500

// The custom resources that are read.
var (
	peerAuthenticationsGVR = schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"}
	kubeGatewaysGVR        = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}
)

// inventory is what a cluster's objects said at one moment. It is immutable.
type inventory struct {
	at         time.Time
	namespaces map[string]map[string]string // labels by name
	pods       []*corev1.Pod                // running
	services   map[string]*corev1.Service   // by namespace/name
	slices     map[string][]discoveryv1.EndpointSlice
	policies   []peerPolicy
	gateways   []unstructured.Unstructured
	denied     map[string]*cluster.DeniedError // by resource

	byName    map[string]*corev1.Pod     // namespace/name
	byAddress map[string]*corev1.Pod     // of pods with a network of their own
	byVIP     map[string]*corev1.Service // by cluster IP
	outside   map[string][]uint16        // ports by external address or host name
}

// index makes the maps by which addresses are found.
func (inv *inventory) index() {
	inv.byName, inv.byAddress = map[string]*corev1.Pod{}, map[string]*corev1.Pod{}
	inv.byVIP, inv.outside = map[string]*corev1.Service{}, map[string][]uint16{}
	for _, p := range inv.pods {
		inv.byName[p.Namespace+"/"+p.Name] = p
		if p.Spec.HostNetwork {
			continue // its address is the node's
		}
		for _, ip := range p.Status.PodIPs {
			inv.byAddress[ip.IP] = p
		}
	}
	for _, s := range inv.services {
		for _, ip := range s.Spec.ClusterIPs {
			if ip != corev1.ClusterIPNone {
				inv.byVIP[ip] = s
			}
		}
		for _, host := range externalHosts(s) {
			for _, p := range s.Spec.Ports {
				inv.outside[host] = append(inv.outside[host], uint16(p.Port)) //nolint:gosec // the API bounds ports
			}
		}
	}
}

// externalHosts are the addresses and names by which the outside knows a
// service.
func externalHosts(s *corev1.Service) []string {
	hosts := slices.Clone(s.Spec.ExternalIPs)
	for _, in := range s.Status.LoadBalancer.Ingress {
		if in.IP != "" {
			hosts = append(hosts, in.IP)
		}
		if in.Hostname != "" {
			hosts = append(hosts, in.Hostname)
		}
	}
	return hosts
}

// inventoryCache shares one reading among those who ask at the same time.
type inventoryCache struct {
	c    *Cluster
	mu   sync.Mutex
	last *inventory
}

// get returns a reading that is no older than fresh.
func (ic *inventoryCache) get(ctx context.Context) (*inventory, error) {
	ic.mu.Lock()
	defer ic.mu.Unlock()
	if ic.last != nil && time.Since(ic.last.at) < fresh {
		return ic.last, nil
	}
	inv, err := ic.c.read(ctx)
	if err != nil {
		return nil, err
	}
	ic.last = inv
	return inv, nil
}

// read lists what is needed. What may not be listed is noted and empty.
func (c *Cluster) read(ctx context.Context) (*inventory, error) {
	inv := &inventory{
		at: time.Now(), namespaces: map[string]map[string]string{}, services: map[string]*corev1.Service{},
		slices: map[string][]discoveryv1.EndpointSlice{}, denied: map[string]*cluster.DeniedError{},
	}
	core := c.kube.CoreV1()
	for _, step := range []struct {
		resource string
		list     func() error
	}{
		{"namespaces", func() error {
			return pages(ctx, core.Namespaces().List, func(l *corev1.NamespaceList) {
				for _, ns := range l.Items {
					inv.namespaces[ns.Name] = ns.Labels
				}
			})
		}},
		{"pods", func() error {
			return pages(ctx, running(core.Pods("").List), func(l *corev1.PodList) {
				for i := range l.Items {
					inv.pods = append(inv.pods, &l.Items[i])
				}
			})
		}},
		{"services", func() error {
			return pages(ctx, core.Services("").List, func(l *corev1.ServiceList) {
				for i, s := range l.Items {
					inv.services[s.Namespace+"/"+s.Name] = &l.Items[i]
				}
			})
		}},
		{"endpointslices", func() error {
			return pages(ctx, c.kube.DiscoveryV1().EndpointSlices("").List, func(l *discoveryv1.EndpointSliceList) {
				for _, s := range l.Items {
					key := s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]
					inv.slices[key] = append(inv.slices[key], s)
				}
			})
		}},
		{"peerauthentications", func() error {
			return pages(ctx, c.dynamic.Resource(peerAuthenticationsGVR).List, func(l *unstructured.UnstructuredList) {
				for _, u := range l.Items {
					inv.policies = append(inv.policies, readPolicy(u))
				}
			})
		}},
		{"gateways", func() error {
			return pages(ctx, c.dynamic.Resource(kubeGatewaysGVR).List, func(l *unstructured.UnstructuredList) { inv.gateways = append(inv.gateways, l.Items...) })
		}},
	} {
		err := step.list()
		switch {
		case denied(err):
			inv.denied[step.resource] = &cluster.DeniedError{What: "list " + step.resource, Err: err}
		case err != nil && !apierrors.IsNotFound(err): // no such kind is no such object
			return nil, deny(err, "list", step.resource)
		}
	}
	inv.index()
	return inv, nil
}

// lister is what List is for every kind.
type lister[T metav1.ListInterface] func(context.Context, metav1.ListOptions) (T, error)

// running lists what runs.
func running[T metav1.ListInterface](list lister[T]) lister[T] {
	return func(ctx context.Context, o metav1.ListOptions) (T, error) {
		o.FieldSelector = "status.phase=Running"
		return list(ctx, o)
	}
}

// pages walks through a list page by page.
func pages[T metav1.ListInterface](ctx context.Context, list lister[T], take func(T)) error {
	o := metav1.ListOptions{Limit: pageSize}
	for {
		l, err := list(ctx, o)
		if err != nil {
			return err
		}
		take(l)
		if o.Continue = l.GetContinue(); o.Continue == "" {
			return nil
		}
	}
}

// need is the refusal of the first of resources that may not be listed.
func (inv *inventory) need(resources ...string) error {
	for _, r := range resources {
		if d := inv.denied[r]; d != nil {
			return d
		}
	}
	return nil
}
