// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	podNameExtra = "authentication.kubernetes.io/pod-name"
	podUIDExtra  = "authentication.kubernetes.io/pod-uid"
	tokenIDExtra = "authentication.kubernetes.io/credential-id"

	mastersGroup = "system:masters"
)

// user is who asks.
type user struct {
	name   string
	uid    string
	groups []string
	extra  map[string][]string
}

func anonymous() *user {
	return &user{name: "system:anonymous", groups: []string{"system:unauthenticated"}}
}

// authenticate returns who sent the request; no credentials at all is
// anonymous, wrong ones are an error.
func (s *Server) authenticate(r *http.Request) (*user, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return anonymous(), nil
	}
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, errToken
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.adminToken)) == 1 {
		return &user{name: "kubernetes-admin", groups: []string{mastersGroup, "system:authenticated"}}, nil
	}
	u, _, err := s.store.holder(token, []string{audience})
	if err != nil {
		return nil, err
	}
	u.groups = append(u.groups, "system:authenticated")
	return u, nil
}

// holder returns whom a token speaks for and which of the audiences it is for.
// The service account, and the pod or secret that the token is bound to, must
// still be the ones that it was issued for.
func (s *Store) holder(token string, audiences []string) (*user, []string, error) {
	c, err := s.issuer.open(token)
	if err != nil {
		return nil, nil, err
	}
	both := c.audiences(audiences)
	if len(both) == 0 {
		return nil, nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", c.Audience, audiences)
	}
	namespace, ref := c.LegacyNamespace, objectRef{c.LegacyName, c.LegacyUID}
	if c.Bound != nil {
		namespace, ref = c.Bound.Namespace, c.Bound.ServiceAccount
	}
	sa, err := s.serviceAccount(namespace, ref.Name)
	if err != nil || string(sa.UID) != ref.UID {
		return nil, nil, errors.New("service account has been deleted")
	}
	u := &user{
		name: subject(namespace, ref.Name), uid: ref.UID, extra: map[string][]string{},
		groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace},
	}
	if c.Bound == nil {
		return u, both, s.holdsSecret(namespace, c.LegacySecret, token)
	}
	u.extra[tokenIDExtra] = []string{"JTI=" + c.ID}
	return u, both, s.holdsBound(namespace, c.Bound, u)
}

func (s *Store) holdsSecret(namespace, name, token string) error {
	o, err := s.tracker.Get(corev1.SchemeGroupVersion.WithResource("secrets"), namespace, name)
	if err != nil {
		return errors.New("token has been invalidated")
	}
	secret, ok := o.(*corev1.Secret)
	if !ok || subtle.ConstantTimeCompare(secret.Data[corev1.ServiceAccountTokenKey], []byte(token)) != 1 {
		return errors.New("token does not match server's copy")
	}
	return nil
}

func (s *Store) holdsBound(namespace string, b *boundClaims, u *user) error {
	for resource, ref := range map[string]*objectRef{"pods": b.Pod, "secrets": b.Secret} {
		if ref == nil {
			continue
		}
		o, err := s.get(s.table.byName[corev1.SchemeGroupVersion.WithResource(resource)], namespace, ref.Name)
		if err != nil || string(o.GetUID()) != ref.UID {
			return errors.New("service account token has been invalidated")
		}
	}
	if b.Pod != nil {
		u.extra[podNameExtra] = []string{b.Pod.Name}
		u.extra[podUIDExtra] = []string{b.Pod.UID}
	}
	return nil
}

// access is one question to the authorizer.
type access struct {
	verb                 string
	group, resource, sub string
	namespace, name      string
	path                 string // of what is no resource
}

// allowed is the whole of RBAC here: masters and the service accounts of
// [Options.Admins] may all, other service accounts read everything (which is
// what istio-reader needs) and ask for reviews, anybody may ask for health and
// version.
func (s *Server) allowed(u *user, a access) bool {
	if slices.Contains(u.groups, mastersGroup) || s.admins[u.name] {
		return true
	}
	known := slices.Contains(u.groups, "system:authenticated")
	if a.path != "" {
		switch a.path {
		case "/healthz", "/readyz", "/livez", "/version", "/version/":
			return true
		}
		return known && a.verb == "get"
	}
	if !known {
		return false
	}
	switch a.group {
	case "authentication.k8s.io", "authorization.k8s.io":
		return a.verb == "create"
	}
	return a.verb == "get" || a.verb == "list" || a.verb == "watch"
}

// forbidden says what a real server says: responsewriters.Forbidden of k8s.io/apiserver.
func forbidden(u *user, a access) error {
	if a.path != "" {
		return apierrors.NewForbidden(schema.GroupResource{}, "",
			fmt.Errorf("User %q cannot %s path %q", u.name, a.verb, a.path))
	}
	resource := a.resource
	if a.sub != "" {
		resource += "/" + a.sub
	}
	scope := "at the cluster scope"
	if a.namespace != "" {
		scope = fmt.Sprintf("in the namespace %q", a.namespace)
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: a.group, Resource: a.resource}, a.name,
		fmt.Errorf("User %q cannot %s resource %q in API group %q %s", u.name, a.verb, resource, a.group, scope))
}
