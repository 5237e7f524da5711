// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Listener is what answers for a workload inside its own network: mutual TLS
// of a sidecar, or HBONE of a ztunnel, tried with several clients.
type Listener struct {
	At       time.Time        `json:"at"`
	Workload cluster.Workload `json:"workload"`
	Source   cluster.Workload `json:"source"` // where the clients run
	Trust    []string         `json:"trust"`  // trust domain of the cluster, then aliases
	Roots    Certs            `json:"roots"`  // what the workload should verify clients with

	Good    Layer     `json:"good"`    // a client of the mesh: the positive control
	Foreign Handshake `json:"foreign"` // the same name under a root that nobody knows
	NoCert  Handshake `json:"noCert"`  // no client certificate
	OldTLS  Handshake `json:"oldTLS"`  // below the version floor: TLS 1.1 for a sidecar, 1.2 for HBONE
	Plain   Plain     `json:"plain"`   // no TLS at all, to the application's port

	Elsewhere *Layer `json:"elsewhere,omitempty"` // HBONE: CONNECT to an authority that is not the workload's
}

// Plain is a plaintext request and what came of it.
type Plain struct {
	Address string  `json:"address"`
	Outcome Outcome `json:"outcome"`        // Accepted: bytes came back
	Data    string  `json:"data,omitempty"` // the first line of them
	Error   string  `json:"error,omitempty"`
	Hint    string  `json:"hint,omitempty"` // OutOfReach: what would reach it
}

// SidecarListeners observes each sidecar workload that serves a port.
func SidecarListeners() probe.Observation[cluster.Workload, Listener] {
	return probe.Observation[cluster.Workload, Listener]{
		Name: "listener/sidecar",
		Over: probe.Workloads(func(w cluster.Workload) bool { return w.DataPlane == cluster.Sidecar && w.Service != nil }),
		Observe: func(ctx context.Context, env *probe.Env, w cluster.Workload) (Listener, error) {
			return observeListener(ctx, env, w, (*Listener).sidecar)
		},
	}
}

// AmbientListeners observes each workload that takes HBONE and serves a port.
func AmbientListeners() probe.Observation[cluster.Workload, Listener] {
	return probe.Observation[cluster.Workload, Listener]{
		Name: "listener/ambient",
		Over: probe.Workloads(func(w cluster.Workload) bool { return w.TakesHBONE() && w.Service != nil }),
		Observe: func(ctx context.Context, env *probe.Env, w cluster.Workload) (Listener, error) {
			return observeListener(ctx, env, w, (*Listener).ambient)
		},
	}
}

func observeListener(
	ctx context.Context, env *probe.Env, w cluster.Workload,
	look func(*Listener, context.Context, *probe.Env, cluster.Cluster, *cluster.Identity) error,
) (Listener, error) {
	l := Listener{At: env.Now(), Workload: w, Source: neighbour(env, w)}
	c, ok := env.Set.Cluster(w.Cluster)
	if !ok {
		return l, fmt.Errorf("no cluster %s", w.Cluster)
	}
	l.Trust = TrustDomains(c)
	var err error
	if l.Roots, err = Bundle(ctx, c, w.Namespace); err != nil {
		return l, err
	}
	id, err := Identity(ctx, c, l.Source)
	if err != nil {
		return l, err
	}
	quick, cancel := Short(ctx)
	defer cancel()
	if far := tooFar(reach(quick, c, l.Source, l.appAddress())); far != nil {
		l.Plain = Plain{Address: l.appAddress(), Outcome: OutOfReach, Error: far.Why, Hint: far.Hint}
	} else {
		l.Plain = TryPlain(quick, DialFrom(c, l.Source, l.appAddress()), l.appAddress())
	}
	if err := look(&l, quick, env, c, id); err != nil {
		return l, err
	}
	if l.silent() {
		return l, alive(ctx, c, l.Source)
	}
	return l, nil
}

// silent says that something which must answer did not: the positive control,
// a CONNECT, plaintext where the mode promises to take it, or a refusal.
func (l *Listener) silent() bool {
	// A sidecar that takes HBONE does so whatever its mode.
	disabled := l.Good.Settings == nil && l.Workload.DataPlane == cluster.Sidecar && l.Workload.MTLS == cluster.Disable
	return !disabled && l.Good.cutOff() ||
		l.Elsewhere != nil && l.Elsewhere.Authority != "" && l.Elsewhere.Status == 0 && l.Elsewhere.Reset == "" ||
		l.Workload.MTLS != cluster.Strict && l.Plain.Outcome != Accepted && l.Plain.Outcome != OutOfReach ||
		l.Foreign.Outcome == NotRefused || l.NoCert.Outcome == NotRefused || l.OldTLS.Outcome == NotRefused
}

// neighbour is another workload of the mesh in the same cluster, so that a
// call really crosses between two; the workload itself where it is alone.
func neighbour(env *probe.Env, w cluster.Workload) cluster.Workload {
	best := w
	for _, v := range env.Workloads {
		if v.Cluster != w.Cluster || v.DataPlane == cluster.NoMesh || v.Ref == w.Ref {
			continue
		}
		if v.DataPlane == w.DataPlane {
			return v
		}
		best = v
	}
	return best
}

func (l *Listener) appAddress() string {
	return netip.AddrPortFrom(l.Workload.Address, l.Workload.Service.PodPort()).String()
}

func (l *Listener) sidecar(ctx context.Context, env *probe.Env, c cluster.Cluster, id *cluster.Identity) error {
	way, err := wayInto(ctx, c, l.Source, l.Workload)
	if err != nil {
		return err
	}
	addr := way.Address
	dial := DialFrom(c, l.Source, addr)
	hello := Hello{Address: addr, SNI: way.SNI, ALPN: cluster.SidecarALPN(), Identity: id}
	l.Good.Handshake = Try(ctx, env, dial, hello)
	if way.Gateway && len(l.Good.Chain) == 0 {
		// What stands in between may be to blame: nothing is known of the sidecar.
		return reach(ctx, c, l.Source, l.appAddress())
	}
	if l.Workload.MTLS == cluster.Disable {
		return nil // no TLS there: nothing more to learn
	}
	foreign, err := Foreign(id.ID, env.Now())
	if err != nil {
		return err
	}
	other, none, old := hello, hello, hello
	other.Identity, none.Identity = foreign, nil
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	l.Foreign = Try(ctx, env, dial, other)
	l.NoCert = Try(ctx, env, dial, none)
	l.OldTLS = Try(ctx, env, dial, old)
	return nil
}

func (l *Listener) ambient(ctx context.Context, env *probe.Env, c cluster.Cluster, id *cluster.Identity) error {
	addr := netip.AddrPortFrom(l.Workload.Address, cluster.PortHBONE).String()
	if err := reach(ctx, c, l.Source, addr); err != nil {
		return err
	}
	dial := DialFrom(c, l.Source, addr)
	if s := l.Good.Session(ctx, env, id, addr, dial); s != nil {
		defer func() { _ = s.Close() }()
		if err := closeTunnel(l.Good.Connect(ctx, s, l.appAddress())); err != nil {
			return err
		}
		l.Elsewhere = &Layer{}
		if err := closeTunnel(l.Elsewhere.Connect(ctx, s, l.elsewhere())); err != nil {
			return err
		}
	}
	foreign, err := Foreign(id.ID, env.Now())
	if err != nil {
		return err
	}
	l.Foreign = hboneHandshake(ctx, env, foreign, addr, dial)
	l.NoCert = hboneHandshake(ctx, env, nil, addr, dial)
	l.OldTLS = Try(ctx, env, dial, Hello{Address: addr, ALPN: []string{"h2"}, Identity: id, MaxVersion: tls.VersionTLS12})
	return nil
}

// elsewhere is an authority that is no address of the workload: its source's,
// or a documentation address where the two are one.
func (l *Listener) elsewhere() string {
	host := l.Source.Address
	if host == l.Workload.Address {
		host = netip.AddrFrom4([4]byte{203, 0, 113, 1})
	}
	return net.JoinHostPort(host.String(), strconv.Itoa(int(l.Workload.Service.PodPort())))
}

func hboneHandshake(ctx context.Context, env *probe.Env, id *cluster.Identity, addr string, dial Dial) Handshake {
	dial, through := watch(dial)
	h := relayed(dial, func(dial Dial) Handshake {
		var l Layer
		if s := l.Session(ctx, env, id, addr, dial); s != nil {
			_ = s.Close()
		}
		return l.Handshake
	})
	if h.Outcome == Closed && through.Load() {
		// A client that says nothing after the handshake leaves nothing unread.
		if quiet := Try(ctx, env, dial, Hello{Address: addr, ALPN: []string{"h2"}, Identity: id}); quiet.Outcome == Refused {
			return quiet
		}
	}
	return h
}

// plainTimeout bounds the wait for a plaintext answer.
const plainTimeout = 2 * time.Second

// TryPlain sends a plaintext HTTP request and waits for any byte.
func TryPlain(ctx context.Context, dial Dial, addr string) Plain {
	p := Plain{Address: addr}
	conn, err := dial(ctx)
	if err != nil {
		p.Outcome, p.Error = Unreachable, err.Error()
		return p
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(plainTimeout))
	// A peer that refuses plaintext may reset under this write; the read tells.
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: meshprobe\r\nConnection: close\r\n\r\n")
	line, err := bufio.NewReaderSize(io.LimitReader(conn, 4<<10), 4<<10).ReadString('\n')
	switch {
	case line != "":
		p.Outcome, p.Data = Accepted, fmt.Sprintf("%.200q", line)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		p.Outcome = Closed
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.Outcome = NotRefused
	default:
		p.Outcome, p.Error = Unclear, err.Error()
	}
	return p
}
