// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// auditLog is where testdata/audit.yaml has nodes keep it.
const auditLog = "/var/log/kubernetes/audit.log"

// Request is one line of the audit log of an API server (audit.k8s.io/v1).
type Request struct {
	Verb, Namespace string
	Resource        string // as RBAC spells it: resource/subresource
	Code            int    // of the answer; of a stream, at its begin
	Received        time.Time
}

// event is what is read of audit.k8s.io/v1 Event.
type event struct {
	ID   string `json:"auditID"`
	Verb string `json:"verb"`
	URI  string `json:"requestURI"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	Object struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
	} `json:"objectRef"`
	Answer struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Received time.Time `json:"requestReceivedTimestamp"`
}

// Audited is what a user asked the API server of a cluster for, each request
// once. The test is skipped where the cluster keeps no audit log, or fails where
// real clusters are required.
func Audited(t *testing.T, c cluster.Cluster, user string) []Request {
	t.Helper()
	log, err := NodeOf(t, c).Exec(t.Context(), "cat", auditLog)
	if err != nil {
		why := "%s keeps no audit log: make the mesh with --kind-config of suites/e2e/kindtest/testdata/audit.yaml"
		if os.Getenv(envWanted) == "require" {
			t.Fatalf(why, c.Name())
		}
		t.Skipf(why, c.Name())
	}
	var out []Request
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(log))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%s: audit log: %v", c.Name(), err)
		}
		if e.User.Username != user || seen[e.ID] {
			continue
		}
		seen[e.ID] = true
		resource := strings.TrimSuffix(e.Object.Resource+"/"+e.Object.Subresource, "/")
		if resource == "" {
			resource, _, _ = strings.Cut(e.URI, "?")
		}
		out = append(out, Request{e.Verb, e.Object.Namespace, resource, e.Answer.Code, e.Received})
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: audit log: %v", c.Name(), err)
	}
	return out
}

// audited is kind configuration of clusters that keep an audit log.
func audited(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(module, "suites", "e2e", "kindtest", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(dir, "audit.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "audit.yaml")
	if err := os.WriteFile(path, bytes.ReplaceAll(config, []byte("POLICY"), []byte(filepath.Join(dir, "audit-policy.yaml"))), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
