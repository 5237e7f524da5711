// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"io"
	"net/http"
	"runtime"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// gitVersion is what the server says it is.
const gitVersion = "v1.37.2+meshprobe"

// reviews returns the kinds of a group that are questions, not objects.
func reviews(group string) []string {
	switch group {
	case "authentication.k8s.io":
		return []string{"tokenreviews", "selfsubjectreviews"}
	case "authorization.k8s.io":
		return []string{"selfsubjectaccessreviews", "subjectaccessreviews", "localsubjectaccessreviews"}
	}
	return nil
}

func reviewKind(resource string) string {
	return map[string]string{
		"tokenreviews": "TokenReview", "selfsubjectreviews": "SelfSubjectReview",
		"selfsubjectaccessreviews": "SelfSubjectAccessReview", "subjectaccessreviews": "SubjectAccessReview",
		"localsubjectaccessreviews": "LocalSubjectAccessReview",
	}[resource]
}

// nonResource serves health, version and discovery.
func (s *Server) nonResource(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return apierrors.NewMethodNotSupported(schema.GroupResource{}, strings.ToLower(r.Method))
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch path {
	case "/healthz", "/readyz", "/livez":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok") // a client that is gone needs no answer
		return nil
	case "/version":
		writeJSON(w, http.StatusOK, version.Info{
			Major: "1", Minor: "37", GitVersion: gitVersion, GoVersion: runtime.Version(),
			Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH,
		})
		return nil
	}
	if _, ok := partial(r.Header.Get("Accept")); !ok {
		return notAcceptable()
	}
	body := s.discovery(strings.Split(strings.TrimPrefix(path, "/"), "/"))
	if body == nil {
		return errNoPage()
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

func (s *Server) discovery(parts []string) any {
	switch {
	case len(parts) == 1 && parts[0] == "api":
		return metav1.APIVersions{
			TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"},
			ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: s.addr}},
		}
	case len(parts) == 2 && parts[0] == "api" && parts[1] == "v1":
		return s.resources("", "v1")
	case parts[0] != "apis":
		return nil
	case len(parts) == 1:
		list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for _, g := range s.groups() {
			list.Groups = append(list.Groups, s.group(g))
		}
		return list
	}
	group := s.group(parts[1])
	if len(group.Versions) == 0 {
		return nil
	}
	if len(parts) == 2 {
		group.TypeMeta = metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}
		return group
	}
	return s.resources(parts[1], parts[2])
}

func (s *Server) groups() []string {
	return append(s.store.table.groups(), "authentication.k8s.io", "authorization.k8s.io")
}

func (s *Server) group(name string) metav1.APIGroup {
	versions := s.store.table.versions(name)
	if reviews(name) != nil {
		versions = []string{"v1"}
	}
	g := metav1.APIGroup{Name: name}
	for _, v := range versions {
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
	}
	if len(g.Versions) > 0 {
		g.PreferredVersion = g.Versions[0]
	}
	return g
}

// resources returns an untyped nil for a version that is not served.
func (s *Server) resources(group, v string) any {
	gv := schema.GroupVersion{Group: group, Version: v}
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	for _, name := range reviews(group) {
		if v != "v1" {
			break
		}
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: name, SingularName: strings.ToLower(reviewKind(name)), Kind: reviewKind(name),
			Verbs: metav1.Verbs{"create"}, Namespaced: name == "localsubjectaccessreviews",
		})
	}
	for _, r := range s.store.table.rows {
		if s.store.table.byName[gv.WithResource(r.Name)] == r {
			list.APIResources = append(list.APIResources, described(r)...)
		}
	}
	if len(list.APIResources) == 0 {
		return nil
	}
	return list
}

func described(r *Resource) []metav1.APIResource {
	out := []metav1.APIResource{{
		Name: r.Name, SingularName: strings.ToLower(r.Kind), Kind: r.Kind, Namespaced: r.Namespaced, ShortNames: r.Short,
		Verbs: metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
	}}
	if r.Status {
		out = append(out, metav1.APIResource{Name: r.Name + "/status", Kind: r.Kind, Namespaced: r.Namespaced, Verbs: metav1.Verbs{"get", "patch", "update"}})
	}
	if r.Group == "" && r.Name == "serviceaccounts" {
		out = append(out, metav1.APIResource{
			Name: "serviceaccounts/token", Kind: "TokenRequest", Group: "authentication.k8s.io", Version: "v1",
			Namespaced: true, Verbs: metav1.Verbs{"create"},
		})
	}
	return out
}
