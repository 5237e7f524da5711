// SPDX-License-Identifier: Apache-2.0

// Package livetest makes an embedded mesh look like clusters that run somewhere
// else: behind API servers with kubeconfigs, permissions and port-forwards, and
// with an account of every request that they were sent.
package livetest
