// SPDX-License-Identifier: Apache-2.0

package live

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// RefusedError says that the guard kept a request from leaving the process.
type RefusedError struct{ Verb, Resource string }

// Error names the verb and the resource.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("read-only: %s %s is not sent to the cluster", e.Verb, e.Resource)
}

// guard is a transport that refuses whatever could change a cluster.
type guard struct {
	next   http.RoundTripper
	prefix string                         // of the paths of the API, without a slash at its end
	also   func(method, path string) bool // lets more through; may be nil
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), g.prefix)
	if !ok {
		path = "" // no path of this API
	}
	if err := allowed(r.Method, path); err != nil && (g.also == nil || !g.also(r.Method, path)) {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes it in every case
		}
		return nil, err
	}
	return g.next.RoundTrip(r)
}

// WrappedRoundTripper is what client-go's utilities look for to close idle
// connections.
func (g *guard) WrappedRoundTripper() http.RoundTripper { return g.next }

// target is what a request is about, as far as the guard needs to know.
type target struct {
	group, resource, name, subresource string
	api                                bool // under /api or /apis, with a resource
}

// resource is how RBAC spells it: resource/subresource.
func (t target) String() string {
	if t.subresource == "" {
		return t.resource
	}
	return t.resource + "/" + t.subresource
}

// created are the only resources that a read-only client creates: questions, and
// streams, none of which is stored.
func created() []string {
	return []string{"serviceaccounts/token", "selfsubjectaccessreviews", "pods/portforward"}
}

// readable are the subresources that a GET may name. Others run something, or
// let something through, although they are a GET: exec, attach, proxy.
func readable() []string { return []string{"pods/portforward"} }

// discovery are the paths beside resources that only tell what the API is.
func discovery() []string {
	return []string{"/version", "/api", "/apis", "/openapi", "/healthz", "/livez", "/readyz"}
}

// allowed says whether a request is one of those that change nothing. What it
// does not understand is refused.
func allowed(method, path string) error {
	t, ok := parse(path)
	verb := strings.ToLower(method)
	refused := &RefusedError{Verb: verbOf(method, t), Resource: t.String()}
	switch {
	case !ok:
		refused.Resource = "a path that is no resource"
		return refused
	case verb == "get" && !t.api:
		return nil
	case verb == "get" && (t.subresource == "" || slices.Contains(readable(), t.String()) && t.groupFits()):
		return nil
	case verb == "post" && t.api && slices.Contains(created(), t.String()) && t.groupFits():
		return nil
	}
	return refused
}

// groupFits keeps a resource of somebody's own from passing under a builtin
// name.
func (t target) groupFits() bool {
	if t.resource == "selfsubjectaccessreviews" {
		return t.group == "authorization.k8s.io"
	}
	return t.group == ""
}

func verbOf(method string, t target) string {
	switch method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodDelete:
		if t.name == "" {
			return "deletecollection"
		}
	}
	return strings.ToLower(method)
}

// parse reads a path of the Kubernetes API (k8s.io/apiserver
// pkg/endpoints/request, RequestInfoFactory). Escapes, dots and empty segments
// have no place in one and are not understood.
func parse(path string) (target, bool) {
	if strings.ContainsAny(path, "%\\") || strings.Contains(path, "//") || strings.Contains(path, "/.") {
		return target{}, false
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var t target
	switch {
	case parts[0] == "api" && len(parts) > 2:
		parts = parts[2:] // api, version
	case parts[0] == "apis" && len(parts) > 3:
		t.group, parts = parts[1], parts[3:] // apis, group, version
	default:
		known := slices.ContainsFunc(discovery(), func(d string) bool { return path == d || strings.HasPrefix(path, d+"/") })
		return t, known
	}
	if parts[0] == "watch" || parts[0] == "proxy" {
		return t, false // prefixes of old, which nothing here uses
	}
	t.api = true
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		parts = parts[2:]
	}
	t.resource = parts[0]
	if len(parts) > 1 {
		t.name = parts[1]
	}
	if len(parts) > 2 {
		t.subresource = parts[2]
	}
	return t, len(parts) <= 3
}
