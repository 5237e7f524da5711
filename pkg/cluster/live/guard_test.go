// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

// roundTripper counts what gets through.
type roundTripper struct{ sent int }

func (r *roundTripper) RoundTrip(*http.Request) (*http.Response, error) {
	r.sent++
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestGuard(t *testing.T) {
	for request, want := range map[string]string{
		"GET /version":                                                   "",
		"GET /openapi/v3":                                                "",
		"GET /api/v1/pods":                                               "",
		"GET /api/v1/namespaces/shop/pods/a":                             "",
		"GET /api/v1/watch-this":                                         "",
		"GET /apis/networking.istio.io/v1/gateways":                      "",
		"GET /api/v1/namespaces/shop":                                    "",
		"GET /api/v1/namespaces/s/pods/a/portforward":                    "",
		"POST /api/v1/namespaces/s/pods/a/portforward":                   "",
		"POST /api/v1/namespaces/s/serviceaccounts/a/token":              "",
		"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews":    "",
		"POST /api/v1/namespaces/s/secrets":                              "create secrets",
		"POST /api/v1/namespaces":                                        "create namespaces",
		"PUT /api/v1/namespaces/s/secrets/a":                             "update secrets",
		"PATCH /api/v1/namespaces/s":                                     "patch namespaces",
		"DELETE /api/v1/namespaces/s/pods/a":                             "delete pods",
		"DELETE /api/v1/namespaces/s/pods":                               "deletecollection pods",
		"GET /api/v1/namespaces/s/pods/a/exec":                           "get pods/exec",
		"POST /api/v1/namespaces/s/pods/a/exec":                          "create pods/exec",
		"GET /api/v1/namespaces/s/pods/a/attach":                         "get pods/attach",
		"GET /api/v1/namespaces/s/pods/a/proxy":                          "get pods/proxy",
		"GET /api/v1/namespaces/s/services/a/proxy/x":                    "a path that is no resource",
		"GET /api/v1/nodes/a/proxy/run":                                  "a path that is no resource",
		"POST /api/v1/namespaces/s/pods/a/eviction":                      "create pods/eviction",
		"POST /api/v1/namespaces/s/pods/a/ephemeralcontainers":           "create pods/ephemeralcontainers",
		"POST /apis/authorization.k8s.io/v1/subjectaccessreviews":        "create subjectaccessreviews",
		"POST /apis/example.com/v1/selfsubjectaccessreviews":             "create selfsubjectaccessreviews",
		"POST /apis/example.com/v1/namespaces/s/serviceaccounts/a/token": "create serviceaccounts/token",
		"GET /apis/example.com/v1/namespaces/s/pods/a/portforward":       "get pods/portforward",
		"POST /apis/authentication.k8s.io/v1/tokenreviews":               "create tokenreviews",
		"GET /api/v1/watch/pods":                                         "a path that is no resource",
		"GET /api/v1/proxy/nodes/a":                                      "a path that is no resource",
		"GET /logs/kube-apiserver.log":                                   "a path that is no resource",
		"GET /api/v1/namespaces/s/pods/%2e%2e/exec":                      "a path that is no resource",
		"GET /api/v1/namespaces/s/pods/a/../../secrets":                  "a path that is no resource",
		"GET /api/v1//pods":                                              "a path that is no resource",
		"HEAD /api/v1/pods":                                              "head pods",
		"CONNECT /api/v1/namespaces/s/pods/a/portforward":                "connect pods/portforward",
	} {
		method, path, _ := strings.Cut(request, " ")
		next := &roundTripper{}
		r, err := http.NewRequestWithContext(t.Context(), method, "https://api.example", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if r.URL, err = url.Parse("https://api.example" + path); err != nil {
			t.Fatal(err)
		}
		answer, err := (&guard{next: next}).RoundTrip(r)
		if err == nil {
			_ = answer.Body.Close()
		}
		refused, isRefused := errors.AsType[*RefusedError](err)
		switch {
		case want == "" && (err != nil || next.sent != 1):
			t.Errorf("%s: %v, sent %d times", request, err, next.sent)
		case want != "" && (!isRefused || next.sent != 0):
			t.Errorf("%s: %v, sent %d times; want it refused", request, err, next.sent)
		case want != "" && !strings.HasSuffix(refused.Error(), want+" is not sent to the cluster"):
			t.Errorf("%s: refused as %q, want %q", request, refused, want)
		}
	}
}

// FuzzGuard holds the guard to a second reading of the same request: whatever
// passes is a read, a question or a port-forward by that reading too.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{"GET /api/v1/pods", "POST /api/v1/namespaces/s/pods/a/portforward", "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "GET /api/v1/namespaces/s/pods/a/exec", "GET /api/v1/nodes/a/proxy"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, request string) {
		method, path, _ := strings.Cut(request, " ")
		u, err := url.Parse("https://api.example" + path)
		if err != nil || !strings.HasPrefix(path, "/") {
			t.Skip()
		}
		r := &http.Request{Method: method, URL: u}
		if allowed(method, u.EscapedPath()) != nil {
			return
		}
		q := kubeapi.ParseRequest(r)
		what := q.Verb + " " + q.Resource + "/" + q.Subresource
		created := []string{"create serviceaccounts/token", "create pods/portforward", "create selfsubjectaccessreviews/"}
		read := slices.Contains([]string{"get", "list", "watch"}, q.Verb) && (q.Subresource == "" || q.Resource == "pods" && q.Subresource == "portforward")
		if !read && !slices.Contains(created, what) {
			t.Errorf("%s %s passes as %s", method, path, what)
		}
	})
}
