// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"encoding/pem"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestCASecretForm: istiod takes tls.crt before ca-cert.pem, in cacerts.
func TestCASecretForm(t *testing.T) {
	block := func(name string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(name)})
	}
	istio := map[string][]byte{
		"ca-cert.pem": block("ca"), "ca-key.pem": []byte("key"), "root-cert.pem": block("root"), "cert-chain.pem": block("chain"),
	}
	both := map[string][]byte{"tls.crt": block("tls"), "tls.key": []byte("key"), "ca.crt": block("tls root")}
	empty := map[string][]byte{"tls.crt": nil}
	for file, text := range istio {
		both[file], empty[file] = text, text
	}
	type form struct {
		CACert, Chain, Root string
		Missing             []string
	}
	ofIstio := form{CACert: "ca ", Chain: "chain ", Root: "root "}
	for _, tc := range []struct {
		name, secret string
		data         map[string][]byte
		want         form
	}{
		{"istio", PluginSecret, istio, ofIstio},
		{"both", PluginSecret, both, form{CACert: "tls ", Chain: "tls tls root ", Root: "tls root "}},
		{"an empty tls.crt", PluginSecret, empty, form{Missing: []string{"tls.crt", "tls.key", "ca.crt"}}},
		{"istiod's own", SelfSignedSecret, both, ofIstio},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := fake.NewClientset(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: tc.secret}, Data: tc.data})
			got, err := caSecret(t.Context(), k, "istio-system", tc.secret)
			if err != nil {
				t.Fatal(err)
			}
			text := func(certs Certs) (s string) {
				for _, c := range certs {
					s += string(c) + " "
				}
				return s
			}
			if diff := cmp.Diff(tc.want, form{text(got.CACert), text(got.Chain), text(got.Root), got.Missing}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
