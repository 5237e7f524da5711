// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// workloadAPI hands one SVID to everybody who asks as the standard demands.
type workloadAPI struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	response *workload.X509SVIDResponse // nil: nobody is registered
}

func (w *workloadAPI) FetchX509SVID(_ *workload.X509SVIDRequest, stream grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	if md, _ := metadata.FromIncomingContext(stream.Context()); len(md.Get("workload.spiffe.io")) == 0 {
		return grpcstatus.Error(codes.InvalidArgument, "security header missing from request")
	}
	if w.response == nil {
		return grpcstatus.Error(codes.PermissionDenied, "no identity issued")
	}
	if err := stream.Send(w.response); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// serveWorkloadAPI serves an SVID of ca over a unix socket until the test ends;
// beside it, with the ending .denied, an API that knows nobody.
func serveWorkloadAPI(t *testing.T, ca *hbonetest.CA) (path string) {
	t.Helper()
	svid := ca.Issue(t, probeClient)
	key, err := x509.MarshalPKCS8PrivateKey(svid.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	// A path of a unix socket has 107 bytes at most.
	dir, err := os.MkdirTemp("", "mp") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "agent.sock")
	serveUnix(t, path, &workloadAPI{response: &workload.X509SVIDResponse{Svids: []*workload.X509SVID{{
		SpiffeId: probeClient, X509Svid: svid.Certificate[0], X509SvidKey: key, Bundle: ca.Cert.Raw,
	}}}})
	serveUnix(t, path+".denied", &workloadAPI{})
	return path
}

func serveUnix(t *testing.T, path string, api *workloadAPI) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(s, api)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); wg.Wait() })
}
