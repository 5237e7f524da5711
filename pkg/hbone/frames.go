// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"errors"
	"io"
	"time"

	"golang.org/x/net/http2"
)

// maxInterim bounds the 1xx responses to one CONNECT.
const maxInterim = 16

func protocolError(reason string) error {
	return &ProtocolError{Code: http2.ErrCodeProtocol, Reason: reason}
}

// readLoop reads frames until the connection fails; it never waits for a write.
func (m *mux) readLoop() error {
	first := true
	for {
		fh, err := m.fr.ReadFrameHeader()
		if err != nil {
			return m.frameError(nil, err)
		}
		if first && (fh.Type != http2.FrameSettings || fh.Flags.Has(http2.FlagSettingsAck)) {
			return &ProtocolError{Code: http2.ErrCodeProtocol, Reason: "first frame is " + fh.Type.String(), Err: ErrNoSettings}
		}
		if fh.Type == http2.FrameData {
			if err := m.readData(fh); err != nil {
				return err
			}
			continue
		}
		f, err := m.fr.ReadFrameForHeader(fh)
		if err == nil {
			err = m.handle(f)
		} else {
			err = m.frameError(f, err)
		}
		if err != nil {
			return err
		}
		if first {
			first = false
			_ = m.conn.SetReadDeadline(time.Time{})
			close(m.settled)
		}
	}
}

// frameError sorts what the Framer says: an error of one stream resets it, all
// else ends the connection.
func (m *mux) frameError(f http2.Frame, err error) error {
	if se, ok := errors.AsType[http2.StreamError](err); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.resetStream(se.StreamID, se.Code)
		return nil
	}
	if ce, ok := errors.AsType[http2.ConnectionError](err); ok {
		pe := &ProtocolError{Code: http2.ErrCode(ce), Reason: "malformed frame"}
		if detail := m.fr.ErrorDetail(); detail != nil {
			pe.Reason = clip(detail.Error())
		}
		if _, ok := f.(*http2.MetaHeadersFrame); ok {
			pe.Reason = "header block malformed, or a string in it too large"
			if pe.Code == http2.ErrCodeProtocol {
				pe.Reason, pe.Err = "header block too large or malformed", ErrHeaderList
			}
		}
		return pe
	}
	if errors.Is(err, http2.ErrFrameTooLarge) {
		return &ProtocolError{Code: http2.ErrCodeFrameSize, Reason: "frame too large, or not HTTP/2"}
	}
	return m.readError(err)
}

func (m *mux) handle(f http2.Frame) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return m.handleSettings(f)
	case *http2.MetaHeadersFrame:
		return m.handleHeaders(f)
	case *http2.WindowUpdateFrame:
		return m.handleWindowUpdate(f)
	case *http2.RSTStreamFrame:
		if m.idle(f.StreamID) {
			return protocolError("RST_STREAM on an idle stream")
		}
		if c := m.streams[f.StreamID]; c != nil {
			c.remoteReset(f.ErrCode)
		}
	case *http2.PingFrame:
		if f.IsAck() {
			m.pong()
		} else {
			m.control(func() error { return m.fr.WritePing(true, f.Data) })
		}
	case *http2.GoAwayFrame:
		m.handleGoAway(f)
	case *http2.PushPromiseFrame:
		return protocolError("PUSH_PROMISE")
	default: // PRIORITY and unknown types carry nothing for us (RFC 9113 §5.5)
	}
	return m.err
}

func (m *mux) handleSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		m.acked = true
		return nil
	}
	if f.NumSettings() > 64 || f.HasDuplicates() && f.NumSettings() > 16 {
		return &ProtocolError{Code: http2.ErrCodeEnhanceYourCalm, Reason: "too many settings"}
	}
	raw := make([]http2.Setting, 0, f.NumSettings())
	err := f.ForeachSetting(func(s http2.Setting) error {
		raw = append(raw, s)
		return m.applySetting(s)
	})
	if err != nil {
		return err
	}
	m.peerRaw = raw
	m.release()
	m.wakeWriters()
	m.control(m.fr.WriteSettingsAck)
	return m.err
}

func (m *mux) applySetting(s http2.Setting) error {
	if err := s.Valid(); err != nil {
		pe := &ProtocolError{Code: http2.ErrCodeProtocol, Reason: "invalid " + s.ID.String()}
		if ce, ok := errors.AsType[http2.ConnectionError](err); ok {
			pe.Code = http2.ErrCode(ce)
		}
		return pe
	}
	switch s.ID {
	case http2.SettingInitialWindowSize:
		delta := int64(s.Val) - int64(m.peer.StreamWindow)
		m.peer.StreamWindow = s.Val
		for _, c := range m.streams {
			if c.sendWin += delta; c.sendWin > maxWindow {
				return &ProtocolError{Code: http2.ErrCodeFlowControl, Reason: "INITIAL_WINDOW_SIZE overflows a window"}
			}
		}
	case http2.SettingMaxFrameSize:
		m.peer.MaxFrameSize = s.Val
	case http2.SettingMaxHeaderListSize:
		m.peer.MaxHeaderListSize = s.Val
	case http2.SettingMaxConcurrentStreams:
		m.peer.MaxConcurrentStreams = s.Val
	case http2.SettingHeaderTableSize:
		m.peer.HeaderTableSize = s.Val
		m.henc.SetMaxDynamicTableSizeLimit(min(s.Val, 4096))
	default: // unknown settings are ignored (RFC 9113 §6.5.2)
	}
	return nil
}

func (m *mux) handleWindowUpdate(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if m.sendWin += int64(f.Increment); m.sendWin > maxWindow {
			return &ProtocolError{Code: http2.ErrCodeFlowControl, Reason: "WINDOW_UPDATE overflows the connection window"}
		}
		m.wakeWriters()
		return nil
	}
	if m.idle(f.StreamID) {
		return protocolError("WINDOW_UPDATE on an idle stream")
	}
	if c := m.streams[f.StreamID]; c != nil {
		if c.sendWin += int64(f.Increment); c.sendWin > maxWindow {
			c.localReset(http2.ErrCodeFlowControl)
		}
		c.wcond.Broadcast()
	}
	return nil
}

func (m *mux) handleGoAway(f *http2.GoAwayFrame) {
	m.goAway = &GoAwayError{Code: f.ErrCode, LastStreamID: f.LastStreamID, Debug: printable(f.DebugData())}
	for id, c := range m.streams {
		// Streams above the last one were not and will not be processed.
		if m.client && id > f.LastStreamID {
			c.abort(m.goAway)
		}
	}
	m.release()
}

// idle reports whether the stream was never opened, by either side.
func (m *mux) idle(id uint32) bool {
	if id%2 == 0 {
		return true
	}
	if m.client {
		return id >= m.nextID
	}
	return id > m.lastID
}

func (m *mux) handleHeaders(f *http2.MetaHeadersFrame) error {
	c := m.streams[f.StreamID]
	if !m.client && f.StreamID > m.lastID {
		return m.acceptStream(f)
	}
	switch {
	case m.idle(f.StreamID):
		return protocolError("HEADERS on an idle stream")
	case c == nil: // ended here a moment ago
	case c.recvEnd:
		c.localReset(http2.ErrCodeStreamClosed)
	case m.client && !c.answered:
		c.handleResponse(f)
	case !f.StreamEnded():
		c.localReset(http2.ErrCodeProtocol)
	default: // trailers carry nothing for a tunnel
		c.endRemote()
	}
	return m.err
}

// readData moves the payload of a DATA frame into its stream, without a copy
// where a whole chunk can be handed over. The Framer's own DATA frames would
// need a buffer of the size of the frame.
func (m *mux) readData(fh http2.FrameHeader) error {
	rest := int(fh.Length)
	pad := 0
	if fh.Flags.Has(http2.FlagDataPadded) {
		b, err := m.br.ReadByte()
		if err != nil {
			return m.readError(err)
		}
		if pad = int(b); rest < pad+1 {
			return protocolError("padding longer than the frame")
		}
		rest -= pad + 1
	}
	c, err := m.beginData(fh, int(fh.Length)-rest)
	if err != nil {
		return err
	}
	for rest > 0 {
		m.mu.Lock()
		chunk := m.chunk()
		m.mu.Unlock()
		n, err := m.br.Read(chunk[:min(rest, chunkSize)])
		rest -= n
		m.mu.Lock()
		m.deliver(c, chunk, n)
		m.mu.Unlock()
		if err != nil {
			return m.readError(err)
		}
	}
	if _, err := io.CopyN(io.Discard, m.br, int64(pad)); err != nil {
		return m.readError(err)
	}
	if fh.Flags.Has(http2.FlagDataEndStream) && c != nil {
		m.mu.Lock()
		c.endRemote()
		m.mu.Unlock()
	}
	return nil
}

// beginData accounts for a whole frame before its payload is read; nil without
// error means that the payload is to be dropped.
func (m *mux) beginData(fh http2.FrameHeader, overhead int) (*Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if fh.StreamID == 0 || m.idle(fh.StreamID) {
		return nil, protocolError("DATA on an idle stream")
	}
	if !m.recvWin.take(int64(fh.Length)) {
		return nil, &ProtocolError{Code: http2.ErrCodeFlowControl, Reason: "connection window overrun"}
	}
	m.credit(nil, overhead)
	c := m.streams[fh.StreamID]
	switch {
	case c == nil:
		return nil, m.err
	case c.recvEnd:
		c.localReset(http2.ErrCodeStreamClosed)
	case m.client && !c.answered:
		c.localReset(http2.ErrCodeProtocol)
	case !c.recvWin.take(int64(fh.Length)):
		c.localReset(http2.ErrCodeFlowControl)
	case c.closed:
		// The owner is gone, so nobody will read this: as TCP, say so.
		c.localReset(http2.ErrCodeCancel)
	default:
		m.creditStream(c, overhead)
		return c, m.err
	}
	return nil, m.err
}

// deliver hands n received bytes to c, or drops them.
func (m *mux) deliver(c *Conn, chunk []byte, n int) {
	if c == nil || c.closed || c.failure != nil || n == 0 {
		m.credit(nil, n)
		m.recycle(chunk)
		return
	}
	if !c.rq.push(chunk, n) {
		m.recycle(chunk)
	}
	c.rcond.Signal()
}

// credit gives n consumed bytes back to the peer: to the connection, and to
// stream c where there is one.
func (m *mux) credit(c *Conn, n int) {
	if inc := m.recvWin.give(int64(n)); inc > 0 {
		m.control(func() error { return m.fr.WriteWindowUpdate(0, inc) })
	}
	if c != nil {
		m.creditStream(c, n)
	}
}

func (m *mux) creditStream(c *Conn, n int) {
	if c.recvEnd || c.failure != nil || c.closed {
		return
	}
	if inc := c.recvWin.give(int64(n)); inc > 0 {
		m.control(func() error { return m.fr.WriteWindowUpdate(c.id, inc) })
	}
}

// resetStream ends one stream with a code, known or not.
func (m *mux) resetStream(id uint32, code http2.ErrCode) {
	if c := m.streams[id]; c != nil {
		c.localReset(code)
		return
	}
	if !m.client && id > m.lastID {
		m.lastID = id
	}
	m.control(func() error { return m.fr.WriteRSTStream(id, code) })
}
