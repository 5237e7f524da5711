// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestClientsLetGo: closing the clients closes their connections, which the
// server, still running, sees.
func TestClientsLetGo(t *testing.T) {
	s, err := New(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Clientset()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	s.clients.close()
	gone := make(chan struct{})
	go func() { s.conns.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("the connection is still open")
	}
}
