// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"net/http"
	"strings"
)

// Request is what a URL and a method ask for: RequestInfo of k8s.io/apiserver.
// An interceptor uses it to pick what it disturbs.
type Request struct {
	Verb        string // get, list, watch, create, update, patch, delete, deletecollection
	Group       string
	Version     string
	Resource    string // plural; empty: Path is no resource
	Subresource string
	Namespace   string
	Name        string
	Path        string
}

// ParseRequest never fails: what is no resource has only Verb and Path.
func ParseRequest(r *http.Request) Request {
	q := Request{Path: r.URL.Path, Verb: strings.ToLower(r.Method)}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		q.Version = parts[1]
		parts = parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		q.Group, q.Version = parts[1], parts[2]
		parts = parts[3:]
	default:
		return q
	}
	// namespaces/NAME and its subresources are about the namespace itself.
	if parts[0] == "namespaces" && len(parts) > 1 {
		q.Namespace = parts[1]
		if len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
			parts = parts[2:]
		}
	}
	q.Resource = parts[0]
	if len(parts) > 1 {
		q.Name = parts[1]
	}
	if len(parts) > 2 {
		q.Subresource = strings.Join(parts[2:], "/")
	}
	q.Verb = verb(r, q.Name)
	return q
}

func verb(r *http.Request, name string) string {
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if name == "" {
			return "deletecollection"
		}
		return "delete"
	case http.MethodGet, http.MethodHead:
		if w := r.URL.Query().Get("watch"); w == "true" || w == "1" {
			return "watch"
		}
		if name == "" {
			return "list"
		}
		return "get"
	}
	return strings.ToLower(r.Method)
}

func (q Request) access() access {
	if q.Resource == "" {
		return access{verb: q.Verb, path: q.Path}
	}
	return access{verb: q.Verb, group: q.Group, resource: q.Resource, sub: q.Subresource, namespace: q.Namespace, name: q.Name}
}
