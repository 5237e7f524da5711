// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// appCommand is what workloads of clusters in Docker run: an application that
// answers every request with its name.
func (c *cli) appCommand() *cobra.Command {
	var listen, name string
	cmd := &cobra.Command{
		Use: "app", Short: "Answer HTTP requests with a name, as a workload of a test mesh", Hidden: true,
		Args: exactArgs(0, "no arguments"), Example: "  meshprobe app --listen :9080 --name east/shop/ratings",
		RunE: func(cmd *cobra.Command, _ []string) error { return serveApp(cmd.Context(), listen, name) },
	}
	cmd.Flags().StringVar(&listen, "listen", "", "`ADDRESS` to answer at; none only waits")
	cmd.Flags().StringVar(&name, "name", "meshprobe", "`NAME` to answer with")
	return cmd
}

// serveApp serves HTTP/1.1 and HTTP/2 in plaintext until the context ends.
func serveApp(ctx context.Context, listen, name string) error {
	if listen == "" {
		<-ctx.Done()
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return &usageError{msg: "--listen: " + err.Error(), hint: "for example: --listen :9080"}
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = fmt.Fprintln(w, name) // a caller that is gone needs no answer
		}),
		Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
