// SPDX-License-Identifier: Apache-2.0

package endpointtest

import (
	"context"
	"io"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"time"
)

// plainPeers speak no TLS at all.
func plainPeers() map[string]Peer {
	return map[string]Peer{
		"silence":           func(_ context.Context, conn net.Conn) { drain(conn) },
		"fin-at-once":       func(context.Context, net.Conn) {},
		"rst-at-once":       func(_ context.Context, conn net.Conn) { reset(conn) },
		"fin-after-hello":   func(_ context.Context, conn net.Conn) { hello(conn); finish(conn) },
		"rst-after-hello":   func(_ context.Context, conn net.Conn) { hello(conn); reset(conn) },
		"half-closed":       func(_ context.Context, conn net.Conn) { finish(conn) },
		"ssh-banner":        says("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"),
		"smtp-banner":       says("220 mail.example.org ESMTP Postfix (Debian/GNU)\r\n"),
		"ftp-banner":        says("220 (vsFTPd 3.0.3)\r\n"),
		"mysql-greeting":    says("\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00\x1a\x2b\x3c\x4d\x5e\x6f\x70\x01\x00\xff\xff\xff\x02\x00mysql_native_password\x00"),
		"redis-error":       answers("-ERR Protocol error: unauthenticated multibulk length\r\n"),
		"http1-400":         answers(badRequest),
		"http1-redirect":    answers("HTTP/1.1 301 Moved Permanently\r\nLocation: https://example.org/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
		"http1-endless":     endlessHTTP,
		"http1-server-push": says("HTTP/1.0 200 OK\r\n\r\nhello, whoever you are\n"),
		"http2-plaintext":   answers("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"),
		"proxy-v1-first":    says("PROXY TCP4 192.0.2.1 192.0.2.2 40000 15443\r\n"),
		"proxy-v2-first":    says("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x9c\x40\x3c\x53"),
		"echo":              func(_ context.Context, conn net.Conn) { _, _ = io.Copy(conn, conn) },
		"empty-lines":       func(_ context.Context, conn net.Conn) { floods(conn, []byte(strings.Repeat("\r\n", 4<<10))) },
		"noise":             noise,
		"byte-per-second":   func(ctx context.Context, conn net.Conn) { drips(ctx, conn, promise, time.Second) },
		"tarpit":            func(ctx context.Context, conn net.Conn) { drips(ctx, conn, []byte("SSH-"), 50*time.Millisecond) },
	}
}

// badRequest is what an HTTP server says to a ClientHello.
const badRequest = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"

// promise begins a record of 16 KiB with a ServerHello in it.
var promise = []byte{22, 3, 3, 64, 0, 2, 0, 63, 252, 3, 3}

// endlessHTTP answers with a header that never ends.
func endlessHTTP(_ context.Context, conn net.Conn) {
	hello(conn)
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
	floods(conn, []byte(strings.Repeat("X-More: and more\r\n", 1<<10)))
}

// noise never ends, and is the same each time.
func noise(_ context.Context, conn net.Conn) {
	_, _ = io.Copy(conn, mathrand.NewChaCha8([32]byte{1}))
}
