// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// clients are made on first use and share one connection.
type clients struct {
	mu      sync.Mutex
	http    *http.Client
	typed   kubernetes.Interface
	dynamic dynamic.Interface
}

// RESTConfig returns a config of the cluster's administrator, without
// client-side throttling. The caller owns it.
func (s *Server) RESTConfig() *rest.Config { return s.RESTConfigFor(s.adminToken) }

// RESTConfigFor returns a config that uses a bearer token.
func (s *Server) RESTConfigFor(token string) *rest.Config {
	return &rest.Config{
		Host: s.URL(), BearerToken: token, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.caPEM},
	}
}

// Clientset returns the administrator's typed client, the same one each time.
func (s *Server) Clientset() (kubernetes.Interface, error) {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	if s.clients.typed != nil {
		return s.clients.typed, nil
	}
	cfg := s.RESTConfig()
	h, err := s.clients.shared(cfg)
	if err != nil {
		return nil, err
	}
	c, err := kubernetes.NewForConfigAndClient(cfg, h)
	if err != nil {
		return nil, fmt.Errorf("kubeapi: %w", err)
	}
	s.clients.typed = c
	return c, nil
}

// Dynamic returns the administrator's dynamic client, the same one each time.
func (s *Server) Dynamic() (dynamic.Interface, error) {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	if s.clients.dynamic != nil {
		return s.clients.dynamic, nil
	}
	cfg := s.RESTConfig()
	h, err := s.clients.shared(cfg)
	if err != nil {
		return nil, err
	}
	c, err := dynamic.NewForConfigAndClient(cfg, h)
	if err != nil {
		return nil, fmt.Errorf("kubeapi: %w", err)
	}
	s.clients.dynamic = c
	return c, nil
}

func (c *clients) shared(cfg *rest.Config) (*http.Client, error) {
	if c.http != nil {
		return c.http, nil
	}
	h, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("kubeapi: %w", err)
	}
	c.http = h
	return h, nil
}

func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil {
		// http.Client.CloseIdleConnections stops at client-go's wrappers.
		utilnet.CloseIdleConnectionsFor(c.http.Transport)
	}
}

// Kubeconfig returns a kubeconfig (YAML) whose one context, named like the
// cluster, uses the token. An empty token is the administrator's.
func (s *Server) Kubeconfig(token string) ([]byte, error) {
	if token == "" {
		token = s.adminToken
	}
	cfg := clientcmdapi.NewConfig()
	cfg.CurrentContext = s.name
	cfg.Clusters[s.name] = &clientcmdapi.Cluster{Server: s.URL(), CertificateAuthorityData: s.caPEM}
	cfg.AuthInfos[s.name] = &clientcmdapi.AuthInfo{Token: token}
	cfg.Contexts[s.name] = &clientcmdapi.Context{Cluster: s.name, AuthInfo: s.name}
	out, err := clientcmd.Write(*cfg)
	if err != nil {
		return nil, fmt.Errorf("kubeapi: %w", err)
	}
	return out, nil
}

// KubeconfigFor returns a kubeconfig with a fresh token, good for an hour, of
// a service account "NAMESPACE/NAME".
func (s *Server) KubeconfigFor(account string) ([]byte, error) {
	ns, name, err := splitAccount(account)
	if err != nil {
		return nil, fmt.Errorf("kubeapi: %w", err)
	}
	tr, err := s.store.TokenRequest(ns, name, &authenticationv1.TokenRequest{})
	if err != nil {
		return nil, fmt.Errorf("kubeapi: %w", err)
	}
	return s.Kubeconfig(tr.Status.Token)
}

func splitAccount(account string) (namespace, name string, err error) {
	ns, name, ok := strings.Cut(account, "/")
	if !ok || ns == "" || name == "" {
		return "", "", fmt.Errorf("service account %q is not of the form NAMESPACE/NAME", account)
	}
	return ns, name, nil
}
