// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// FuzzParseSNI feeds the gateway's router, which any client reaches.
func FuzzParseSNI(f *testing.F) {
	for _, s := range []string{"outbound_.9080_._.ratings.shop.svc.cluster.local", "outbound_.9080_.v1_.a", "outbound_._._.", "outbound_.65536_._.a", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sni string) {
		host, port, ok := parseSNI(sni)
		if !ok {
			return
		}
		if host == "" {
			t.Fatalf("%q has no host and is accepted", sni)
		}
		again, samePort, ok := parseSNI(cluster.SNI(host, port))
		if !ok || again != host || samePort != port {
			t.Fatalf("%q: %q port %d comes back as %q port %d", sni, host, port, again, samePort)
		}
	})
}

// FuzzKubeconfig feeds what a remote secret may hold.
func FuzzKubeconfig(f *testing.F) {
	const good = `apiVersion: v1
kind: Config
current-context: west
clusters: [{name: west, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: west, context: {cluster: west, user: west}}]
users: [{name: west, user: {token: SECRET}}]
`
	f.Add(good)
	f.Add(strings.Replace(good, "token: SECRET", "exec: {command: SECRET, apiVersion: client.authentication.k8s.io/v1}", 1))
	f.Add(strings.Replace(good, "token: SECRET", "tokenFile: /etc/SECRET", 1))
	f.Add("token: SECRET: SECRET")
	f.Fuzz(func(t *testing.T, text string) {
		config, err := restConfig([]byte(text))
		if err != nil {
			if strings.Contains(text, "SECRET") && strings.Contains(err.Error(), "SECRET") {
				t.Fatalf("the error quotes the kubeconfig: %v", err)
			}
			return
		}
		if config.ExecProvider != nil || config.AuthProvider != nil || config.BearerTokenFile != "" || config.KeyFile != "" {
			t.Fatalf("%q is allowed to run a command or to read a file", text)
		}
	})
}
