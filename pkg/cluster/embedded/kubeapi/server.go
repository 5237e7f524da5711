// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Options of a server. Its zero value makes a usable one.
type Options struct {
	// Name of the cluster: context, cluster and user of its kubeconfigs.
	// Empty is "embedded".
	Name string
	// Now is the clock of timestamps and tokens; nil is time.Now. The serving
	// certificate follows the machine's: a TLS client does too.
	Now func() time.Time
	// Objects are there when New returns, status included. Namespaces must come
	// before what is in them.
	Objects []runtime.Object
	// Resources are served besides the builtin ones.
	Resources []Resource
	// Admins are service accounts, "NAMESPACE/NAME", that may write.
	Admins []string
	// Admit may complete or refuse each write before it is validated (return an
	// error of apimachinery's errors package). It runs with the store locked: it
	// must not use the store.
	Admit func(*Admission) error
}

// Server is the API of one cluster on a port of 127.0.0.1.
type Server struct {
	name       string
	store      *Store
	admins     map[string]bool
	adminToken string
	addr       string
	caPEM      []byte

	http      *http.Server
	intercept atomic.Pointer[func(http.Handler) http.Handler]
	ctx       context.Context //nolint:containedctx // the life of the server, ended by Close
	stop      context.CancelFunc
	serving   sync.WaitGroup
	conns     sync.WaitGroup
	gate      gate
	clients   clients
}

// New starts a server. ctx bounds only the start: the server lives until Close.
func New(ctx context.Context, o Options) (*Server, error) {
	if o.Name == "" {
		o.Name = "embedded"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{name: o.Name, admins: map[string]bool{}, store: newStore(newTable(o.Resources), o)}
	for _, a := range o.Admins {
		ns, name, err := splitAccount(a)
		if err != nil {
			return nil, fmt.Errorf("kubeapi: %w", err)
		}
		s.admins[subject(ns, name)] = true
	}
	pair, err := s.keys(o.Now)
	if err != nil {
		return nil, fmt.Errorf("kubeapi: keys of %s: %w", o.Name, err)
	}
	if err := s.seed(o.Objects); err != nil {
		return nil, fmt.Errorf("kubeapi: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("kubeapi: %w", err)
	}
	s.addr = listener.Addr().String()
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnState:         s.connState,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	s.serving.Go(func() { _ = s.http.ServeTLS(listener, "", "") }) // ends with ErrServerClosed
	return s, nil
}

// keys makes what only this server knows.
func (s *Server) keys(now func() time.Time) (tls.Certificate, error) {
	// Clients of this API verify it by the time of their machine, whatever the
	// clock of the cluster says.
	caPEM, pair, err := servingPair(time.Now())
	if err != nil {
		return pair, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair, err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return pair, err
	}
	s.caPEM, s.adminToken = caPEM, base64.RawURLEncoding.EncodeToString(secret)
	s.store.caPEM, s.store.issuer = caPEM, &issuer{key: key, now: now}
	return pair, nil
}

func (s *Server) seed(objects []runtime.Object) error {
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := s.store.Add(ns); err != nil {
			return err
		}
	}
	for _, o := range objects {
		if _, err := s.store.Add(o); err != nil {
			return err
		}
	}
	return nil
}

// Store is the same objects without HTTP.
func (s *Server) Store() *Store { return s.store }

// URL is the server's address, https://127.0.0.1:PORT.
func (s *Server) URL() string { return "https://" + s.addr }

// CA is the certificate, in PEM, that the server's certificate verifies against.
func (s *Server) CA() []byte { return s.caPEM }

// SetInterceptor puts a middleware in front of everything but TLS, to answer in
// the API's stead (see [Refuse]) or to be slow; nil removes it. It applies to
// requests that begin afterwards.
func (s *Server) SetInterceptor(m func(http.Handler) http.Handler) {
	if m == nil {
		s.intercept.Store(nil)
		return
	}
	s.intercept.Store(&m)
}

// Close ends watches and connections and waits for every goroutine of the
// server. It may be called again.
func (s *Server) Close() error {
	s.stop()
	err := s.http.Close()
	s.serving.Wait()
	s.conns.Wait()
	s.gate.shut()
	s.clients.close()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("kubeapi: %w", err)
	}
	return nil
}

// connState counts connections, because http.Server.Close does not wait for them.
func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	case http.StateActive, http.StateIdle:
	}
}

// gate counts requests, whose goroutines outlive their connection in HTTP/2.
type gate struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside.Add(1)
	return true
}

func (g *gate) leave() { g.inside.Done() }

func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}
