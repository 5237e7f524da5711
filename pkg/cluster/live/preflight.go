// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/agent/agentpod"
)

// preflight asks the API which of the permissions that a check needs are
// missing, so that a person learns of all of them at once.
func (c *Cluster) preflight(ctx context.Context) ([]string, error) {
	wide, root := Rules()
	asked := append(attributes(wide, ""), attributes(root, c.facts.RootNamespace)...)
	if c.config.Options.Agent != nil && !c.config.Inside {
		asked = append(asked, attributes(agentpod.Rules(), agentpod.Namespace)...)
	}
	missing := make([]bool, len(asked))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range asked {
		group.Go(func() error {
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &asked[i]}}
			answer, err := c.kube.AuthorizationV1().SelfSubjectAccessReviews().Create(groupCtx, review, metav1.CreateOptions{})
			if denied(err) {
				return nil // not even that may be asked: the probes will say
			}
			if err != nil {
				return fmt.Errorf("ask for permissions: %w", err)
			}
			missing[i] = !answer.Status.Allowed
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []string
	for i, a := range asked {
		if missing[i] {
			out = append(out, spelled(a))
		}
	}
	return out, nil
}

// attributes are the questions about each verb of each resource of the rules.
func attributes(rules []rbacv1.PolicyRule, namespace string) []authorizationv1.ResourceAttributes {
	var out []authorizationv1.ResourceAttributes
	for _, r := range rules {
		for _, full := range r.Resources {
			for _, verb := range r.Verbs {
				resource, sub, _ := strings.Cut(full, "/")
				a := authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Group: r.APIGroups[0], Resource: resource, Subresource: sub}
				if len(r.ResourceNames) > 0 {
					a.Name = r.ResourceNames[0]
				}
				out = append(out, a)
			}
		}
	}
	return out
}

func spelled(a authorizationv1.ResourceAttributes) string {
	out := a.Verb + " " + target{resource: a.Resource, subresource: a.Subresource}.String()
	if a.Namespace != "" {
		out += " in " + a.Namespace
	}
	return out
}
