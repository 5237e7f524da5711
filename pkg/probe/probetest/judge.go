// SPDX-License-Identifier: Apache-2.0

// Package probetest holds probes to their fixtures.
//
// A fixture is one JSON file under observations/PROBE-ID/: an observation that
// was recorded from a run, at most a few operations away from it, and what the
// probe must say of it. The recorded observations themselves are kept once, in
// observations/recorded/.
//
//	{"about": "the other cluster has a root of its own",
//	 "patch": [{"op": "replace", "path": "/roots", "value": "@pki/root-same-dn.pem"}],
//	 "want": [{"status": "fail", "cause": "root-mismatch-same-dn"}]}
//
// A string value "@FILE" in a patch stands for the content of that file of the
// fixtures, so that a certificate that is wrong in one way is named, not
// pasted. "@FILE#N" is its Nth PEM block alone, counted from 0, and "@FILE#N-M"
// the Nth to the Mth: "@pki/good.pem#1" is the good intermediate.
package probetest

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// The folders of the fixtures.
const (
	observations = "observations"
	recorded     = observations + "/recorded"
)

// Fixture is one observation and what a probe must say of it.
type Fixture struct {
	Name  string          `json:"-"`               // file name without .json: the defect
	About string          `json:"about,omitempty"` // one line for the reader
	Base  string          `json:"base,omitempty"`  // recorded observation; default: the probe's own
	Patch json.RawMessage `json:"patch,omitempty"` // RFC 6902
	Want  []Want          `json:"want"`
}

// Want is what a probe must say in one finding.
type Want struct {
	Status probe.Status `json:"status"`
	Cause  string       `json:"cause,omitempty"`
}

// RecordedFile is where the observation of a name is kept.
func RecordedFile(name string) string {
	return recorded + "/" + strings.ReplaceAll(name, "/", ".") + ".json"
}

// Judge runs a probe over each of its fixtures. At least one must pass and at
// least one must not, and every cause that the probe declares must be reached.
func Judge(t *testing.T, p probe.Probe, fsys fs.FS) {
	t.Helper()
	passed, failed := false, false
	reached := map[string]bool{}
	for _, f := range Fixtures(t, p, fsys) {
		t.Run(f.Name, func(t *testing.T) {
			fs, err := p.JudgeRaw(f.Observation(t, p, fsys))
			if err != nil {
				t.Fatal(err)
			}
			var got []Want
			for _, one := range fs {
				got = append(got, Want{Status: one.Status, Cause: one.Cause.Code})
				reached[one.Cause.Code] = true
				passed = passed || one.Status == probe.Pass
				failed = failed || one.Cause.Code != ""
			}
			if diff := cmp.Diff(f.Want, got); diff != "" {
				t.Errorf("%s: findings (-want +got):\n%s\nevidence: %+v", f.About, diff, fs)
			}
		})
	}
	if !passed || !failed {
		t.Errorf("%s: fixtures must hold a passing and a failing observation (pass %t, fail %t)", p.ID, passed, failed)
	}
	for _, c := range p.Causes {
		if !reached[c.Code] {
			t.Errorf("%s declares the cause %s, but no fixture reaches it", p.ID, c.Code)
		}
	}
}

// Fixtures reads the fixtures of a probe; there must be some.
func Fixtures(t testing.TB, p probe.Probe, fsys fs.FS) []Fixture {
	t.Helper()
	names, err := fs.Glob(fsys, observations+"/"+p.ID+"/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("%s has no fixtures in %s/%s (err %v)", p.ID, observations, p.ID, err)
	}
	var out []Fixture
	for _, name := range names {
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		f := Fixture{Name: strings.TrimSuffix(path.Base(name), ".json")}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, f)
	}
	return out
}

// Observation is the recorded observation with the fixture's patch applied.
func (f Fixture) Observation(t testing.TB, p probe.Probe, fsys fs.FS) []byte {
	t.Helper()
	base := f.Base
	if base == "" {
		base = p.ObservationName()
	}
	raw, err := fs.ReadFile(fsys, RecordedFile(base))
	if err != nil {
		t.Fatalf("%s/%s: %v (record it: make fixtures)", p.ID, f.Name, err)
	}
	if len(f.Patch) == 0 {
		return raw
	}
	patched, err := apply(raw, f.Patch, fsys)
	if err != nil {
		t.Fatalf("%s/%s: %v", p.ID, f.Name, err)
	}
	return patched
}

func apply(raw, patch []byte, fsys fs.FS) ([]byte, error) {
	var ops any
	if err := json.Unmarshal(patch, &ops); err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	ops, err := include(ops, fsys)
	if err != nil {
		return nil, err
	}
	if patch, err = json.Marshal(ops); err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	out, err := decoded.Apply(raw)
	if err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	return out, nil
}

// include replaces strings "@FILE" by the files' contents.
func include(v any, fsys fs.FS) (any, error) {
	var errs []error
	switch v := v.(type) {
	case string:
		if name, ok := strings.CutPrefix(v, "@"); ok {
			return included(name, fsys)
		}
	case []any:
		for i := range v {
			var err error
			v[i], err = include(v[i], fsys)
			errs = append(errs, err)
		}
	case map[string]any:
		for k := range v {
			var err error
			v[k], err = include(v[k], fsys)
			errs = append(errs, err)
		}
	}
	return v, errors.Join(errs...)
}

// included is the content of FILE, or some PEM blocks of it.
func included(name string, fsys fs.FS) (string, error) {
	name, part, cut := strings.Cut(name, "#")
	raw, err := fs.ReadFile(fsys, name)
	if err != nil || !cut {
		return string(raw), err
	}
	first, last := 0, 0
	if n, err := fmt.Sscanf(part, "%d-%d", &first, &last); n == 0 {
		return "", fmt.Errorf("@%s#%s: %w", name, part, err)
	} else if n == 1 {
		last = first
	}
	var out bytes.Buffer
	for i := 0; i <= last; i++ {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			return "", fmt.Errorf("@%s#%s: the file has %d PEM blocks", name, part, i)
		}
		if i >= first {
			if err := pem.Encode(&out, block); err != nil {
				return "", fmt.Errorf("@%s#%s: %w", name, part, err)
			}
		}
	}
	return out.String(), nil
}
