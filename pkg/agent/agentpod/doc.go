// SPDX-License-Identifier: Apache-2.0

// Package agentpod puts agents into clusters: what their pods look like, how a
// stream goes through one, and a [Guest], which stays for the time of one check
// only.
//
//	g, err := agentpod.Options{Kube: kube, Forward: forward, Image: image, Hosts: hosts}.Start(ctx)
//	defer g.Stop(ctx)
//	conn, err := g.Dial(ctx, "10.1.2.3:9080")
//
// A guest leaves in every case. Stop removes it with its namespace. Where Stop
// is never called, because the process was killed, the agent ends when nobody
// spoke to it for [Idle]; its Job, which has a deadline besides, is removed by
// Kubernetes; and the next guest removes the namespace that is left. A guest
// whose owner is alive is never touched: the next one waits for it.
package agentpod
