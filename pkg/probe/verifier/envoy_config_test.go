// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// object is a piece of Envoy's configuration.
type object = map[string]any

const envoyExtensions = "type.googleapis.com/envoy.extensions."

// envoyFiles is what an Envoy needs to judge the corpus.
type envoyFiles struct {
	config, log string
}

// envoyPorts are the ports of one Envoy: two of its own, one of the server that
// presents chains to it, one of the server that greets accepted clients.
type envoyPorts struct{ client, server, upstream, greeter int }

// variant is how a case is judged: by the chain alone, or as istiod has an
// Envoy judge it, by the SAN too.
type variant struct {
	name         string
	clientPrefix string // of which a client needs a URI SAN
	serverID     string // which a server must present
}

func variants() []variant {
	return []variant{{name: "chain"}, {name: "mesh", clientPrefix: "spiffe://cluster.local/", serverID: ratings}}
}

// sni names a case and a variant in a handshake.
func (v variant) sni(c corpusCase) string { return c.Name + "." + v.name }

// writeEnvoyConfig writes a static configuration with a filter chain for each
// client and a cluster for each server to judge.
func writeEnvoyConfig(t *testing.T, list []corpusCase, ports envoyPorts, cert, key string) envoyFiles {
	t.Helper()
	dir := t.TempDir()
	files := envoyFiles{config: filepath.Join(dir, "envoy.json"), log: filepath.Join(dir, "access.log")}
	var chains []object
	clusters := []object{{"name": "greeter", "type": "STATIC", "load_assignment": endpoints("greeter", ports.greeter)}}
	for i, c := range list {
		bundle := filepath.Join(dir, fmt.Sprintf("roots-%d.pem", i))
		var text []byte
		for _, der := range c.Bundle(c.at) {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
		if err := os.WriteFile(bundle, text, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, v := range variants() {
			chains = append(chains, filterChain(v, v.sni(c), bundle, cert, key))
			clusters = append(clusters, cluster(v, v.sni(c), bundle, ports.upstream))
		}
	}
	writeJSON(t, files.config, object{"static_resources": object{
		"listeners": []object{clientListener(ports.client, files.log, chains), serverListener(ports.server)},
		"clusters":  clusters,
	}})
	return files
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func address(port int) object {
	return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
}

func endpoints(cluster string, port int) object {
	return object{"cluster_name": cluster, "endpoints": []object{{
		"lb_endpoints": []object{{"endpoint": object{"address": address(port)}}},
	}}}
}

func typed(name, kind string, fields object) object {
	fields["@type"] = envoyExtensions + kind
	return object{"name": name, "typed_config": fields}
}

// validation is a validation context with at most one SAN matcher.
func validation(bundle string, matcher object) object {
	ctx := object{"trusted_ca": object{"filename": bundle}}
	if matcher != nil {
		ctx["match_typed_subject_alt_names"] = []object{{"san_type": "URI", "matcher": matcher}}
	}
	return ctx
}

func tls13() object {
	return object{"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
}

// filterChain judges a client and lets an accepted one reach the greeter.
func filterChain(v variant, sni, bundle, cert, key string) object {
	var matcher object
	if v.clientPrefix != "" {
		matcher = object{"prefix": v.clientPrefix}
	}
	return object{
		"filter_chain_match": object{"server_names": []string{sni}},
		"transport_socket": typed("tls", "transport_sockets.tls.v3.DownstreamTlsContext", object{
			"require_client_certificate": true,
			"common_tls_context": object{
				"tls_params":         tls13(),
				"tls_certificates":   []object{{"certificate_chain": object{"filename": cert}, "private_key": object{"filename": key}}},
				"validation_context": validation(bundle, matcher),
			},
		}),
		"filters": []object{typed("greet", "filters.network.tcp_proxy.v3.TcpProxy", object{"stat_prefix": "greet", "cluster": "greeter"})},
	}
}

func clientListener(port int, log string, chains []object) object {
	return object{
		"name": "client", "address": address(port), "filter_chains": chains,
		"listener_filters": []object{typed("inspector", "filters.listener.tls_inspector.v3.TlsInspector", object{})},
		"access_log": []object{typed("file", "access_loggers.file.v3.FileAccessLog", object{
			"path": log,
			"log_format": object{"text_format_source": object{
				"inline_string": "%REQUESTED_SERVER_NAME% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n",
			}},
		})},
	}
}

// serverListener takes plain HTTP and forwards it to the cluster that the
// header names.
func serverListener(port int) object {
	return object{
		"name": "server", "address": address(port),
		"filter_chains": []object{{"filters": []object{
			typed("http", "filters.network.http_connection_manager.v3.HttpConnectionManager", object{
				"stat_prefix": "server",
				"http_filters": []object{
					typed("envoy.filters.http.router", "filters.http.router.v3.Router", object{}),
				},
				"route_config": object{"virtual_hosts": []object{{
					"name": "any", "domains": []string{"*"},
					"routes": []object{{"match": object{"prefix": "/"}, "route": object{"cluster_header": "x-cluster"}}},
				}}},
			}),
		}}},
	}
}

// cluster judges the server at the port, which presents the chain that the SNI
// names.
func cluster(v variant, sni, bundle string, port int) object {
	var matcher object
	if v.serverID != "" {
		matcher = object{"exact": v.serverID}
	}
	return object{
		"name": sni, "type": "STATIC", "connect_timeout": "30s",
		"load_assignment": endpoints(sni, port),
		"transport_socket": typed("tls", "transport_sockets.tls.v3.UpstreamTlsContext", object{
			"sni": sni,
			"common_tls_context": object{
				"tls_params":         tls13(),
				"validation_context": validation(bundle, matcher),
			},
		}),
	}
}
