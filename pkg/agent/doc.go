// SPDX-License-Identifier: Apache-2.0

// Package agent is the small server that meshprobe may put into a cluster, and
// the client that speaks to it: it dials where a pod of that cluster would, and
// passes bytes. TLS stays end to end between meshprobe and the peer, so the
// agent sees no certificate and holds no key.
//
//	ln, _ := net.Listen("tcp", "127.0.0.1:15080")
//	err := (&agent.Server{}).Serve(ctx, ln)
//
// A client reaches it through a port-forward, which enters the pod over lo: the
// agent listens on loopback only, so nobody else in the cluster can use it, and
// whoever may open a port-forward to the pod may. Each stream carries one
// HTTP/1.1 CONNECT (RFC 9110 §9.3.6):
//
//	conn, err := agent.Dial(ctx, stream, "ratings.shop:9080")
//
// A server that has a Caller wants proof beside that: a Token whose hash it was
// started with. It dials no hosts but those that it was started with, and ends
// by itself when its caller is gone:
//
//	token := agent.NewToken()
//	go (&agent.Server{Caller: token.Hash(), Hosts: []string{"10.1.2.3"}, Idle: time.Minute}).Serve(ctx, ln)
//	conn, err := token.Dial(ctx, stream, "10.1.2.3:9080")
//
// What the dial inside the cluster met travels back as it was: refused, timed
// out, unreachable, no such host. Everything a client sends is bounded.
package agent
