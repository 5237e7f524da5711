// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/standin"
)

// appCommand is what workloads of clusters in Docker run: an application that
// answers every request with its name.
func (c *cli) appCommand() *cobra.Command {
	var listen, name string
	pod := &standin.Pod{TokenFile: "/var/run/secrets/tokens/istio-token", RootFile: "/var/run/secrets/istio/root-cert.pem"}
	var address, mode, service string
	cmd := &cobra.Command{
		Use: "app", Short: "Answer HTTP requests with a name, as a workload of a test mesh", Hidden: true,
		Args: exactArgs(0, "no arguments"), Example: "  meshprobe app --listen :9080 --name east/shop/ratings",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if address == "" {
				return serveApp(cmd.Context(), listen, name)
			}
			if err := describePod(pod, name, address, mode, service); err != nil {
				return err
			}
			return pod.Serve(cmd.Context())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&listen, "listen", "", "`ADDRESS` to answer at; none only waits")
	fl.StringVar(&name, "name", "meshprobe", "`NAME` to answer with")
	fl.StringVar(&address, "ambient", "", "stand in for an ambient pod at this `ADDRESS`, named CLUSTER/NAMESPACE/WORKLOAD")
	fl.StringVar(&mode, "mtls", string(cluster.Strict), "mTLS mode of that pod")
	fl.StringVar(&service, "service", "", "`HOST:PORT` of the service in front of it")
	fl.StringVar(&pod.Workload.ServiceAccount, "service-account", "default", "its service account")
	fl.StringVar(&pod.TrustDomain, "trust-domain", "cluster.local", "that of its mesh")
	return cmd
}

// describePod fills in who a pod is.
func describePod(pod *standin.Pod, name, address, mode, service string) error {
	ref, err := cluster.ParseRef(name)
	if err != nil {
		return &usageError{msg: fmt.Sprintf("--name: %q is not CLUSTER/NAMESPACE/WORKLOAD", name), hint: "for example: --name east/shop/ratings"}
	}
	w := &pod.Workload
	w.Ref, w.DataPlane, w.MTLS = ref, cluster.Ambient, cluster.MTLSMode(mode)
	if w.Address, err = netip.ParseAddr(address); err != nil {
		return &usageError{msg: fmt.Sprintf("--ambient: %q is no address", address), hint: "for example: --ambient 10.244.0.7"}
	}
	if service == "" {
		return nil
	}
	host, text, err := net.SplitHostPort(service)
	port, portErr := strconv.ParseUint(text, 10, 16)
	if err != nil || portErr != nil {
		return &usageError{msg: fmt.Sprintf("--service: %q is not HOST:PORT", service), hint: "for example: --service ratings.shop.svc.cluster.local:9080"}
	}
	serviceName, _, _ := strings.Cut(host, ".")
	w.Service = &cluster.Service{Name: serviceName, Host: host, Port: uint16(port), Protocol: "http"}
	return nil
}

// serveApp serves HTTP/1.1 and HTTP/2 in plaintext until the context ends.
func serveApp(ctx context.Context, listen, name string) error {
	if listen == "" {
		<-ctx.Done()
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return &usageError{msg: "--listen: " + err.Error(), hint: "for example: --listen :9080"}
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = fmt.Fprintln(w, name) // a caller that is gone needs no answer
		}),
		Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
