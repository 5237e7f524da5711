// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"net"
	"net/netip"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/dataplane"
)

// workload is the process of a workload's pod: the application, and what its
// data plane puts in front of it.
type workload struct {
	*proc
	ambient *ambientShare // nil unless the pod is captured by ztunnel
	agent   *agent
}

// startWorkload waits for the pod's certificate, because a sidecar is not
// ready without one, and then listens.
func startWorkload(ctx context.Context, base *proc) (process, error) {
	w := &workload{proc: base}
	spec, _ := base.in.workloadSpec(base.pod)
	switch base.pod.dataPlane {
	case cluster.Sidecar:
		own := base.agentSVID()
		if err := own.start(ctx); err != nil {
			return nil, err
		}
		w.agent = base.register(impersonation{base.pod.namespace, base.pod.serviceAccount}, &agent{svid: own})
		return w, w.listenSidecar(spec, own)
	case cluster.Ambient:
		share, err := base.in.enroll(ctx, base.pod)
		if err != nil {
			return nil, err
		}
		w.ambient = share
		w.agent = base.register(share.who, &agent{})
		if err := w.listenAmbient(spec); err != nil {
			share.leave()
			return nil, err
		}
	case cluster.NoMesh:
		return w, w.listenPlain(spec)
	}
	return w, nil
}

// stop implements process. ztunnel forgets the certificate of the last pod of
// a service account.
func (w *workload) stop() {
	w.proc.stop()
	if w.ambient != nil {
		w.ambient.leave()
	}
}

// workloadSpec finds what the topology says about the workload of a pod.
func (in *instance) workloadSpec(p pod) (cluster.WorkloadSpec, bool) {
	for _, ns := range in.spec.Namespaces {
		for _, w := range ns.Workloads {
			if ns.Name == p.namespace && w.Name == p.labels[workloadLabel] {
				return w, true
			}
		}
	}
	return cluster.WorkloadSpec{}, false
}

func (w *workload) app(s *cluster.ServiceSpec) dataplane.App {
	if s.Protocol == "http" {
		return dataplane.HTTPApp(w.in.spec.Name + "/" + w.pod.namespace + "/" + w.pod.labels[workloadLabel])
	}
	return dataplane.EchoApp
}

// mode is the PeerAuthentication in force right now, as far as the proxy knows.
func (w *workload) mode() cluster.MTLSMode {
	if m := w.agent.mode.Load(); m != nil {
		return *m
	}
	return w.in.local().mode(w.pod.namespace, w.pod.labels)
}

func (w *workload) listenSidecar(spec cluster.WorkloadSpec, own *svid) error {
	s := spec.Service
	if s == nil {
		return nil
	}
	inbound := &dataplane.Sidecar{
		Identity:     func() *cluster.Identity { return own.identity(w.ctx) },
		Anonymous:    func() bool { return w.in.local().anonymous(w.pod.namespace, w.pod.labels) },
		TrustDomains: w.in.trustDomains, Mode: w.mode, Protocol: s.Protocol, App: w.app(s), Now: w.in.now,
	}
	if w.pod.labels[tunnelLabel] == "http" {
		own := netip.AddrPortFrom(w.pod.addr, s.Port)
		serve := func(ctx context.Context, ln net.Listener) error { return inbound.ServeHBONE(ctx, ln, own) }
		if err := w.listen(cluster.PortHBONE, serve); err != nil {
			return err
		}
	}
	return w.listen(s.Port, inbound.Serve)
}

// listenAmbient captures the pod: HBONE on 15008, everything else on the port
// it is sent to.
func (w *workload) listenAmbient(spec cluster.WorkloadSpec) error {
	z := &dataplane.Ztunnel{
		Identity:    func() *cluster.Identity { return w.ambient.identity(w.ctx) },
		TrustDomain: func() string { return w.in.local().mesh.TrustDomain },
		Address:     w.pod.addr, Mode: w.mode, Ports: w.servicePort, Now: w.in.now,
		AnyAuthority: func() bool { return w.in.ztunnel.Load().anyAuthority.Load() },
		Listens:      func(port uint16) bool { return spec.Service != nil && spec.Service.Port == port },
		Baggage:      dataplane.Baggage(w.in.spec.Name, w.in.workload(w.pod.namespace, spec, &podView{name: w.pod.name})),
	}
	if s := spec.Service; s != nil {
		z.App = w.app(s)
		if err := w.listen(s.Port, z.ServePlaintext); err != nil {
			return err
		}
	}
	return w.listen(cluster.PortHBONE, z.ServeHBONE)
}

// servicePort maps a port of a service to the pod's, for services that select it.
func (w *workload) servicePort(host string, port uint16) (uint16, bool) {
	s := w.in.local().services[host]
	if s == nil {
		return 0, false
	}
	for _, to := range s.targets(port) {
		if to.Addr() == w.pod.addr {
			return to.Port(), true
		}
	}
	return 0, false
}

func (w *workload) listenPlain(spec cluster.WorkloadSpec) error {
	s := spec.Service
	if s == nil {
		return nil
	}
	plain := &dataplane.Sidecar{
		Identity: func() *cluster.Identity { return nil }, TrustDomains: w.in.trustDomains,
		Mode: func() cluster.MTLSMode { return cluster.Disable }, Protocol: s.Protocol, App: w.app(s), Now: w.in.now,
	}
	return w.listen(s.Port, plain.Serve)
}

// trustDomains admits clients: the mesh's own, then its aliases.
func (in *instance) trustDomains() []string {
	m := in.local().mesh
	return append([]string{m.TrustDomain}, m.TrustDomainAliases...)
}
