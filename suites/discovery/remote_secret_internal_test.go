// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/meshprobe/meshprobe/suites/seen"
)

// losing takes connections and forgets the first of them, which hear nothing.
type losing struct {
	net.Listener
	left, taken atomic.Int32
	mu          sync.Mutex
	lost        []net.Conn
}

func (l *losing) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.taken.Add(1)
		if l.left.Add(-1) < 0 {
			return conn, nil
		}
		l.mu.Lock()
		l.lost = append(l.lost, conn)
		l.mu.Unlock()
	}
}

// Close ends the lost ones, too.
func (l *losing) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.lost {
		err = errors.Join(err, conn.Close())
	}
	return err
}

// TestRemoteSecretIsTriedAgain loses connections on the way to the API.
func TestRemoteSecretIsTriedAgain(t *testing.T) {
	for _, tc := range []struct {
		name    string
		hang    int32 // so many connections say nothing
		foreign bool  // the kubeconfig trusts another CA
		reached string
		taken   int32 // connections
	}{
		{"none lost", 0, false, "uid", 1},
		{"one lost", 1, false, "uid", 2},
		{"all lost", 1000, false, "", 2},
		{"another CA", 0, true, "", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				body := `{"kind":"ServiceList","apiVersion":"v1","items":[{"metadata":{"name":"one"}}]}`
				if r.URL.Path == "/api/v1/namespaces/kube-system" {
					body = `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system","uid":"uid"}}`
				}
				_, _ = w.Write([]byte(body))
			}))
			d := &losing{Listener: api.Listener}
			d.left.Store(tc.hang)
			api.Listener = d
			api.StartTLS()
			defer api.Close()
			ca := api.Certificate()
			if tc.foreign {
				ca = foreignCA(t)
			}
			config := clientcmdapi.NewConfig()
			config.Clusters["west"] = &clientcmdapi.Cluster{Server: api.URL, CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})}
			config.AuthInfos["west"] = &clientcmdapi.AuthInfo{Token: "none"}
			config.Contexts["west"] = &clientcmdapi.Context{Cluster: "west", AuthInfo: "west"}
			config.CurrentContext = "west"
			kubeconfig, err := clientcmd.Write(*config)
			if err != nil {
				t.Fatal(err)
			}
			o := remoteSecretSeen{From: "east", To: "west"}
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			if err := o.try(ctx, nil, kubeconfig); err != nil {
				t.Fatal(err)
			}
			if o.Reached != tc.reached || (o.Problem == "") != (tc.reached != "") || d.taken.Load() != tc.taken {
				t.Errorf("reached %q over %d connections: %s", o.Reached, d.taken.Load(), o.Problem)
			}
		})
	}
}

// foreignCA is a certificate that signed nothing.
func foreignCA(t *testing.T) *x509.Certificate {
	t.Helper()
	id, err := seen.Foreign("spiffe://cluster.local/ns/a/sa/b", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return id.Roots[0]
}
