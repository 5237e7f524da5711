// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// workloadAPITime bounds the wait for an identity.
const workloadAPITime = 10 * time.Second

// identity is the one of --cert and --key, or of --spiffe-socket; nil where there
// is none.
func (f *liveFlags) identity(ctx context.Context) (*cluster.Identity, error) {
	switch {
	case f.socket != "" && (f.cert != "" || f.key != ""):
		return nil, &usageError{msg: "--cert and --spiffe-socket contradict each other", hint: "choose one source of the client certificate"}
	case f.socket != "":
		id, _, err := fetchIdentity(ctx, f.socket, workloadAPITime)
		return id, err
	case f.cert == "" && f.key == "":
		return nil, nil //nolint:nilnil // minted ones are used then
	case f.cert == "":
		return nil, &usageError{msg: "--key without --cert", hint: "give both, or none for certificates from istiod"}
	}
	id, err := readIdentity(f.cert, f.key)
	if err == nil && len(id.Certificates[0].URIs) == 0 {
		return nil, &usageError{msg: fmt.Sprintf("--cert %s holds no SPIFFE identity", f.cert), hint: "give the certificate of a workload: its SAN is spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT"}
	}
	return id, err
}
