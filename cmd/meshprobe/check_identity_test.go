// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// TestCheckTakesAnIdentity has check show an SVID of the Workload API.
func TestCheckTakesAnIdentity(t *testing.T) {
	ca := hbonetest.NewCA(t, "Root")
	socket := serveWorkloadAPI(t, ca)
	id, err := (&liveFlags{socket: "unix://" + socket}).identity(t.Context())
	if err != nil || id.ID != probeClient || len(id.Certificates) != 1 || id.TLS().PrivateKey == nil {
		t.Errorf("%+v, %v", id, err)
	}
	if id, err := (&liveFlags{}).identity(t.Context()); id != nil || err != nil {
		t.Errorf("without flags: %+v, %v", id, err)
	}
	if _, err := (&liveFlags{socket: socket + ".denied"}).identity(t.Context()); err == nil || !strings.Contains(err.Error(), "is it registered?") {
		t.Errorf("not registered: %v", err)
	}
}
