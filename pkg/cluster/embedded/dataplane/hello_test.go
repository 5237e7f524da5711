// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// inRecords splits the one record of a ClientHello into records of size bytes.
func inRecords(hello []byte, size int) []byte {
	var out []byte
	for body := hello[5:]; len(body) > 0; {
		n := min(size, len(body))
		out = append(out, 0x16, 3, 1, byte(n>>8), byte(n))
		out = append(out, body[:n]...)
		body = body[n:]
	}
	return out
}

func TestPeekHello(t *testing.T) {
	hello := helloBytes(t, "Ratings.Shop", "istio", "h2")
	broken := bytes.Clone(hello)
	broken[5+4+2+32] = 0xff // the session ID is longer than the hello
	huge := []byte{0x16, 3, 1, 0, 4, 1, 2, 0, 0}
	endless := append(bytes.Clone(huge[:5]), 1, 0, 0xff, 0xff)
	for range 40 << 10 {
		endless = append(endless, 0x16, 3, 1, 0, 1, 0)
	}
	want := &clientHello{sni: "ratings.shop", alpn: []string{"istio", "h2"}}
	for name, tc := range map[string]struct {
		in   []byte
		want *clientHello
		err  error
	}{
		"whole":              {hello, want, nil},
		"data-behind":        {append(bytes.Clone(hello), "early"...), want, nil},
		"records-of-7-bytes": {inRecords(hello, 7), want, nil},
		"records-of-1-byte":  {inRecords(hello, 1), want, nil},
		"plaintext":          {[]byte("GET / HTTP/1.1\r\n\r\n"), nil, nil},
		"not-a-hello":        {[]byte{0x16, 3, 1, 0, 4, 2, 0, 0, 0}, nil, nil},
		"empty-record":       {[]byte{0x16, 3, 1, 0, 0}, nil, nil},
		"malformed":          {broken, nil, nil},
		"nothing":            {nil, nil, io.EOF},
		"cut-off":            {hello[:100], nil, io.EOF},
		"announced-huge":     {huge, nil, errHelloTooLarge},
		"endless-records":    {endless, nil, errHelloTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			for how, src := range map[string]io.Reader{"at-once": bytes.NewReader(tc.in), "dribbled": iotest.OneByteReader(bytes.NewReader(tc.in))} {
				p := peeker{src: src}
				got, err := p.hello()
				if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(clientHello{})); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
				if !errors.Is(err, tc.err) {
					t.Errorf("%s: error %v, want %v", how, err, tc.err)
				}
				if rest, _ := io.ReadAll(src); !bytes.Equal(append(p.buf, rest...), tc.in) {
					t.Errorf("%s: bytes were lost", how)
				}
			}
		})
	}
}

func FuzzPeekHello(f *testing.F) {
	hello := helloBytes(f, "ratings.shop", "istio")
	f.Add(hello)
	f.Add(inRecords(hello, 3))
	f.Add([]byte("GET /"))
	f.Fuzz(func(t *testing.T, in []byte) {
		p := peeker{src: bytes.NewReader(in)}
		h, err := p.hello()
		if h != nil && err != nil {
			t.Error("both a hello and an error")
		}
		if !bytes.HasPrefix(in, p.buf) {
			t.Error("other bytes are kept than were read")
		}
		if h != nil && len(h.sni) > 255 {
			t.Errorf("a server name of %d bytes", len(h.sni))
		}
	})
}
