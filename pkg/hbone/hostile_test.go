// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// use opens a tunnel and uses it until it fails.
func use(t *testing.T, d *hbone.Dialer, addr string) error {
	t.Helper()
	s, err := d.Connect(t.Context(), addr)
	if err != nil {
		return err
	}
	defer s.Close()
	c, err := s.Open(t.Context(), "10.0.0.1:80", nil)
	if err != nil {
		return err
	}
	wrote := make(chan error, 1)
	go func() {
		for {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				wrote <- err
				return
			}
		}
	}()
	// The reader does not consume, so that windows fill.
	werr := <-wrote
	_, err = io.Copy(io.Discard, c)
	if err == nil {
		err = werr
	}
	return err
}

func isReset(code http2.ErrCode, remote bool) func(error) bool {
	return func(err error) bool {
		re, ok := errors.AsType[*hbone.ResetError](err)
		return ok && re.Code == code && re.Remote == remote
	}
}

func isProtocol(code http2.ErrCode) func(error) bool {
	return func(err error) bool {
		pe, ok := errors.AsType[*hbone.ProtocolError](err)
		return ok && pe.Code == code
	}
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func isGoAway(code http2.ErrCode, debug string) func(error) bool {
	return func(err error) bool {
		ge, ok := errors.AsType[*hbone.GoAwayError](err)
		return ok && ge.Code == code && strings.HasPrefix(ge.Debug, debug) && len(ge.Debug) <= 256
	}
}

// isFlood: a flood ends at the bound of the queue, or earlier on a slow machine,
// when its PING is not answered.
func isFlood(err error) bool {
	return isProtocol(http2.ErrCodeEnhanceYourCalm)(err) || errors.Is(err, hbone.ErrStalled)
}

func isALPN(err error) bool {
	_, ok := errors.AsType[*hbone.ALPNError](err)
	return ok
}

func isAlert(name string) func(error) bool {
	return func(err error) bool {
		a, ok := hbone.RemoteAlert(err)
		return ok && hbone.AlertName(a) == name
	}
}

func TestHostileServersEndInANamedError(t *testing.T) {
	m := newMesh(t)
	type server = hbonetest.Server
	for name, tc := range map[string]struct {
		srv   server
		phase hbone.Phase
		named func(error) bool
	}{
		"alpn-http11":            {server{ALPNHTTP11: true}, hbone.PhaseHandshake, isAlert("no_application_protocol")},
		"no-alpn":                {server{NoALPN: true}, hbone.PhaseHandshake, isALPN},
		"no-client-cert-request": {server{NoClientCertRequest: true}, hbone.PhaseHandshake, is(hbone.ErrNoClientCertRequest)},
		"closes-in-handshake":    {server{ClosesInHandshake: true}, hbone.PhaseHandshake, is(io.EOF)},
		"mute":                   {server{Mute: true}, hbone.PhaseSettings, is(hbone.ErrNoSettings)},
		"no-settings":            {server{NoSettings: true}, hbone.PhaseSettings, is(hbone.ErrNoSettings)},
		"http11":                 {server{HTTP11: true}, hbone.PhaseSettings, is(hbone.ErrNoSettings)},
		"bad-settings":           {server{BadSettings: true}, hbone.PhaseSettings, isProtocol(http2.ErrCodeProtocol)},
		"go-away-at-once":        {server{GoAwayAtOnce: true}, hbone.PhaseConnect, isGoAway(http2.ErrCodeNo, "drain.ing")},
		"closes-on-settings":     {server{ClosesOnSettings: true}, hbone.PhaseConnect, is(hbone.ErrConnClosed)},
		"answers-never":          {server{AnswersNever: true}, hbone.PhaseConnect, is(context.DeadlineExceeded)},
		"endless-headers":        {server{EndlessHeaders: true}, hbone.PhaseConnect, is(hbone.ErrHeaderList)},
		"huge-headers":           {server{HugeHeaders: true}, hbone.PhaseConnect, is(hbone.ErrHeaderList)},
		"huge-header-value":      {server{HugeHeaderValue: true}, hbone.PhaseConnect, isProtocol(http2.ErrCodeCompression)},
		"endless-interim":        {server{EndlessInterim: true}, hbone.PhaseConnect, isReset(http2.ErrCodeProtocol, false)},
		"bad-status":             {server{BadStatus: true}, hbone.PhaseConnect, isReset(http2.ErrCodeProtocol, false)},
		"no-status":              {server{NoStatus: true}, hbone.PhaseConnect, isReset(http2.ErrCodeProtocol, false)},
		"upper-case-header":      {server{UpperCaseHeader: true}, hbone.PhaseConnect, isReset(http2.ErrCodeProtocol, false)},
		"data-first":             {server{DataFirst: true}, hbone.PhaseConnect, isReset(http2.ErrCodeProtocol, false)},
		"pushes-promise":         {server{PushesPromise: true}, hbone.PhaseConnect, isProtocol(http2.ErrCodeProtocol)},
		"refuses-stream":         {server{RefusesStream: true}, hbone.PhaseConnect, isReset(http2.ErrCodeRefusedStream, true)},
		"go-away-on-request":     {server{GoAwayOnRequest: true}, hbone.PhaseConnect, isGoAway(http2.ErrCodeEnhanceYourCalm, "calm calm")},
		"headers-on-unknown":     {server{HeadersOnUnknown: true}, hbone.PhaseConnect, isProtocol(http2.ErrCodeProtocol)},
		"answer-before-dial":     {server{AnswerBeforeDial: true}, hbone.PhaseStream, isReset(http2.ErrCodeConnect, true)},
		"reset-mid-stream":       {server{ResetMidStream: true}, hbone.PhaseStream, isReset(http2.ErrCodeInternal, true)},
		"closes-mid-stream":      {server{ClosesMidStream: true}, hbone.PhaseStream, is(hbone.ErrConnClosed)},
		"never-reads":            {server{NeverReads: true}, hbone.PhaseStream, is(hbone.ErrStalled)},
		"huge-window-update":     {server{HugeWindowUpdate: true}, hbone.PhaseStream, isProtocol(http2.ErrCodeFlowControl)},
		"overruns-window":        {server{OverrunsWindow: true}, hbone.PhaseStream, isReset(http2.ErrCodeFlowControl, false)},
		"huge-frame":             {server{HugeFrame: true}, hbone.PhaseStream, isProtocol(http2.ErrCodeFrameSize)},
		"bad-padding":            {server{BadPadding: true}, hbone.PhaseStream, isProtocol(http2.ErrCodeProtocol)},
		"floods-ping":            {server{FloodsPing: true}, hbone.PhaseStream, isFlood},
		"floods-settings":        {server{FloodsSettings: true}, hbone.PhaseStream, isFlood},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.srv.TLS = m.serverTLS()
			addr := tc.srv.Start(t)
			d := &hbone.Dialer{TLS: m.clientTLS(), Timeout: 500 * time.Millisecond, KeepAlive: 700 * time.Millisecond, KeepAliveTimeout: time.Second}
			start := time.Now()
			err := use(t, d, addr)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			he, ok := errors.AsType[*hbone.Error](err)
			if !ok || he.Phase != tc.phase || !tc.named(err) {
				t.Errorf("got %v", err)
			}
			if ok && len(err.Error()) > 600 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestHostileMemory lets servers send and receive without end and looks at the heap.
func TestHostileMemory(t *testing.T) {
	m := newMesh(t)
	for name, srv := range map[string]hbonetest.Server{
		"endless-headers": {EndlessHeaders: true}, "overruns-window": {OverrunsWindow: true},
		"never-reads": {NeverReads: true}, "floods-ping": {FloodsPing: true},
	} {
		t.Run(name, func(t *testing.T) {
			srv.TLS = m.serverTLS()
			addr := srv.Start(t)
			before := heap()
			d := &hbone.Dialer{TLS: m.clientTLS(), KeepAlive: 200 * time.Millisecond, KeepAliveTimeout: 300 * time.Millisecond}
			s, err := d.Connect(t.Context(), addr)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c, err := s.Open(t.Context(), "10.0.0.1:80", nil)
			for err == nil {
				_, err = c.Write(make([]byte, 1<<20))
			}
			if grown := int64(heap()) - int64(before); grown > 24<<20 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return ms.HeapAlloc
}
