// SPDX-License-Identifier: Apache-2.0

// Command meshprobe proves that workloads in different clusters of a service
// mesh really trust each other.
//
// Standard output carries the report; everything else goes to standard error,
// with a "meshprobe: error:" or "meshprobe: hint:" prefix, no capitalised
// initials and no full stops, and a hint is a command that can be pasted.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/go-logr/logr"
	"golang.org/x/term"
	"k8s.io/klog/v2" //nolint:depguard // to silence it; see main
)

// garbage is the share of the live heap that may be garbage, in percent. A mesh
// of many clusters lives in this process; collecting earlier than Go's default
// costs little time and keeps it a quarter smaller (docs/performance.md).
const garbage = 50

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	// client-go logs through a global logger, to standard error, what it also
	// returns as an error; standard error is ours.
	klog.SetLogger(logr.Discard())
	// The first signal ends the run in good order; after it the default is
	// back, so that a second one ends the program at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	// A reader that leaves (| head) costs that report only: the write fails
	// instead of the program, and the files are written.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], stdio{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv,
		OutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		Width:       width(),
	}))
}

// width is the terminal's, 0 where there is none.
func width() int {
	w, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0
	}
	return w
}
