// SPDX-License-Identifier: Apache-2.0

package material

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// kubeconfig is what is read of one. Credentials are decoded to learn that they
// are there, and let go of.
type kubeconfig struct {
	Current  string `yaml:"current-context"`
	Clusters []struct {
		Name    string `yaml:"name"`
		Cluster struct {
			Server   string `yaml:"server"`
			CA       string `yaml:"certificate-authority-data"`
			CAFile   string `yaml:"certificate-authority"`
			Insecure bool   `yaml:"insecure-skip-tls-verify"`
		} `yaml:"cluster"`
	} `yaml:"clusters"`
	Contexts []struct {
		Name    string `yaml:"name"`
		Context struct {
			Cluster string `yaml:"cluster"`
			User    string `yaml:"user"`
		} `yaml:"context"`
	} `yaml:"contexts"`
	Users []struct {
		Name string         `yaml:"name"`
		User map[string]any `yaml:"user"`
	} `yaml:"users"`
}

// remotes describes the kubeconfigs of a remote secret, each under the name of its
// cluster (istio pkg/kube/multicluster/secretcontroller.go).
func (r *reader) remotes(d *Document, data map[string][]byte) {
	for _, name := range slices.Sorted(maps.Keys(data)) {
		content := data[name]
		d.Entries = append(d.Entries, Entry{Name: clip(name), Bytes: len(content), Holds: HoldsKubeconfig})
		remote := r.remote(name, content)
		if remote.Error != "" {
			d.Problems = append(d.Problems, Problem{
				Code: CodeKubeconfig, Entry: remote.Cluster, What: remote.Error, Hint: "write it again with `istioctl create-remote-secret`",
			})
		}
		if d.Remotes = append(d.Remotes, remote); len(d.Remotes) >= maxNames {
			break
		}
	}
	if len(d.Remotes) == 0 {
		d.Problems = append(d.Problems, Problem{Code: CodeKubeconfig, What: "holds no kubeconfig", Hint: "write it again with `istioctl create-remote-secret`"})
	}
}

func (r *reader) remote(cluster string, content []byte) Remote {
	out := Remote{Cluster: clip(cluster)}
	if len(content) > 1<<20 {
		out.Error = "the kubeconfig is larger than a Secret can be"
		return out
	}
	var k kubeconfig
	var node yaml.Node
	if yaml.Unmarshal(content, &node) != nil || !cheap(&node) || node.Kind != 0 && node.Decode(&k) != nil {
		out.Error = "the kubeconfig is not valid YAML" // the parser's words quote what it read
		return out
	}
	clusterName, user := "", ""
	found := false
	for _, c := range k.Contexts {
		if c.Name == k.Current {
			clusterName, user, found = c.Context.Cluster, c.Context.User, true
		}
	}
	if !found {
		out.Error = "the kubeconfig has no current context"
		return out
	}
	for _, u := range k.Users {
		if u.Name == user {
			out.Auth, out.Expires = auth(u.User)
		}
	}
	if out.Auth == "" {
		out.Auth = "none"
	}
	for _, c := range k.Clusters {
		if c.Name != clusterName {
			continue
		}
		out.Server, out.Insecure = server(c.Cluster.Server), c.Cluster.Insecure
		ca, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.Cluster.CA), ""))
		if err != nil {
			out.Error = "its certificate-authority-data is not base64"
		}
		out.CA = r.entry("", ca).certs
		switch {
		case c.Cluster.CAFile != "":
			out.Error = "it names a CA file, which istiod does not read"
		case len(out.CA) == 0 && !out.Insecure && out.Error == "":
			out.Error = "it has no CA certificate for the API server"
		}
	}
	if out.Server == "" && out.Error == "" {
		out.Error = "its current context has no API server"
	}
	return out
}

// server is a URL without what may be secret in it.
func server(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ""
	}
	return clip(u.Scheme + "://" + u.Host)
}

// auth names the sort of a credential, and when a token ends.
func auth(user map[string]any) (sort string, expires time.Time) {
	has := func(key string) bool { v, ok := user[key]; return ok && v != nil && v != "" }
	switch {
	case has("exec"):
		return "exec", time.Time{}
	case has("auth-provider"):
		return "auth-provider", time.Time{}
	case has("token"):
		token, _ := user["token"].(string)
		return "token", tokenEnds(token)
	case has("tokenFile"):
		return "token-file", time.Time{}
	case has("client-certificate-data") || has("client-certificate"):
		return "client-certificate", time.Time{}
	case has("username"):
		return "basic", time.Time{}
	}
	return "none", time.Time{}
}

// tokenEnds reads the exp claim of a JWT, and nothing else of it.
func tokenEnds(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}
	}
	var c struct {
		Expires *float64 `json:"exp"`
	}
	if json.Unmarshal(claims, &c) != nil || c.Expires == nil || *c.Expires < 0 || *c.Expires > 253402300799 {
		return time.Time{}
	}
	return time.Unix(int64(*c.Expires), 0).UTC()
}
