// SPDX-License-Identifier: Apache-2.0

package hbone

// inflow is one receive window (RFC 9113 §5.2): what the peer may still send,
// and what was consumed here but not yet given back to it.
type inflow struct {
	size   int64 // the window that is kept open
	avail  int64
	unsent int64
}

// take accounts for n received bytes; false means that the peer overran.
func (f *inflow) take(n int64) bool {
	if n > f.avail {
		return false
	}
	f.avail -= n
	return true
}

// give accounts for n consumed bytes and returns the increment to announce,
// often 0: small ones are collected up to a quarter of the window.
func (f *inflow) give(n int64) uint32 {
	f.unsent += n
	if f.unsent == 0 || f.unsent < f.size/4 {
		return 0
	}
	inc := f.unsent
	f.avail, f.unsent = f.avail+inc, 0
	return uint32(inc) //nolint:gosec // bounded by the window, which is below 2^31
}

// chunkSize is one TLS record, so that a record's bytes go into one chunk.
const chunkSize = 16 << 10

// maxFree bounds the chunks a connection keeps for reuse.
const maxFree = 32

// recvQueue holds the received and unread bytes of one stream. Two neighbours
// together are longer than a chunk, so memory is bounded by about twice the
// window even if the peer sends single bytes.
type recvQueue struct {
	chunks [][]byte
	off    int // read position in chunks[0]
	n      int
}

// push takes over chunk[:n] or copies it into the last chunk; kept says that
// the chunk now belongs to the queue.
func (q *recvQueue) push(chunk []byte, n int) (kept bool) {
	q.n += n
	if last := len(q.chunks) - 1; last >= 0 {
		if tail := q.chunks[last]; cap(tail)-len(tail) >= n {
			q.chunks[last] = append(tail, chunk[:n]...)
			return false
		}
	}
	q.chunks = append(q.chunks, chunk[:n])
	return true
}

// read copies into p; drained chunks are handed to free.
func (q *recvQueue) read(p []byte, free func([]byte)) int {
	total := 0
	for len(p) > 0 && q.n > 0 {
		n := copy(p, q.chunks[0][q.off:])
		p, total = p[n:], total+n
		q.off, q.n = q.off+n, q.n-n
		if q.off == len(q.chunks[0]) {
			free(q.pop())
		}
	}
	return total
}

// next removes the first chunk, of which data are the unread bytes.
func (q *recvQueue) next() (chunk, data []byte) {
	data = q.chunks[0][q.off:]
	q.n -= len(data)
	return q.pop(), data
}

func (q *recvQueue) pop() []byte {
	chunk := q.chunks[0]
	q.chunks[0] = nil
	q.chunks = q.chunks[1:]
	q.off = 0
	if len(q.chunks) == 0 {
		q.chunks = nil
	}
	return chunk
}
