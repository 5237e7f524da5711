// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxDetail bounds what is taken of an agent's words.
const maxDetail = 300

// Dial asks the agent at the other end of stream for a stream to target, a
// "host:port" as seen from the agent's pod. On success the returned connection
// is stream; on failure stream is closed. A refusal is a *[DialError]; any other
// error means that the agent itself could not be spoken to. ctx bounds the dial
// only.
func Dial(ctx context.Context, stream net.Conn, target string) (net.Conn, error) {
	return Token("").Dial(ctx, stream, target)
}

// Dial is [Dial] for an agent that serves the owner of the token only.
func (t Token) Dial(ctx context.Context, stream net.Conn, target string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })
	conn, err := t.connect(stream, target)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = stream.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if refused, ok := errors.AsType[*DialError](err); ok {
			return nil, refused
		}
		return nil, fmt.Errorf("agent: %w", err)
	}
	return conn, nil
}

func (t Token) connect(stream net.Conn, target string) (net.Conn, error) {
	if err := checkTarget(target); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(stream, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n"+t.header()+"\r\n"); err != nil {
		return nil, err
	}
	// The bound holds for the answer only: http.ReadResponse has none of its own.
	head := &io.LimitedReader{R: stream, N: 4 * maxHeader}
	br := bufio.NewReaderSize(head, maxHeader)
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, fmt.Errorf("no answer to CONNECT: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		detail, _ := io.ReadAll(io.LimitReader(resp.Body, maxDetail))
		return nil, &DialError{Target: target, Reason: Reason(resp.Header.Get(ReasonHeader)).known(), Detail: printable(detail)}
	}
	head.N = 1 << 62
	return &buffered{Conn: stream, r: br}, nil
}

// header is the line that shows the token, where there is one.
func (t Token) header() string {
	if t == "" {
		return ""
	}
	return "Proxy-Authorization: " + bearer + string(t) + "\r\n"
}

// Health says for how long an agent had no caller, and makes the owner of the
// token one. It closes the stream. ctx bounds it.
func (t Token) Health(ctx context.Context, stream net.Conn) (idle time.Duration, err error) {
	stop := context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	defer func() { _ = stream.Close() }()
	if _, err := io.WriteString(stream, "GET "+HealthPath+" HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n"+t.header()+"\r\n"); err != nil {
		return 0, fmt.Errorf("agent: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(io.LimitReader(stream, 4*maxHeader), maxHeader), nil)
	if err != nil {
		return 0, fmt.Errorf("agent: no answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if idle, err = time.ParseDuration(resp.Header.Get(IdleHeader)); err != nil || resp.StatusCode != http.StatusNoContent {
		return 0, fmt.Errorf("agent: answered %d without its idle time", resp.StatusCode)
	}
	return idle, nil
}

// checkTarget keeps everything out of the request but one host and port.
func checkTarget(target string) error {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" || strings.ContainsAny(host, " \r\n\t/@?#%") {
		return fmt.Errorf("%q is not host:port", target)
	}
	return nil
}

func printable(text []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, string(text)))
}
