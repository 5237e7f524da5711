// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// fetchIdentity asks the SPIFFE Workload API once for the default SVID and the
// bundle of its trust domain.
func fetchIdentity(ctx context.Context, address string, timeout time.Duration) (*cluster.Identity, seen.Certs, error) {
	if !strings.Contains(address, "://") && strings.HasPrefix(address, "/") {
		address = "unix://" + address
	}
	if err := workloadapi.ValidateAddress(address); err != nil {
		return nil, nil, &usageError{
			msg:  fmt.Sprintf("--spiffe-socket %q: %v", address, err),
			hint: "for example: --spiffe-socket unix:///run/spire/sockets/agent.sock",
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(address))
	if err != nil {
		return nil, nil, unanswered(address, err)
	}
	x509Context, err := client.FetchX509Context(ctx)
	err = errors.Join(err, client.Close())
	if err != nil {
		return nil, nil, unanswered(address, err)
	}
	svid := x509Context.DefaultSVID()
	bundle, err := x509Context.Bundles.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return nil, nil, unanswered(address, err)
	}
	roots := bundle.X509Authorities()
	return cluster.NewIdentity(svid.ID.String(), svid.Certificates, roots, svid.PrivateKey), seen.FromX509(roots), nil
}

// unanswered says why the Workload API gave nothing: nothing could be looked
// at, which is no fault of the command line.
func unanswered(address string, err error) error {
	switch code := grpcstatus.Code(err); {
	case errors.Is(err, context.DeadlineExceeded), code == codes.DeadlineExceeded:
		return fmt.Errorf("--spiffe-socket %s: the Workload API does not answer in time", address)
	case code == codes.PermissionDenied:
		return fmt.Errorf("--spiffe-socket %s: the Workload API has no identity for this process: is it registered?", address)
	case code == codes.Unavailable:
		return fmt.Errorf("--spiffe-socket %s: nothing serves the Workload API there", address)
	default:
		return fmt.Errorf("--spiffe-socket %s: %w", address, err)
	}
}
