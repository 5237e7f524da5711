// SPDX-License-Identifier: Apache-2.0

package embedded

import "github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"

// API is the ability to reach the API server of an embedded cluster itself,
// to answer in its stead ([kubeapi.Server.SetInterceptor]) or to count what is
// asked of it. Find it with [cluster.As].
type API interface {
	// API is the server that the clients of [cluster.Kube] and the remote
	// secrets of other clusters speak to. It is closed with the cluster.
	API() *kubeapi.Server
}

var _ API = (*instance)(nil)

// API implements [API].
func (in *instance) API() *kubeapi.Server { return in.api }
