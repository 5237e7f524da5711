// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshprobe/meshprobe/pkg/federate"
)

// credentials are the keys and tokens in a set, and the base64 of them, as far
// as they are secret.
func credentials(t *testing.T, in map[string]*unstructured.Unstructured) []string {
	t.Helper()
	var out []string
	for _, o := range in {
		if o.GetKind() != "Secret" {
			continue
		}
		data, _, err := unstructured.NestedStringMap(o.Object, "data")
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range data {
			if !strings.HasSuffix(k, "key.pem") && k != "token" {
				continue
			}
			plain, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, v, string(plain))
			if lines := strings.Split(string(plain), "\n"); len(lines) > 2 {
				out = append(out, lines[1]) // of a PEM body
			}
		}
	}
	if len(out) < 8 {
		t.Fatalf("only %d credentials", len(out))
	}
	return out
}

func TestNothingShowsAKey(t *testing.T) {
	t.Parallel()
	set, o := mesh(t), options(t)
	furnish(t, set)
	var said strings.Builder
	plan := func() *federate.Plan {
		p, err := federate.NewPlan(t.Context(), set, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Diff(&said); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&said, "%+v\n", *p)
		return p
	}
	var r recorder
	if err := federate.Apply(t.Context(), plan(), r.take); err != nil {
		t.Fatal(err)
	}
	plan()
	st, err := federate.Status(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&said, "%+v\n", st)
	secret := credentials(t, snapshot(t, set))

	// Every write fails once for good, after some that work: errors say much.
	for k := 0; k < 6; k += stride() {
		failing := mesh(t)
		furnish(t, failing)
		f := &faults{before: func(n int, _ string) error {
			if n > k*7 {
				return apierrors.NewBadRequest("no")
			}
			return nil
		}}
		err := applyOn(t, options(t))(t.Context(), f.wrap(failing))
		if err == nil {
			break
		}
		if fe, ok := errors.AsType[*federate.Error](err); !ok || fe.Step == "" {
			t.Errorf("an error without its step: %v", err)
		}
		if strings.Count(err.Error(), "federate: ") != strings.Count(err.Error(), "\n")+1 {
			t.Errorf("not one prefix per error: %v", err)
		}
		fmt.Fprintln(&said, err)
		secret = append(secret, credentials(t, snapshot(t, failing))...)
	}
	if err := federate.Rollback(t.Context(), set, o, r.take); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&said, "%+v\n", r.events)

	for _, s := range append(secret, "PRIVATE KEY", "token:") {
		if strings.Contains(said.String(), s) {
			t.Fatalf("a credential is shown: %.12s…", s)
		}
	}
	if !strings.Contains(said.String(), "(private key, made by meshprobe in memory") {
		t.Error("the plan does not name the keys")
	}
}
