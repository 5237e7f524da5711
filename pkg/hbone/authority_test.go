// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

func TestParseAuthority(t *testing.T) {
	type result struct {
		hbone.Authority
		Text string
	}
	for in, want := range map[string]result{
		"10.0.3.7:15008":         {hbone.Authority{Host: "10.0.3.7", Port: 15008}, "10.0.3.7:15008"},
		"[2001:DB8::0:1]:80":     {hbone.Authority{Host: "2001:db8::1", Port: 80}, "[2001:db8::1]:80"},
		"[::ffff:10.0.0.1]:80":   {hbone.Authority{Host: "::ffff:10.0.0.1", Port: 80}, "[::ffff:10.0.0.1]:80"},
		"Ratings.shop.svc.:9080": {hbone.Authority{Host: "ratings.shop.svc", Port: 9080}, "ratings.shop.svc:9080"},
		"a_b:1":                  {hbone.Authority{Host: "a_b", Port: 1}, "a_b:1"},
	} {
		got, err := hbone.ParseAuthority(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if diff := cmp.Diff(want, result{got, got.String()}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
	for _, in := range []string{
		"", ":", "host", "host:", ":80", "host:0", "host:65536", "host:+1", "host:-1", "host:x", "host:80:90", "host:80/",
		"2001:db8::1:80", "[10.0.0.1]:80", "[host]:80", "[::1%eth0]:80", "[::1]", "::1", "a b:80", "a..b:80", "-a:80",
		"a-:80", ".:80", "user@host:80", "http://host:80", "host\x00:80", "höst:80",
		strings.Repeat("a", 64) + ":80", strings.Repeat("a.", 127) + "aa:80",
	} {
		if got, err := hbone.ParseAuthority(in); !errors.Is(err, hbone.ErrAuthority) {
			t.Errorf("%q was parsed as %v, %v", in, got, err)
		}
	}
}

func FuzzParseAuthority(f *testing.F) {
	for _, s := range []string{"10.0.3.7:15008", "[2001:db8::1]:80", "ratings.shop.svc.cluster.local:9080", "[::1%lo]:1", ":80", "a:+1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := hbone.ParseAuthority(s)
		if err != nil {
			if (a != hbone.Authority{}) {
				t.Errorf("%q: a value beside the error: %v", s, a)
			}
			return
		}
		again, err := hbone.ParseAuthority(a.String())
		if err != nil || again != a {
			t.Errorf("%q: %v came back as %v, %v", s, a, again, err)
		}
	})
}
