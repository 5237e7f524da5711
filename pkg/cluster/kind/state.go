// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// stateFile is where a node keeps what its mesh is.
const stateFile = "/kind/meshprobe.json"

// state is what a cluster says about its mesh. It holds no credential.
type state struct {
	Mesh     string           `json:"mesh"`
	Topology cluster.Topology `json:"topology"`
	Image    string           `json:"image"` // of meshprobe, in the nodes
	Created  time.Time        `json:"created"`
	Ready    bool             `json:"ready"` // set-up came to its end
}

// writeState keeps what a cluster is on its node.
func (d docker) writeState(ctx context.Context, member string, s state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	_, err = d.pipe(ctx, node(s.Mesh, member), data, "cp", "/dev/stdin", stateFile)
	return err
}

// readState reads it back. A node without it was never finished.
func (d docker) readState(ctx context.Context, container string) (state, error) {
	var s state
	out, err := d.command(ctx, nil, "exec", container, "cat", stateFile)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return s, fmt.Errorf("%s of %s: %w", stateFile, container, err)
	}
	return s, nil
}
