// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"net/http"
	"strconv"

	"golang.org/x/net/http2"
)

// The life of a stream (RFC 9113 §5.1). Every function here needs mux.mu.

// endLocal sends END_STREAM, once.
func (c *Conn) endLocal() {
	if c.sentEnd || c.failure != nil {
		return
	}
	c.sentEnd = true
	if !c.m.closing && c.m.werr == nil {
		c.m.queueData(c.id, nil, true)
	}
	c.settle()
}

// endRemote is the peer's END_STREAM.
func (c *Conn) endRemote() {
	if c.recvEnd || c.failure != nil {
		return
	}
	c.recvEnd = true
	c.rcond.Broadcast()
	c.settle()
}

func (c *Conn) settle() {
	if c.sentEnd && c.recvEnd {
		c.remove()
	}
}

// localReset ends the stream with RST_STREAM.
func (c *Conn) localReset(code http2.ErrCode) {
	c.m.control(func() error { return c.m.fr.WriteRSTStream(c.id, code) })
	c.abort(&ResetError{Code: code})
}

// remoteReset is the peer's RST_STREAM.
func (c *Conn) remoteReset(code http2.ErrCode) {
	c.abort(&ResetError{Code: code, Remote: true})
}

// connFailed is the end of the connection under the stream.
func (c *Conn) connFailed() { c.abort(c.m.err) }

func (c *Conn) abort(err error) {
	if c.failure != nil {
		return
	}
	c.failure = err
	if c.aborted != nil {
		close(c.aborted)
	}
	if !c.answered {
		c.answered = true
		close(c.ready)
	}
	c.rcond.Broadcast()
	c.wcond.Broadcast()
	c.remove()
}

// remove frees the stream's slot. What was received stays readable.
func (c *Conn) remove() {
	if c.m.streams[c.id] == c {
		delete(c.m.streams, c.id)
	}
	if c.lingerTimer != nil {
		c.lingerTimer.Stop()
	}
	if f := c.onRemove; f != nil {
		c.onRemove = nil
		f()
	}
	c.m.release()
}

// handleResponse takes the header of the response to a CONNECT.
func (c *Conn) handleResponse(f *http2.MetaHeadersFrame) {
	if f.Truncated {
		c.m.control(func() error { return c.m.fr.WriteRSTStream(c.id, http2.ErrCodeCancel) })
		c.abort(ErrHeaderList)
		return
	}
	status, err := strconv.Atoi(f.PseudoValue("status"))
	if err != nil || status < 100 || status > 999 {
		c.localReset(http2.ErrCodeProtocol)
		return
	}
	if status < 200 {
		if c.interim++; c.interim > maxInterim || f.StreamEnded() {
			c.localReset(http2.ErrCodeProtocol)
		}
		return
	}
	c.status, c.header = status, headerOf(f)
	c.answered = true
	close(c.ready)
	if f.StreamEnded() {
		c.endRemote()
	}
}

func headerOf(f *http2.MetaHeadersFrame) http.Header {
	h := make(http.Header, len(f.RegularFields()))
	for _, field := range f.RegularFields() {
		h.Add(field.Name, field.Value)
	}
	return h
}
