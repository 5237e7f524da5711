// SPDX-License-Identifier: Apache-2.0

// Command hbone serves HBONE with Istio's own pkg/hbone, for tests that need a
// counterpart which meshprobe did not write. It stands in a module of its own
// because istio.io/istio has no place in the dependencies of meshprobe.
//
// It prints the address on which it listens as its first line and serves until
// its standard input ends.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"istio.io/istio/pkg/hbone"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hbone: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("hbone", flag.ContinueOnError)
	cert := flags.String("cert", "", "PEM file of the server's chain")
	key := flags.String("key", "", "PEM file of its key")
	root := flags.String("root", "", "PEM file of the root that clients must chain to")
	double := flags.Bool("double", false, "terminate double HBONE: a second TLS inside the tunnel")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg, err := config(*cert, *key, *root)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// ServeTLS would take h2 out of the ALPN list: pkg/hbone sets Protocols
	// without HTTP2. Istio's echo server wraps the listener itself, too.
	server := hbone.NewServer()
	if *double {
		server = hbone.NewDoubleHBONEServer(cfg.Clone())
	}
	server.ReadHeaderTimeout = 10 * time.Second
	if _, err := fmt.Fprintln(stdout, listener.Addr()); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(tls.NewListener(listener, cfg)) }()
	_, _ = io.Copy(io.Discard, stdin)
	closed := server.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return closed
}

func config(cert, key, root string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(root)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", root)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}, nil
}
