// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

const (
	// adminPort is where Envoy, and ztunnel, answer questions about themselves.
	adminPort = 15000

	// maxDump bounds what a proxy may say of itself.
	maxDump = 16 << 20
)

// Dump implements cluster.Dumper: a GET of the admin interface of the proxy
// beside the workload, through a port-forward.
func (c *Cluster) Dump(ctx context.Context, w cluster.Workload, path string) ([]byte, error) {
	inv, err := c.inventory.get(ctx)
	if err != nil {
		return nil, err
	}
	p := inv.byAddress[w.Address.String()]
	if p == nil || !hasSidecar(p) && !isGateway(p) {
		return nil, fmt.Errorf("live: %s has no proxy of its own", w.Ref)
	}
	body, err := c.get(ctx, p, adminPort, path, maxDump)
	if err != nil {
		return nil, fmt.Errorf("live: %s of %s: %w", path, w.Ref, notOffered("the admin interface of its proxy", err))
	}
	return body, nil
}

// get asks a port of a pod over plain HTTP, through a port-forward.
func (c *Cluster) get(ctx context.Context, p *corev1.Pod, port uint16, path string, limit int64) ([]byte, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.forwards.dial(ctx, p, port) },
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost:"+strconv.Itoa(int(port))+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, statusError(answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("the answer is larger than %d bytes", limit)
	}
	return body, err
}

// proxyView is what a sidecar was told of one port of a host.
type proxyView struct {
	known      bool // it has the cluster at all
	sni        string
	identities []string // exact names that it expects of the server
	endpoints  []proxyEndpoint
}

// proxyEndpoint is one entry of a sidecar's EDS.
type proxyEndpoint struct {
	address string // host:port
	tls     bool   // spoken to with Istio's mutual TLS
	tunnel  bool   // reached through HBONE: address is the authority
}

// ask reads what the sidecar of a workload was told: its cluster and endpoints
// for outbound|PORT||HOST.
func (c *Cluster) ask(ctx context.Context, w cluster.Workload, host string, port uint16) (proxyView, error) {
	name := fmt.Sprintf("outbound|%d||%s", port, host)
	filter := "&name_regex=" + url.QueryEscape(regexp.QuoteMeta(name))
	var view proxyView
	clusters, err := c.Dump(ctx, w, "/config_dump?resource=dynamic_active_clusters"+filter)
	if err != nil {
		return view, err
	}
	endpoints, err := c.Dump(ctx, w, "/config_dump?include_eds=on&resource=dynamic_endpoint_configs"+filter)
	if err != nil {
		return view, err
	}
	return view, errors.Join(view.readCluster(clusters), view.readEndpoints(endpoints))
}

// The parts of Envoy's configuration dump that are of use here
// (envoy.admin.v3.ClustersConfigDump, EndpointsConfigDump).
type (
	clustersDump struct {
		Configs []struct {
			Cluster struct {
				Socket  upstreamSocket `json:"transport_socket"`
				Matches []struct {
					Name   string         `json:"name"`
					Socket upstreamSocket `json:"transport_socket"`
				} `json:"transport_socket_matches"`
			} `json:"cluster"`
		} `json:"configs"`
	}
	upstreamSocket struct {
		Config struct {
			SNI    string `json:"sni"`
			Common struct {
				Combined struct {
					Default struct {
						Names []nameMatcher `json:"match_subject_alt_names"`
						Typed []struct {
							Matcher nameMatcher `json:"matcher"`
						} `json:"match_typed_subject_alt_names"`
					} `json:"default_validation_context"`
				} `json:"combined_validation_context"`
			} `json:"common_tls_context"`
		} `json:"typed_config"`
	}
	nameMatcher struct {
		Exact string `json:"exact"`
	}
	endpointsDump struct {
		Configs []struct {
			Config struct {
				Localities []struct {
					Endpoints []struct {
						Health   string `json:"health_status"`
						Endpoint struct {
							Address struct {
								Socket struct {
									Address string `json:"address"`
									Port    uint16 `json:"port_value"`
								} `json:"socket_address"`
								Internal struct {
									Endpoint string `json:"endpoint_id"`
								} `json:"envoy_internal_address"`
							} `json:"address"`
						} `json:"endpoint"`
						Metadata struct {
							Filter struct {
								Match struct {
									TLSMode string `json:"tlsMode"`
									Tunnel  string `json:"tunnel"`
								} `json:"envoy.transport_socket_match"`
							} `json:"filter_metadata"`
						} `json:"metadata"`
					} `json:"lb_endpoints"`
				} `json:"endpoints"`
			} `json:"endpoint_config"`
		} `json:"configs"`
	}
)

func (v *proxyView) readCluster(raw []byte) error {
	var dump clustersDump
	if err := json.Unmarshal(raw, &dump); err != nil {
		return fmt.Errorf("clusters of the proxy: %w", err)
	}
	for _, c := range dump.Configs {
		v.known = true
		sockets := []upstreamSocket{c.Cluster.Socket}
		for _, m := range c.Cluster.Matches {
			sockets = append(sockets, m.Socket)
		}
		for _, s := range sockets {
			if s.Config.SNI == "" {
				continue
			}
			v.sni = s.Config.SNI
			expected := s.Config.Common.Combined.Default
			for _, n := range expected.Names {
				v.identities = append(v.identities, n.Exact)
			}
			for _, n := range expected.Typed {
				v.identities = append(v.identities, n.Matcher.Exact)
			}
		}
	}
	return nil
}

func (v *proxyView) readEndpoints(raw []byte) error {
	var dump endpointsDump
	if err := json.Unmarshal(raw, &dump); err != nil {
		return fmt.Errorf("endpoints of the proxy: %w", err)
	}
	for _, c := range dump.Configs {
		for _, l := range c.Config.Localities {
			for _, e := range l.Endpoints {
				if e.Health == "UNHEALTHY" || e.Health == "DRAINING" {
					continue
				}
				at, match := e.Endpoint.Address, e.Metadata.Filter.Match
				switch {
				case at.Internal.Endpoint != "":
					v.endpoints = append(v.endpoints, proxyEndpoint{address: at.Internal.Endpoint, tunnel: true})
				case at.Socket.Address != "":
					v.endpoints = append(v.endpoints, proxyEndpoint{
						address: net.JoinHostPort(at.Socket.Address, strconv.Itoa(int(at.Socket.Port))), tls: match.TLSMode == "istio",
					})
				}
			}
		}
	}
	return nil
}
