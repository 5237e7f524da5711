// SPDX-License-Identifier: Apache-2.0

package kubeapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

const readerName = "istio-reader-service-account"

// withAccounts has a reader, a pod that runs as it, and an account that may write.
func withAccounts(t *testing.T, now *clock) *kubeapi.Server {
	t.Helper()
	s := start(t, kubeapi.Options{Name: "east", Now: now.Now, Admins: []string{"default/istiod"}})
	for _, o := range []interface {
		metav1.Object
	}{
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: readerName, Namespace: "default"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "istiod", Namespace: "default"}},
	} {
		if _, err := s.Store().Add(o.(*corev1.ServiceAccount)); err != nil {
			t.Fatal(err)
		}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default"}, Spec: corev1.PodSpec{ServiceAccountName: readerName}}
	if _, err := s.Store().Add(pod); err != nil {
		t.Fatal(err)
	}
	return s
}

func withToken(t *testing.T, s *kubeapi.Server, token string) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(s.RESTConfigFor(token))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func token(t *testing.T, s *kubeapi.Server, name string, spec authenticationv1.TokenRequestSpec) string {
	t.Helper()
	tr, err := clientset(t, s).CoreV1().ServiceAccounts("default").CreateToken(t.Context(), name,
		&authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tr.Status.Token
}

func review(t *testing.T, s *kubeapi.Server, token string, audiences ...string) authenticationv1.TokenReviewStatus {
	t.Helper()
	tr, err := clientset(t, s).AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return tr.Status
}

func TestTokenRequestAndReview(t *testing.T) {
	now := newClock()
	s := withAccounts(t, now)
	pod, err := clientset(t, s).CoreV1().Pods("default").Get(t.Context(), "p", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tok := token(t, s, readerName, authenticationv1.TokenRequestSpec{
		Audiences: []string{"istio-ca"}, ExpirationSeconds: new(int64(600)),
		BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "p", UID: pod.UID},
	})
	if strings.Count(tok, ".") != 2 {
		t.Error("the token is no JWT")
	}
	got := review(t, s, tok, "istio-ca", "other")
	delete(got.User.Extra, "authentication.kubernetes.io/credential-id") // random
	want := authenticationv1.TokenReviewStatus{
		Authenticated: true, Audiences: []string{"istio-ca"},
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:default:" + readerName, UID: got.User.UID,
			Groups: []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"},
			Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {"p"}, "authentication.kubernetes.io/pod-uid": {string(pod.UID)},
			},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("review (-want +got):\n%s", d)
	}

	refused := map[string]func() authenticationv1.TokenReviewStatus{
		"audience":  func() authenticationv1.TokenReviewStatus { return review(t, s, tok) },
		"signature": func() authenticationv1.TokenReviewStatus { return review(t, s, tok[:len(tok)-4]+"AAAA", "istio-ca") },
		"other cluster": func() authenticationv1.TokenReviewStatus {
			return review(t, withAccounts(t, now), tok, "istio-ca")
		},
		"expired": func() authenticationv1.TokenReviewStatus {
			now.Advance(10 * time.Minute)
			defer now.Advance(-10 * time.Minute)
			return review(t, s, tok, "istio-ca")
		},
		"pod gone": func() authenticationv1.TokenReviewStatus {
			if err := s.Store().Delete(gvr("", "v1", "pods"), "default", "p"); err != nil {
				t.Fatal(err)
			}
			return review(t, s, tok, "istio-ca")
		},
	}
	for _, name := range []string{"audience", "signature", "other cluster", "expired", "pod gone"} {
		if st := refused[name](); st.Authenticated || st.Error == "" || st.User.Username != "" {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

func TestTokenRequestRefusals(t *testing.T) {
	s := withAccounts(t, newClock())
	accounts := clientset(t, s).CoreV1().ServiceAccounts("default")
	ask := func(name string, spec authenticationv1.TokenRequestSpec) error {
		_, err := accounts.CreateToken(t.Context(), name, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
		return err
	}
	if err := ask("nobody", authenticationv1.TokenRequestSpec{}); !apierrors.IsNotFound(err) {
		t.Errorf("unknown account: %v", err)
	}
	if err := ask(readerName, authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(599))}); !apierrors.IsInvalid(err) {
		t.Errorf("too short: %v", err)
	}
	pod := &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "p"}
	if err := ask("istiod", authenticationv1.TokenRequestSpec{BoundObjectRef: pod}); !apierrors.IsBadRequest(err) {
		t.Errorf("pod of another account: %v", err)
	}
	pod.UID = types.UID("other")
	if err := ask(readerName, authenticationv1.TokenRequestSpec{BoundObjectRef: pod}); !apierrors.IsConflict(err) {
		t.Errorf("pod of another uid: %v", err)
	}
}

func TestAccess(t *testing.T) {
	now := newClock()
	s := withAccounts(t, now)
	ctx := t.Context()
	reader := withToken(t, s, token(t, s, readerName, authenticationv1.TokenRequestSpec{}))
	istiod := withToken(t, s, token(t, s, "istiod", authenticationv1.TokenRequestSpec{}))

	if _, err := reader.CoreV1().Secrets("").List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("a reader cannot list: %v", err)
	}
	_, err := reader.CoreV1().Secrets("default").Create(ctx, secret("s", nil), metav1.CreateOptions{})
	want := `secrets is forbidden: User "system:serviceaccount:default:` + readerName +
		`" cannot create resource "secrets" in API group "" in the namespace "default"`
	if !apierrors.IsForbidden(err) || err.Error() != want {
		t.Errorf("a reader writes: %v\nwant %s", err, want)
	}
	if _, err := istiod.CoreV1().Secrets("default").Create(ctx, secret("s", nil), metav1.CreateOptions{}); err != nil {
		t.Errorf("an admin cannot write: %v", err)
	}

	may := func(c kubernetes.Interface, verb string) bool {
		r, err := c.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Resource: "secrets", Namespace: "default",
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Status.Allowed
	}
	if !may(reader, "list") || may(reader, "create") || !may(istiod, "create") {
		t.Error("SelfSubjectAccessReview disagrees with what happens")
	}
	self, err := reader.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || self.Status.UserInfo.Username != "system:serviceaccount:default:"+readerName {
		t.Errorf("SelfSubjectReview: %v, %+v", err, self)
	}

	for name, tok := range map[string]string{
		"garbage": "garbage", "other audience": token(t, s, readerName, authenticationv1.TokenRequestSpec{Audiences: []string{"istio-ca"}}),
	} {
		if _, err := withToken(t, s, tok).CoreV1().Secrets("").List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := withToken(t, s, "").CoreV1().Secrets("").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("anonymous: %v", err)
	}
	now.Advance(2 * time.Hour)
	if _, err := reader.CoreV1().Secrets("").List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("expired: %v", err)
	}
}

// TestRemoteSecret does what istioctl create-remote-secret does: a token secret
// of the reader, and a kubeconfig from what the cluster fills in.
func TestRemoteSecret(t *testing.T) {
	s := withAccounts(t, newClock())
	ctx, c := t.Context(), clientset(t, s)
	ts := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: readerName + "-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: readerName}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	ts, err := c.CoreV1().Secrets("default").Create(ctx, ts, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if string(ts.Data["namespace"]) != "default" || string(ts.Data["ca.crt"]) != string(s.CA()) {
		t.Fatal("the token secret is not filled in")
	}
	raw, err := s.Kubeconfig(string(ts.Data["token"]))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(raw)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.CoreV1().Services("").List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("through the remote secret: %v", err)
	}
	if err := c.CoreV1().ServiceAccounts("default").Delete(ctx, readerName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.CoreV1().Services("").List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("the token outlives its account: %v", err)
	}
	if _, err := c.CoreV1().Secrets("default").Get(ctx, ts.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the token secret outlives its account: %v", err)
	}
}

func TestKubeconfigs(t *testing.T) {
	s := withAccounts(t, newClock())
	admin, err := s.Kubeconfig("")
	if err != nil {
		t.Fatal(err)
	}
	reader, err := s.KubeconfigFor("default/" + readerName)
	if err != nil {
		t.Fatal(err)
	}
	for want, raw := range map[string][]byte{"kubernetes-admin": admin, "system:serviceaccount:default:" + readerName: reader} {
		file, err := clientcmd.Load(raw)
		if err != nil || file.CurrentContext != "east" {
			t.Fatalf("context %q, want east (%v)", file.CurrentContext, err)
		}
		cfg, err := clientcmd.RESTConfigFromKubeConfig(raw)
		if err != nil {
			t.Fatal(err)
		}
		c, err := kubernetes.NewForConfig(cfg)
		if err != nil {
			t.Fatal(err)
		}
		me, err := c.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil || me.Status.UserInfo.Username != want {
			t.Errorf("%s: %v, %+v", want, err, me)
		}
	}
	if _, err := s.KubeconfigFor("nobody"); err == nil {
		t.Error("an account without a namespace is taken")
	}
}
