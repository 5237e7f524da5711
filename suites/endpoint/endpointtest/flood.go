// SPDX-License-Identifier: Apache-2.0

package endpointtest

import (
	"bytes"
	"context"
	"net"
)

// Content types of records (RFC 8446 §5.1).
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeApplicationData  = 23
)

// record is one unprotected record.
func record(kind byte, version uint16, payload ...byte) []byte {
	head := []byte{kind, byte(version >> 8), byte(version), byte(len(payload) >> 8), byte(len(payload))}
	return append(head, payload...)
}

// message is a handshake message.
func message(kind byte, body ...byte) []byte {
	return append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

// afterHello writes records in place of a ServerHello, the last of them without
// end where endless is set.
func afterHello(endless bool, records ...[]byte) Peer {
	return func(_ context.Context, conn net.Conn) {
		hello(conn)
		if _, err := conn.Write(bytes.Join(records, nil)); err != nil {
			return
		}
		if endless {
			floods(conn, bytes.Repeat(records[len(records)-1], 1<<8))
			return
		}
		finish(conn)
	}
}

// floodPeers answer a ClientHello with records that say little, mostly without
// end.
func floodPeers() map[string]Peer {
	const v = 0x0303
	part := append(message(2, make([]byte, 0)...), make([]byte, 1000)...)
	part[1], part[2], part[3] = 0xff, 0xff, 0xff
	return map[string]Peer{
		"warning-alerts":           afterHello(true, record(typeAlert, v, 1, 112)),
		"user-canceled-alerts":     afterHello(true, record(typeAlert, v, 1, 90)),
		"ccs-flood":                afterHello(true, record(typeChangeCipherSpec, v, 1)),
		"empty-records":            afterHello(true, record(typeHandshake, v)),
		"empty-application-data":   afterHello(true, record(typeApplicationData, v)),
		"endless-handshake":        afterHello(true, record(typeHandshake, v, part...), record(typeHandshake, v, make([]byte, 1<<14)...)),
		"record-too-long":          afterHello(false, record(typeHandshake, v, make([]byte, 0xffff)...)),
		"record-version-wrong":     afterHello(false, record(typeHandshake, 0x0909, 2, 0, 0, 1, 0)),
		"record-type-unknown":      afterHello(false, record(99, v, 1, 2, 3)),
		"alert-fatal":              afterHello(false, record(typeAlert, v, 2, 40)),
		"alert-unknown-code":       afterHello(false, record(typeAlert, v, 2, 200)),
		"alert-short":              afterHello(false, record(typeAlert, v, 2)),
		"alert-unrecognized-name":  afterHello(false, record(typeAlert, v, 2, 112)),
		"alert-access-denied":      afterHello(false, record(typeAlert, v, 2, 49)),
		"close-notify-at-once":     afterHello(false, record(typeAlert, v, 1, 0)),
		"application-data-at-once": afterHello(false, record(typeApplicationData, v, []byte("hello, world")...)),
		"client-hello-back":        clientHelloBack,
		"hello-request-first":      afterHello(false, record(typeHandshake, v, message(0)...)),
		"ssl2-server-hello":        afterHello(false, []byte("\x80\x0d\x04\x00\x01\x00\x02\x00\x00\x00\x00\x00\x10ssl2")),
		"ssl3-server-hello":        afterHello(false, record(typeHandshake, 0x0300, ssl3Hello()...)),
		"ssl3-alert":               afterHello(false, record(typeAlert, 0x0300, 2, 40)),
	}
}

// clientHelloBack takes the client for a server.
func clientHelloBack(_ context.Context, conn net.Conn) {
	_, _ = conn.Write(hello(conn))
	finish(conn)
}

// ssl3Hello is a ServerHello of SSL 3.0, with RSA_WITH_RC4_128_SHA.
func ssl3Hello() []byte {
	body := append([]byte{3, 0}, make([]byte, 32)...)
	return message(2, append(body, 0, 0, 5, 0)...)
}
