// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	constants "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/transport/websocket"
	"k8s.io/streaming/pkg/httpstream"
	streamspdy "k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// pingPeriod keeps what lies between from forgetting an idle connection.
const pingPeriod = 10 * time.Second

// connectPod makes a streaming connection to a pod: a websocket, and SPDY where
// the API server or a proxy before it does not know that (KEP-4006).
func connectPod(ctx context.Context, config *rest.Config, namespace, pod string) (httpstream.Connection, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("address of the API: %w", err)
	}
	at := base.JoinPath("api", "v1", "namespaces", namespace, "pods", pod, "portforward")
	conn, err := overWebsocket(ctx, config, at)
	if err == nil {
		return conn, nil
	}
	if !httpstream.IsUpgradeFailure(err) && !httpstream.IsHTTPSProxyError(err) {
		return nil, forwardError(err, nil, namespace)
	}
	conn, second := overSPDY(ctx, config, at)
	if second != nil {
		return nil, forwardError(err, second, namespace)
	}
	return conn, nil
}

func overWebsocket(ctx context.Context, config *rest.Config, at *url.URL) (httpstream.Connection, error) {
	transport, holder, err := websocket.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	conn, err := websocket.Negotiate(transport, holder, r, constants.WebsocketsSPDYTunnelingPrefix+constants.PortForwardV1Name)
	if err != nil {
		return nil, err
	}
	// The library's log lines would hold what goes over the stream.
	return streamspdy.NewClientConnectionWithPings(portforward.NewTunnelingConnectionWithLogger(logr.Discard(), conn), pingPeriod)
}

func overSPDY(ctx context.Context, config *rest.Config, at *url.URL) (httpstream.Connection, error) {
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	conn, _, err := spdy.NegotiateStreaming(upgrader, &http.Client{Transport: transport}, r, constants.PortForwardV1Name)
	return conn, err
}

// forwardError says why there is no stream. A refusal is a permission that is
// missing where both ways were refused.
func forwardError(first, second error, namespace string) error {
	refused := isForbidden(first) && (second == nil || isForbidden(second))
	if refused {
		return &cluster.DeniedError{What: "create pods/portforward in " + namespace, Err: first}
	}
	return fmt.Errorf("port-forward: %w", errors.Join(first, second))
}

// isForbidden recognises a refusal, also where only its text is left.
func isForbidden(err error) bool {
	if failure, ok := errors.AsType[*httpstream.UpgradeFailureError](err); ok {
		err = failure.Cause
	}
	return apierrors.IsForbidden(err) || strings.Contains(strings.ToLower(err.Error()), "forbidden")
}
