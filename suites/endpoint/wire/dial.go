// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// connect opens a TCP connection of the observation and counts it.
func (v *visit) connect(ctx context.Context) (net.Conn, error) {
	v.seen.Connections++
	if v.o.Dial != nil {
		return v.o.Dial(ctx, "tcp", v.t.Address)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", v.t.Address)
}

// tcp makes the first connection and records it. The connection is nil where
// there is none.
func (v *visit) tcp(ctx context.Context) net.Conn {
	out := &v.seen.TCP
	if v.o.Dial == nil {
		if err := v.resolve(ctx); err != nil {
			out.Outcome, out.Error = TCPUnresolvable, clip(err.Error())
			if ctx.Err() != nil {
				out.Outcome = TCPTimeout
			}
			return nil
		}
	}
	begin := time.Now()
	conn, err := v.connect(ctx)
	out.ConnectMS = ms(time.Since(begin))
	if err != nil {
		out.Outcome, out.Error = tcpOutcome(ctx, err), clip(err.Error())
		return nil
	}
	out.Outcome = TCPConnected
	out.Local, out.Remote = addrText(conn.LocalAddr()), addrText(conn.RemoteAddr())
	return conn
}

// resolve looks a name up, so that its addresses are known whichever of them
// answers.
func (v *visit) resolve(ctx context.Context) error {
	host, _, err := net.SplitHostPort(v.t.Address)
	if err != nil {
		return err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, a := range addrs[:min(len(addrs), maxNames)] {
		v.seen.TCP.Resolved = append(v.seen.TCP.Resolved, a.Unmap().String())
	}
	return err
}

// tcpOutcome sorts the error of a connect.
func tcpOutcome(ctx context.Context, err error) TCPOutcome {
	var dns *net.DNSError
	var outOfReach *cluster.OutOfReachError
	var denied *cluster.DeniedError
	ne, timeout := errors.AsType[net.Error](err)
	switch {
	case errors.As(err, &dns):
		return TCPUnresolvable
	case errors.As(err, &outOfReach), errors.As(err, &denied):
		return TCPLocal
	case errors.Is(err, syscall.ECONNREFUSED):
		return TCPRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNABORTED):
		return TCPReset
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.EHOSTDOWN), errors.Is(err, syscall.ENETDOWN):
		return TCPUnreachable
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL),
		errors.Is(err, syscall.ENOBUFS), errors.Is(err, os.ErrPermission):
		return TCPLocal
	case ctx.Err() != nil, timeout && ne.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return TCPTimeout
	default:
		return TCPFailed
	}
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return clip(a.String())
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
