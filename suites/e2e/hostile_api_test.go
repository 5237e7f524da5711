// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
	"github.com/meshprobe/meshprobe/pkg/cluster/istioca"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// answer takes the place of the API's own; it returns false to let the API
// answer. n counts the requests of this verb and path to this cluster, from 1.
type answer func(w http.ResponseWriter, r *http.Request, q kubeapi.Request, n int) bool

// apis puts an answer in front of the API of every cluster; nil restores them.
func apis(t *testing.T, set *cluster.Set, a answer) {
	t.Helper()
	for _, c := range set.Clusters {
		api, ok := cluster.As[embedded.API](c)
		if !ok {
			t.Fatalf("%s has no embedded API", c.Name())
		}
		if a == nil {
			api.API().SetInterceptor(nil)
			continue
		}
		var mu sync.Mutex
		asked := map[string]int{}
		api.API().SetInterceptor(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q := kubeapi.ParseRequest(r)
				mu.Lock()
				asked[q.Verb+q.Path]++
				n := asked[q.Verb+q.Path]
				mu.Unlock()
				if !a(w, r, q, n) {
					next.ServeHTTP(w, r)
				}
			})
		})
	}
}

func writes(q kubeapi.Request) bool {
	return q.Verb == "create" || q.Verb == "update" || q.Verb == "patch" || q.Verb == "delete"
}

func refuse(w http.ResponseWriter, err error) bool {
	kubeapi.Refuse(w, err)
	return true
}

func conflict(w http.ResponseWriter, q kubeapi.Request) bool {
	return refuse(w, apierrors.NewConflict(schema.GroupResource{Group: q.Group, Resource: q.Resource}, q.Name, errors.New("somebody was faster")))
}

func silent(r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	return true
}

// answers are the disturbances of an API that pass: the first time of each
// request.
func answers() map[string]answer {
	return map[string]answer{
		"409": func(w http.ResponseWriter, _ *http.Request, q kubeapi.Request, n int) bool {
			return n == 1 && writes(q) && conflict(w, q)
		},
		"429": func(w http.ResponseWriter, _ *http.Request, q kubeapi.Request, n int) bool {
			return n == 1 && strings.HasPrefix(q.Resource, "s") && refuse(w, apierrors.NewTooManyRequests("slow down", 1))
		},
		"500": func(w http.ResponseWriter, _ *http.Request, _ kubeapi.Request, n int) bool {
			return n == 1 && refuse(w, apierrors.NewInternalError(errors.New("etcdserver: leader changed")))
		},
		"504": func(w http.ResponseWriter, _ *http.Request, q kubeapi.Request, n int) bool {
			return n == 1 && refuse(w, apierrors.NewServerTimeout(schema.GroupResource{Resource: q.Resource}, q.Verb, 0))
		},
		"silence": func(_ http.ResponseWriter, r *http.Request, q kubeapi.Request, n int) bool {
			return n == 1 && (q.Resource == "secrets" || q.Resource == "deployments") && silent(r)
		},
	}
}

// TestHostileAPIWhileFederating: what passes costs time only.
func TestHostileAPIWhileFederating(t *testing.T) {
	leakFree(t)
	for name, a := range answers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := job{topology: defaultTopology(t), requestTimeout: 200 * time.Millisecond}
			j.opened = func(set *cluster.Set) { apis(t, set, a) }
			j.disturb = func(set *cluster.Set) *cluster.Set { apis(t, set, nil); return set }
			got := j.run(t.Context(), t, 50*time.Second)
			if got.Verdict != probe.Conformant || got.err != nil {
				t.Errorf("%s, %v\n%s", got.Verdict, got.err, troubles(got.findings))
			}
			t.Logf("%s", got.took.Round(time.Millisecond))
		})
	}
}

// TestDeadAPIWhileFederating: what stays ends the run with one Broken finding.
func TestDeadAPIWhileFederating(t *testing.T) {
	leakFree(t)
	for name, a := range map[string]answer{
		"409": func(w http.ResponseWriter, _ *http.Request, q kubeapi.Request, _ int) bool {
			return writes(q) && conflict(w, q)
		},
		"403": func(w http.ResponseWriter, _ *http.Request, q kubeapi.Request, _ int) bool {
			return refuse(w, apierrors.NewForbidden(schema.GroupResource{Resource: q.Resource}, q.Name, errors.New("no")))
		},
		"500": func(w http.ResponseWriter, _ *http.Request, _ kubeapi.Request, _ int) bool {
			return refuse(w, apierrors.NewInternalError(errors.New("no etcd")))
		},
		"silence": func(_ http.ResponseWriter, r *http.Request, _ kubeapi.Request, _ int) bool { return silent(r) },
		"garbage": func(w http.ResponseWriter, _ *http.Request, _ kubeapi.Request, _ int) bool {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "<html>\x00{{{")
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := job{topology: defaultTopology(t), requestTimeout: 100 * time.Millisecond}
			j.opened = func(set *cluster.Set) { apis(t, set, a) }
			died(t, j.run(t.Context(), t, 20*time.Second))
		})
	}
}

// died checks a run whose set-up failed: one finding says why.
func died(t *testing.T, got result) {
	t.Helper()
	if got.err != nil || got.ExitStatus() != 3 {
		t.Errorf("exit status %d, %v", got.ExitStatus(), got.err)
	}
	if len(got.findings) != 1 || got.findings[0].Status != "broken" || got.findings[0].Reason == "" {
		t.Errorf("the report says %+v", got.findings)
	}
}

// TestRefusingIssuer: where no intermediate is signed, nothing is probed.
func TestRefusingIssuer(t *testing.T) {
	leakFree(t)
	j := job{topology: defaultTopology(t), issuer: refusingIssuer{newIssuer(t)}}
	got := j.run(t.Context(), t, 20*time.Second)
	died(t, got)
	if !strings.Contains(got.findings[0].Reason, errRefused.Error()) {
		t.Errorf("the reason is %q", got.findings[0].Reason)
	}
}

var errRefused = errors.New("the request was denied by policy")

type refusingIssuer struct{ issuer.Issuer }

func (refusingIssuer) Sign(context.Context, []byte, string) ([]*x509.Certificate, error) {
	return nil, errRefused
}

func newIssuer(t *testing.T) issuer.Issuer {
	t.Helper()
	is, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// TestHostileAPIWhileProbing: an API that fails makes findings Broken, never
// Fail, and leaves nothing behind: the next run is clean.
func TestHostileAPIWhileProbing(t *testing.T) {
	leakFree(t)
	set := meshOf(t, defaultTopology(t))
	// Each istiod has read the other cluster before the API fails: one that never
	// could has no endpoint there, and that is a finding of its own.
	if before := on(set).run(t.Context(), t, 20*time.Second); before.Verdict != probe.Conformant {
		t.Fatalf("before: %s\n%s", before.Verdict, troubles(before.findings))
	}
	for name, a := range map[string]answer{
		"429": func(w http.ResponseWriter, _ *http.Request, q kubeapi.Request, n int) bool {
			return n == 1 && q.Resource == "configmaps" && strings.Contains(q.Path, "ambient") && refuse(w, apierrors.NewTooManyRequests("slow down", 1))
		},
		"500 at times": func(w http.ResponseWriter, _ *http.Request, _ kubeapi.Request, n int) bool {
			return n%3 == 0 && refuse(w, apierrors.NewInternalError(errors.New("etcdserver: request timed out")))
		},
		"500": func(w http.ResponseWriter, _ *http.Request, _ kubeapi.Request, _ int) bool {
			return refuse(w, apierrors.NewInternalError(errors.New("no etcd")))
		},
		"409": func(w http.ResponseWriter, _ *http.Request, q kubeapi.Request, n int) bool {
			return n%2 == 0 && conflict(w, q)
		},
		"silence": func(_ http.ResponseWriter, r *http.Request, _ kubeapi.Request, n int) bool {
			return n%4 == 0 && silent(r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			apis(t, set, a)
			j := on(set)
			j.timeout, j.parallel = 4*time.Second, 32
			if name == "silence" {
				j.timeout = 3 * time.Second
			}
			got := j.run(t.Context(), t, 60*time.Second)
			if got.err != nil {
				t.Error(got.err)
			}
			broken := 0
			for _, f := range got.findings {
				if f.Status == "fail" {
					t.Errorf("fail %s %s: %s", f.ID, f.Subject, f.Cause)
				}
				if f.Status == "broken" {
					broken++
				}
			}
			if (broken > 0) != (got.ExitStatus() == 3) {
				t.Errorf("%d broken, exit status %d", broken, got.ExitStatus())
			}
			t.Logf("%s, %d broken, %s", got.Verdict, broken, got.took.Round(time.Millisecond))
			apis(t, set, nil)
			if after := on(set).run(t.Context(), t, 20*time.Second); after.Verdict != probe.Conformant {
				t.Errorf("afterwards: %s\n%s", after.Verdict, troubles(after.findings))
			}
		})
	}
}

// TestRefusingCA: where a CA issues nothing, its own finding says so, and
// nothing else is blamed. Without any identity no direction can be tried.
func TestRefusingCA(t *testing.T) {
	leakFree(t)
	set := meshOf(t, defaultTopology(t))
	for name, err := range map[string]error{
		"refuses": &istioca.Error{Code: codes.PermissionDenied, Err: errRefused},
		"silence": context.DeadlineExceeded,
		"denied":  apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts"}, "reviews", errRefused),
	} {
		t.Run(name, func(t *testing.T) {
			wrapped := make([]cluster.Cluster, len(set.Clusters))
			for i, c := range set.Clusters {
				wrapped[i] = refusingCA{c, err}
			}
			got := on(cluster.NewSet(set.Provider, set.Topology, wrapped, nil)).run(t.Context(), t, 20*time.Second)
			if got.err != nil || got.ExitStatus() == 0 {
				t.Errorf("exit status %d, %v", got.ExitStatus(), got.err)
			}
			for _, f := range got.findings {
				if f.Status == "fail" && f.ID != "ca/istiod-serves-cacerts" {
					t.Errorf("fail %s %s: %s", f.ID, f.Subject, f.Cause)
				}
			}
		})
	}
}

type refusingCA struct {
	cluster.Cluster
	err error
}

func (c refusingCA) Unwrap() cluster.Cluster { return c.Cluster }

func (c refusingCA) Identity(context.Context, string, string) (*cluster.Identity, error) {
	return nil, fmt.Errorf("identity: %w", c.err)
}
