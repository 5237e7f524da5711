// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"errors"
	"io"
	"net/http"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// call is one authorized request to a resource.
type call struct {
	Request
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	user *user
	res  *Resource
	slim bool // PartialObjectMetadata asked for
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.gate.enter() {
		return
	}
	defer s.gate.leave()
	var h http.Handler = http.HandlerFunc(s.api)
	if m := s.intercept.Load(); m != nil {
		h = (*m)(h)
	}
	h.ServeHTTP(w, r)
}

func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	if err := s.route(w, r); err != nil {
		Refuse(w, err)
	}
}

// route returns an error only while nothing has been answered.
func (s *Server) route(w http.ResponseWriter, r *http.Request) error {
	u, err := s.authenticate(r)
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return apierrors.NewUnauthorized("Unauthorized")
	}
	q := ParseRequest(r)
	if !s.allowed(u, q.access()) {
		return forbidden(u, q.access())
	}
	if q.Resource == "" {
		return s.nonResource(w, r)
	}
	slim, ok := partial(r.Header.Get("Accept"))
	if !ok {
		return notAcceptable()
	}
	c := &call{Request: q, s: s, w: w, r: r, user: u, slim: slim}
	if q.Group == "authentication.k8s.io" || q.Group == "authorization.k8s.io" {
		return c.review()
	}
	res, ok := s.store.table.byName[schema.GroupVersionResource{Group: q.Group, Version: q.Version, Resource: q.Resource}]
	if !ok {
		return errNoPage()
	}
	if !res.Namespaced && q.Namespace != "" && q.Resource != "namespaces" {
		return errNoPage()
	}
	if q.Resource == "namespaces" && q.Group == "" {
		c.Namespace = ""
	}
	c.res = res
	return c.dispatch()
}

func (c *call) dispatch() error {
	if c.Subresource != "" {
		return c.subresource()
	}
	if c.res.Namespaced && c.Namespace == "" && (c.Name != "" || c.Verb == "create" || c.Verb == "deletecollection") {
		if c.Name != "" {
			return errNoPage()
		}
		return apierrors.NewMethodNotSupported(c.res.gr(), c.Verb)
	}
	switch c.Verb {
	case "get":
		return c.get()
	case "list":
		return c.list()
	case "watch":
		return c.watch()
	case "create":
		if c.Name == "" {
			return c.create()
		}
	case "update":
		if c.Name != "" {
			return c.update(writeMode{})
		}
	case "patch":
		if c.Name != "" {
			return c.patch(writeMode{})
		}
	case "delete":
		return c.delete()
	case "deletecollection":
		return c.deleteCollection()
	}
	return apierrors.NewMethodNotSupported(c.res.gr(), c.Verb)
}

func (c *call) subresource() error {
	switch {
	case c.Subresource == "token" && c.Resource == "serviceaccounts" && c.Group == "":
		if c.Verb == "create" {
			return c.token()
		}
	case c.Subresource == "finalize" && c.Resource == "namespaces" && c.Group == "" && c.Verb == "update":
		return c.update(writeMode{})
	case c.Subresource == "status" && c.res.Status:
		switch c.Verb {
		case "get":
			return c.get()
		case "update":
			return c.update(writeMode{status: true})
		case "patch":
			return c.patch(writeMode{status: true})
		}
	default:
		return errNoPage()
	}
	return apierrors.NewMethodNotSupported(c.res.gr(), c.Verb)
}

func (c *call) token() error {
	var req authenticationv1.TokenRequest
	if err := c.body(&req); err != nil {
		return err
	}
	tr, err := c.s.store.TokenRequest(c.Namespace, c.Name, &req)
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusCreated, tr)
	return nil
}

// review serves the kinds that are questions and are never stored.
func (c *call) review() error {
	if c.Version != "v1" || c.Name != "" || c.Subresource != "" {
		return errNoPage()
	}
	if !slices.Contains(reviews(c.Group), c.Resource) {
		return errNoPage()
	}
	if c.Verb != "create" {
		return apierrors.NewMethodNotSupported(schema.GroupResource{Group: c.Group, Resource: c.Resource}, c.Verb)
	}
	answer, err := c.answer()
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusCreated, answer)
	return nil
}

func (c *call) answer() (runtime.Object, error) {
	switch c.Resource {
	case "tokenreviews":
		var in authenticationv1.TokenReview
		if err := c.body(&in); err != nil {
			return nil, err
		}
		if in.Spec.Token == "" {
			return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
		}
		return c.s.store.TokenReview(&in), nil
	case "selfsubjectreviews":
		out := &authenticationv1.SelfSubjectReview{}
		out.SetGroupVersionKind(authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview"))
		out.Status.UserInfo = userInfo(c.user)
		return out, nil
	}
	// One kind reads the other two: the attributes have the same place in all.
	var in authorizationv1.SubjectAccessReview
	if err := c.accessReview(&in); err != nil {
		return nil, err
	}
	return &in, nil
}

func (c *call) accessReview(in *authorizationv1.SubjectAccessReview) error {
	switch c.Resource {
	case "selfsubjectaccessreviews":
		var self authorizationv1.SelfSubjectAccessReview
		if err := c.body(&self); err != nil {
			return err
		}
		in.Spec.ResourceAttributes, in.Spec.NonResourceAttributes = self.Spec.ResourceAttributes, self.Spec.NonResourceAttributes
		in.Status = c.s.subjectAccess(c.user, in.Spec.ResourceAttributes, in.Spec.NonResourceAttributes)
		in.SetGroupVersionKind(authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"))
		return nil
	case "localsubjectaccessreviews":
		var local authorizationv1.LocalSubjectAccessReview
		if err := c.body(&local); err != nil {
			return err
		}
		in.Spec = local.Spec
		in.SetGroupVersionKind(authorizationv1.SchemeGroupVersion.WithKind("LocalSubjectAccessReview"))
	default:
		if err := c.body(in); err != nil {
			return err
		}
		in.SetGroupVersionKind(authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview"))
	}
	other := &user{name: in.Spec.User, groups: in.Spec.Groups}
	in.Status = c.s.subjectAccess(other, in.Spec.ResourceAttributes, in.Spec.NonResourceAttributes)
	return nil
}

// body reads the request into a kind of k8s.io/api.
func (c *call) body(into runtime.Object) error {
	data, err := readBody(c.r)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return nil
	}
	if err := decode(c.r, data, into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
