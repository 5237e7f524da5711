// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// apiTimeout bounds one request to an API; streams are not requests.
const apiTimeout = 15 * time.Second

// connect makes the clients of a cluster. It does no I/O.
func connect(cfg Config) (*Cluster, error) {
	if cfg.REST == nil {
		return nil, errors.New("no way to its API")
	}
	config := rest.CopyConfig(cfg.REST)
	quiet(config)
	if !cfg.Options.Write {
		prefix, err := prefixOf(config)
		if err != nil {
			return nil, err
		}
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &guard{next: next, prefix: prefix} })
	}
	c := &Cluster{config: cfg, rest: config}
	short := rest.CopyConfig(config)
	short.Timeout = apiTimeout
	client, err := rest.HTTPClientFor(short)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if c.kube, err = kubernetes.NewForConfigAndClient(short, client); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if c.dynamic, err = dynamic.NewForConfigAndClient(short, client); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if c.api, err = apiServer(config); err != nil {
		return nil, err
	}
	c.close = func() { closeIdle(client) }
	c.forwards = newForwarder(config)
	c.inventory.c, c.identities.c = c, c
	return c, nil
}

// quiet makes a configuration that says who asks, and nothing to the user.
func quiet(config *rest.Config) {
	config.QPS, config.Burst = -1, -1 // the engine bounds what is in flight
	config.UserAgent = "meshprobe"
	config.WarningHandler = rest.NoWarnings{}
}

// prefixOf is the path under which a proxy serves an API, without the slash at
// its end; "" for an API of its own.
func prefixOf(config *rest.Config) (string, error) {
	u, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return "", fmt.Errorf("address of the API: %w", err)
	}
	return strings.TrimRight(u.EscapedPath(), "/"), nil
}

func closeIdle(client *http.Client) { utilnet.CloseIdleConnectionsFor(client.Transport) }

// apiServer is the address of the kubeconfig with the authority that signed
// its certificate, empty where the machine's own pool has to know it.
func apiServer(config *rest.Config) (cluster.APIServer, error) {
	u, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return cluster.APIServer{}, fmt.Errorf("address of the API: %w", err)
	}
	a := cluster.APIServer{URL: u.Scheme + "://" + u.Host, CA: config.CAData}
	if len(a.CA) == 0 && config.CAFile != "" {
		if a.CA, err = os.ReadFile(config.CAFile); err != nil {
			return a, fmt.Errorf("authority of the API: %w", err)
		}
	}
	return a, nil
}
