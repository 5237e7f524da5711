// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/meshprobe/meshprobe/pkg/federate"
)

// caFlags make an agent the keeper of its cluster's CA key.
type caFlags struct{ namespace, cluster, mesh string }

func (f *caFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.namespace, "ca-namespace", "", "make the CA key of the cluster whose istiod is in `NAMESPACE`")
	fl.StringVar(&f.cluster, "ca-cluster", "", "`NAME` of that cluster")
	fl.StringVar(&f.mesh, "ca-mesh", "", "`NAME` of its mesh")
}

// handler answers for the CA key, with the rights of the agent's pod; nil where
// that was not asked for.
func (f *caFlags) handler() (http.Handler, error) {
	if f.namespace == "" {
		return nil, nil //nolint:nilnil // no handler is an answer
	}
	if f.cluster == "" {
		return nil, &usageError{msg: "--ca-namespace needs the name of the cluster", hint: "add: --ca-cluster NAME"}
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, &usageError{msg: "--ca-namespace: " + err.Error(), hint: "it works in a pod only"}
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return federate.AgentCA(dyn, f.namespace, f.cluster, f.mesh), nil
}

// withAgents lets a verb act while an agent in each cluster keeps its CA key,
// and removes the agents.
func withAgents(image string, do func(context.Context, *federating) error) func(context.Context, *federating) error {
	return func(ctx context.Context, f *federating) (err error) {
		stop, err := federate.Pods{Image: image}.Start(ctx, f.set, &f.opts)
		defer func() {
			over, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			err = errors.Join(err, stop(over))
		}()
		if err != nil {
			return err
		}
		f.say("an agent in each cluster keeps its CA key, which never leaves the cluster\n")
		return do(ctx, f)
	}
}
