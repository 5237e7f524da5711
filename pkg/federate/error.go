// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"errors"
	"sync"
)

// The steps of a federation, as events, plans and errors name them.
const (
	StepRoot            = "root"
	StepTrust           = "trust"
	StepTrustRollout    = "trust-rollout"
	StepCSR             = "csr"
	StepIntermediate    = "intermediate"
	StepCACerts         = "cacerts"
	StepIstiodRestart   = "istiod-restart"
	StepRootConfigMap   = "root-configmap"
	StepGatewayRestart  = "gateway-restart"
	StepWorkloadRestart = "workload-restart"
	StepGateway         = "gateway"
	StepNetwork         = "network"
	StepRemoteSecret    = "remote-secret"
	StepAgent           = "agent"
	StepRotate          = "rotate"
	StepServiceEntry    = "service-entry"
	StepVerify          = "verify"
	StepRetire          = "retire"
	StepRetireRollout   = "retire-rollout"
)

// Error says in which step of which cluster something failed.
type Error struct {
	Step    string
	Cluster string // empty: the whole mesh
	Err     error
}

// Error is "federate: STEP: CLUSTER: what failed".
func (e *Error) Error() string {
	s := "federate: "
	if e.Step != "" {
		s += e.Step + ": "
	}
	if e.Cluster != "" {
		s += e.Cluster + ": "
	}
	return s + e.Err.Error()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// wrap names step and cluster, once.
func wrap(step, clusterName string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{Step: step, Cluster: clusterName, Err: err}
}

// each runs f for every member, at most parallel at a time, and returns their
// errors together: one cluster that fails does not stop the others.
func each[T any](items []T, parallel int, f func(T) error) error {
	slots := make(chan struct{}, max(parallel, 1))
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for i, item := range items {
		slots <- struct{}{} // after an interrupt f ends at once, with an error of its own
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(item)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
