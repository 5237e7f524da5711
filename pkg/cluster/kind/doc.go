// SPDX-License-Identifier: Apache-2.0

// Package kind opens the clusters of a topology as real Kubernetes clusters in
// Docker containers, with a real istiod, real Envoys and real pods.
//
// What one [Provider] opens is a mesh: its clusters bear the names
//
//	meshprobe-MESH-CLUSTER
//
// by which they are found again whatever became of the process that made them,
// and a file on the node of each says what the mesh is (see [Found]). Nothing
// else is kept anywhere: no state directory, no lock.
//
// Open works on all clusters at once, in this order:
//
//	preflight   Docker answers and has room, istioctl is one that we know
//	create      node containers, kubeadm; images are loaded meanwhile
//	install     Gateway API, istiod, what --istio-manifest names
//	gateways    both east-west gateways, with the node as load balancer
//	workloads   those of the topology, each with the data plane it asks for
//
// and returns clusters that are not federated: each has a self-signed CA of its
// own. Unless the installation brought a ztunnel, a workload of the data plane
// ambient is a pod that speaks HBONE itself: see package standin.
//
// Everything that reaches into a cluster is package live's; this package knows
// how clusters come and go.
package kind
