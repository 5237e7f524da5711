// SPDX-License-Identifier: Apache-2.0

// Command caller calls URLs in a loop, as a client in a mesh does, and prints
// how often it called and what failed:
//
//	caller NAME=URL…
//
// It begins when its sidecar is ready and ends, after the calls under way, with
// SIGTERM.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	pace     = 50 * time.Millisecond // between calls of one URL
	patience = 10 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// Each call is a connection to the sidecar, which keeps its own to the peer.
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for call(ctx, client, "http://127.0.0.1:15021/healthz/ready") != "" && wait(ctx, pace) {
	}
	var all sync.WaitGroup
	for _, arg := range os.Args[1:] {
		name, url, _ := strings.Cut(arg, "=")
		all.Go(func() { loop(ctx, client, name, url) })
	}
	all.Wait()
}

func loop(ctx context.Context, client *http.Client, name, url string) {
	said := time.Now()
	n := 0
	for wait(ctx, pace) {
		// What is under way when the pod ends is still counted.
		why := call(context.WithoutCancel(ctx), client, url)
		n++
		if why != "" {
			fmt.Printf("failed %s %d %s\n", name, time.Now().UnixMilli(), why)
		}
		if time.Since(said) > time.Second/2 {
			fmt.Printf("called %s %d\n", name, n)
			said, n = time.Now(), 0
		}
	}
	fmt.Printf("called %s %d\n", name, n)
}

func call(ctx context.Context, client *http.Client, url string) (why string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := client.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 512))
	switch {
	case err != nil:
		return err.Error()
	case resp.StatusCode != http.StatusOK:
		// With the time that an upstream took it is the server's answer, else the
		// client's own sidecar said so.
		return fmt.Sprintf("%s: %.200q, upstream time %q", resp.Status, body, resp.Header.Get("X-Envoy-Upstream-Service-Time"))
	}
	return ""
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
