// SPDX-License-Identifier: Apache-2.0

package kindtest

import (
	"os/exec"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster/kind"
)

// Istioctl is that of the lab, or the one on PATH. Without any the test is
// skipped.
func Istioctl(t *testing.T) string {
	t.Helper()
	var p kind.Provider
	if lab(t, &p); p.Istioctl != "" {
		return p.Istioctl
	}
	path, err := exec.LookPath("istioctl")
	if err != nil {
		t.Skipf("there is neither istioctl on PATH nor a lab: %v", err)
	}
	return path
}
