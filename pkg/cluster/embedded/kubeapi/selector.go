// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"fmt"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// selection is what ?labelSelector= and ?fieldSelector= take.
func selection(r *Resource, q url.Values) (func(object) bool, error) {
	byLabel, err := labels.Parse(q.Get("labelSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("unable to parse requirement: %v", err))
	}
	byField, err := fields.ParseSelector(q.Get("fieldSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	known := fieldsOf(newObject(r, r.Versions[0]))
	for _, req := range byField.Requirements() {
		if _, ok := known[req.Field]; !ok {
			return nil, apierrors.NewBadRequest("field label not supported: " + req.Field)
		}
	}
	return func(o object) bool {
		return byLabel.Matches(labels.Set(o.GetLabels())) && (byField.Empty() || byField.Matches(fieldsOf(o)))
	}, nil
}

// fieldsOf returns the fields that a kind can be selected by, as a real server
// has them (k8s.io/kubernetes pkg/apis/core/v1/conversion.go).
func fieldsOf(o object) fields.Set {
	set := fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}
	switch obj := o.(type) {
	case *corev1.Pod:
		set["spec.nodeName"] = obj.Spec.NodeName
		set["spec.restartPolicy"] = string(obj.Spec.RestartPolicy)
		set["spec.schedulerName"] = obj.Spec.SchedulerName
		set["spec.serviceAccountName"] = obj.Spec.ServiceAccountName
		set["spec.hostNetwork"] = strconv.FormatBool(obj.Spec.HostNetwork)
		set["status.phase"] = string(obj.Status.Phase)
		set["status.podIP"] = obj.Status.PodIP
		set["status.nominatedNodeName"] = obj.Status.NominatedNodeName
	case *corev1.Secret:
		set["type"] = string(obj.Type)
	case *corev1.Namespace:
		set["status.phase"] = string(obj.Status.Phase)
	case *corev1.Node:
		set["spec.unschedulable"] = strconv.FormatBool(obj.Spec.Unschedulable)
	case *corev1.Service:
		set["spec.clusterIP"] = obj.Spec.ClusterIP
		set["spec.type"] = string(obj.Spec.Type)
	case *corev1.Event:
		set["involvedObject.kind"] = obj.InvolvedObject.Kind
		set["involvedObject.namespace"] = obj.InvolvedObject.Namespace
		set["involvedObject.name"] = obj.InvolvedObject.Name
		set["involvedObject.uid"] = string(obj.InvolvedObject.UID)
		set["reason"] = obj.Reason
		set["type"] = obj.Type
	}
	return set
}
