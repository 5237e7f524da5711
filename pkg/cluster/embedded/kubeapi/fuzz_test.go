// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// local returns a server without its socket's part in a test: requests go
// straight to the handler.
func local(tb testing.TB) *Server {
	tb.Helper()
	s, err := New(tb.Context(), Options{Now: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// FuzzToken: nothing but what the issuer signed is ever taken.
func FuzzToken(f *testing.F) {
	s := local(f)
	sa, err := s.store.serviceAccount("default", "default")
	if err != nil {
		f.Fatal(err)
	}
	good, _, err := s.store.issuer.bound(sa, []string{audience}, time.Hour, boundClaims{})
	if err != nil {
		f.Fatal(err)
	}
	if _, _, err := s.store.holder(good, []string{audience}); err != nil {
		f.Fatalf("the issuer's own token: %v", err)
	}
	for _, seed := range []string{
		good, good[:len(good)-1], "", ".", "..", "e30.e30.", strings.Repeat("a.", 100),
		"eyJhbGciOiJub25lIn0" + good[strings.IndexByte(good, '.'):], good + "=", good + "\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		u, _, err := s.store.holder(token, []string{audience})
		if err == nil && token != good {
			t.Errorf("%q is taken for %s", token, u.name)
		}
	})
}

// FuzzHandler: whatever is sent, the answer is a status and never a panic or a 500.
func FuzzHandler(f *testing.F) {
	s := local(f)
	f.Add("POST", "/api/v1/namespaces/default/secrets", "application/json", `{"metadata":{"name":"x"},"data":{"a":"Yg=="}}`)
	f.Add("PATCH", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", "application/json-patch+json", `[{"op":"remove","path":"/data"}]`)
	f.Add("PATCH", "/api/v1/namespaces/default/serviceaccounts/default", "application/strategic-merge-patch+json", `{"secrets":[{"$patch":"x"}]}`)
	f.Add("PUT", "/apis/networking.istio.io/v1/namespaces/default/serviceentries/x", "application/yaml", "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: x}")
	f.Add("POST", "/apis/networking.istio.io/v1/namespaces/default/serviceentries", "application/json", `{"apiVersion":"networking.istio.io/v1","kind":"ServiceEntry","metadata":{"name":"x","labels":{"a":1}}}`)
	f.Add("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", "application/json", `{"spec":{"audiences":["a"]}}`)
	f.Add("DELETE", "/api/v1/namespaces/x", "application/json", `{"preconditions":{}}`)
	f.Add("GET", "/apis/apps/v1/deployments?limit=1&continue=x&labelSelector=a%3Db", "", "")
	f.Add("GET", "//api//v1", "", "")
	f.Add("POST", "/api/v1/namespaces", "application/vnd.kubernetes.protobuf", "k8s\x00\n\x0c")
	f.Fuzz(func(t *testing.T, method, target, contentType, body string) {
		u, err := url.Parse(target)
		if err != nil || strings.Contains(u.RawQuery, "watch") || strings.Contains(u.RawQuery, "%") {
			t.Skip() // a watch does not end
		}
		r := &http.Request{Method: method, URL: u, Header: http.Header{}, Body: http.NoBody, Host: "x"}
		r = r.WithContext(t.Context())
		r.Body = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)).Body
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", "Bearer "+s.adminToken)
		w := httptest.NewRecorder()
		s.serve(w, r)
		// Setting a resourceVersion on a create is 500 on a real server, too.
		if w.Code >= http.StatusInternalServerError && !strings.Contains(w.Body.String(), "resourceVersion should not be set") &&
			!strings.Contains(w.Body.String(), "Too large resource version") {
			t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
	})
}

func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s, err := New(b.Context(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStoreUpdate(b *testing.B) {
	s := local(b)
	key := corev1.SchemeGroupVersion.WithResource("secrets")
	secret := &corev1.Secret{Data: map[string][]byte{"k": make([]byte, 2048)}}
	secret.Name, secret.Namespace = "s", "default"
	o, err := s.store.Add(secret)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		secret := o.(*corev1.Secret)
		secret.Data["k"][0] = byte(i + 1)
		if o, err = s.store.Update(key, secret); err != nil {
			b.Fatal(err)
		}
	}
}
