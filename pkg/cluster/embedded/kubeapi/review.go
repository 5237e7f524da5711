// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	defaultTokenSeconds = 3600
	minTokenSeconds     = 600
	maxTokenSeconds     = 1 << 32
)

// TokenRequest issues a token for a service account, as the token subresource
// does. Empty audiences are the API's own; a nil ExpirationSeconds is an hour.
func (s *Store) TokenRequest(namespace, name string, req *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	sa, err := s.serviceAccount(namespace, name)
	if err != nil {
		return nil, err
	}
	req = req.DeepCopy()
	req.SetGroupVersionKind(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"))
	if len(req.Spec.Audiences) == 0 {
		req.Spec.Audiences = []string{audience}
	}
	if req.Spec.ExpirationSeconds == nil {
		req.Spec.ExpirationSeconds = new(int64(defaultTokenSeconds))
	}
	if err := validateTokenRequest(req, name); err != nil {
		return nil, err
	}
	refs, err := s.boundRef(namespace, name, req.Spec.BoundObjectRef)
	if err != nil {
		return nil, err
	}
	ttl := time.Duration(*req.Spec.ExpirationSeconds) * time.Second
	token, end, err := s.issuer.bound(sa, req.Spec.Audiences, ttl, refs)
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	req.Name, req.Namespace = name, namespace
	req.CreationTimestamp = metav1.NewTime(s.now().UTC().Truncate(time.Second))
	req.Status = authenticationv1.TokenRequestStatus{Token: token, ExpirationTimestamp: metav1.NewTime(end)}
	return req, nil
}

func validateTokenRequest(req *authenticationv1.TokenRequest, name string) error {
	at := field.NewPath("spec", "expirationSeconds")
	var errs field.ErrorList
	switch n := *req.Spec.ExpirationSeconds; {
	case n < minTokenSeconds:
		errs = append(errs, field.Invalid(at, n, "may not specify a duration less than 10 minutes"))
	case n > maxTokenSeconds:
		errs = append(errs, field.Invalid(at, n, "may not specify a duration larger than 2^32 seconds"))
	}
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(req.GroupVersionKind().GroupKind(), name, errs)
}

func (s *Store) boundRef(namespace, account string, ref *authenticationv1.BoundObjectReference) (boundClaims, error) {
	var refs boundClaims
	if ref == nil {
		return refs, nil
	}
	resource := map[string]string{"Pod": "pods", "Secret": "secrets"}[ref.Kind]
	if resource == "" || ref.APIVersion != "v1" {
		return refs, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to %s %s", account, ref.APIVersion, ref.Kind))
	}
	row := s.table.byName[corev1.SchemeGroupVersion.WithResource(resource)]
	o, err := s.get(row, namespace, ref.Name)
	if err != nil {
		return refs, err
	}
	if ref.UID != "" && ref.UID != o.GetUID() {
		return refs, apierrors.NewConflict(row.gr(), ref.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	bound := &objectRef{ref.Name, string(o.GetUID())}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		refs.Secret = bound
		return refs, nil
	}
	if pod.Spec.ServiceAccountName != account {
		return refs, apierrors.NewBadRequest(fmt.Sprintf(
			"cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account))
	}
	refs.Pod = bound
	return refs, nil
}

// TokenReview says whom a token speaks for, as POST tokenreviews does: bad
// tokens are an answer, not an error.
func (s *Store) TokenReview(in *authenticationv1.TokenReview) *authenticationv1.TokenReview {
	review := in.DeepCopy()
	review.SetGroupVersionKind(authenticationv1.SchemeGroupVersion.WithKind("TokenReview"))
	want := review.Spec.Audiences
	if len(want) == 0 {
		want = []string{audience}
	}
	u, both, err := s.holder(review.Spec.Token, want)
	if err != nil {
		review.Status = authenticationv1.TokenReviewStatus{Error: "[invalid bearer token, " + err.Error() + "]"}
		return review
	}
	review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: both, User: userInfo(u)}
	review.Status.User.Groups = append(review.Status.User.Groups, "system:authenticated")
	return review
}

func userInfo(u *user) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.name, UID: u.uid, Groups: u.groups}
	if len(u.extra) > 0 {
		info.Extra = map[string]authenticationv1.ExtraValue{}
		for k, v := range u.extra {
			info.Extra[k] = v
		}
	}
	return info
}

// subjectAccess fills in a SelfSubjectAccessReview or SubjectAccessReview.
func (s *Server) subjectAccess(u *user, res *authorizationv1.ResourceAttributes, non *authorizationv1.NonResourceAttributes) authorizationv1.SubjectAccessReviewStatus {
	var a access
	switch {
	case res != nil:
		a = access{verb: res.Verb, group: res.Group, resource: res.Resource, sub: res.Subresource, namespace: res.Namespace, name: res.Name}
	case non != nil:
		a = access{verb: non.Verb, path: non.Path}
	}
	return authorizationv1.SubjectAccessReviewStatus{Allowed: s.allowed(u, a)}
}
