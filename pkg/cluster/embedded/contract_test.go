// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster/clustertest"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
)

func TestProvider(t *testing.T) { clustertest.TestProvider(t, &embedded.Provider{}) }
