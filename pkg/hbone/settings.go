// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"math"
	"time"

	"golang.org/x/net/http2"
)

// ztunnel's values (src/config.rs, src/proxy/h2).
const (
	defaultStreamWindow     = 4 << 20
	defaultConnWindow       = 16 << 20
	defaultMaxFrame         = 1 << 20
	defaultClientHeaderList = 16 << 10
	defaultServerHeaderList = 64 << 10
	defaultServerStreams    = 200
	defaultKeepAlive        = 10 * time.Second
	defaultKeepAliveTimeout = 20 * time.Second
	// defaultTimeout lets ztunnel's own 10 s upstream timeout answer 503 first.
	defaultTimeout = 15 * time.Second
)

// Values that hold until SETTINGS say otherwise (RFC 9113 §6.5.2, §6.9.2).
const (
	initialWindow   = 65535
	initialMaxFrame = 16384
	maxWindow       = math.MaxInt32
)

// Unlimited is what [Settings] hold where the peer sets no limit.
const Unlimited = math.MaxUint32

// Settings are the limits that one end of a connection grants to the other. A
// zero field of a configuration means ztunnel's default. MaxConcurrentStreams
// limits what the peer may open, so a client has no use for it.
type Settings struct {
	StreamWindow         uint32 // INITIAL_WINDOW_SIZE, bytes; default 4 MiB
	ConnWindow           uint32 // connection window, bytes, at least 65535; default 16 MiB; not part of SETTINGS, 0 in a peer's
	MaxFrameSize         uint32 // bytes, 16 KiB to 16 MiB - 1; default 1 MiB
	MaxHeaderListSize    uint32 // bytes; default 16 KiB as client, 64 KiB as server
	MaxConcurrentStreams uint32 // default 200 as server (Envoy: 100)
	HeaderTableSize      uint32 // HPACK dynamic table, bytes; reported of a peer, ignored in a configuration
}

func (s Settings) withDefaults(client bool) Settings {
	set := func(field *uint32, value uint32) {
		if *field == 0 {
			*field = value
		}
	}
	set(&s.StreamWindow, defaultStreamWindow)
	set(&s.ConnWindow, defaultConnWindow)
	set(&s.MaxFrameSize, defaultMaxFrame)
	if client {
		set(&s.MaxHeaderListSize, defaultClientHeaderList)
	} else {
		set(&s.MaxHeaderListSize, defaultServerHeaderList)
		set(&s.MaxConcurrentStreams, defaultServerStreams)
	}
	s.StreamWindow = min(s.StreamWindow, maxWindow)
	s.ConnWindow = min(max(s.ConnWindow, initialWindow), maxWindow)
	s.MaxFrameSize = min(max(s.MaxFrameSize, initialMaxFrame), 1<<24-1)
	return s
}

// frame returns what a SETTINGS frame carries of s.
func (s Settings) frame(client bool) []http2.Setting {
	out := []http2.Setting{
		{ID: http2.SettingInitialWindowSize, Val: s.StreamWindow},
		{ID: http2.SettingMaxFrameSize, Val: s.MaxFrameSize},
		{ID: http2.SettingMaxHeaderListSize, Val: s.MaxHeaderListSize},
	}
	if client {
		return append(out, http2.Setting{ID: http2.SettingEnablePush, Val: 0})
	}
	return append(out, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: s.MaxConcurrentStreams})
}

func initialPeer() Settings {
	return Settings{
		StreamWindow:         initialWindow,
		MaxFrameSize:         initialMaxFrame,
		MaxHeaderListSize:    Unlimited,
		MaxConcurrentStreams: Unlimited,
		HeaderTableSize:      4096,
	}
}
