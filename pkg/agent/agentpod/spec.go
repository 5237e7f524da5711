// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Port is where an agent listens, on the loopback of its pod.
const Port = 15080

// program is where an image of meshprobe has its only program.
const program = "/meshprobe"

// user is nobody's in particular.
const user = 65532

// Pod says what the pod of an agent is; everything else about it is fixed: no
// root, no capability, no way to write, nothing of the host, one second to end.
type Pod struct {
	Image    string
	Args     []string      // of "meshprobe agent", beside --listen and --lifetime
	Account  string        // service account whose token the agent needs; "" is none
	Lifetime time.Duration // after which the agent ends by itself; 0 is never
}

// Spec passes Pod Security's level restricted.
func (p Pod) Spec() corev1.PodSpec {
	args := []string{"agent", "--listen", fmt.Sprintf("127.0.0.1:%d", Port)}
	if p.Lifetime > 0 {
		args = append(args, "--lifetime", p.Lifetime.String())
	}
	return corev1.PodSpec{
		ServiceAccountName: p.Account, AutomountServiceAccountToken: new(p.Account != ""),
		TerminationGracePeriodSeconds: new(int64(1)), EnableServiceLinks: new(false),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(user)), RunAsGroup: new(int64(user)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: "agent", Image: p.Image, ImagePullPolicy: corev1.PullIfNotPresent,
			Command: []string{program}, Args: append(args, p.Args...),
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("5m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
				Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
			},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}
}

// NamespaceLabels guard the namespace of an agent: Kubernetes refuses any pod
// there that could do more, and Istio leaves it alone.
func NamespaceLabels() map[string]string {
	return map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "istio-injection": "disabled"}
}

// PodLabels keep an agent's pod out of the mesh, whatever its namespace says:
// its streams must not be captured.
func PodLabels() map[string]string {
	return map[string]string{"sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none"}
}

// Ready says that a pod takes streams.
func Ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// Waiting says in a few words why a pod is not ready; nil is no pod.
func Waiting(pod *corev1.Pod) string {
	if pod == nil {
		return "there is no pod"
	}
	for _, s := range pod.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil {
			return w.Reason + ", image " + s.Image
		}
		if t := s.State.Terminated; t != nil {
			return fmt.Sprintf("%s, exit status %d", t.Reason, t.ExitCode)
		}
	}
	return string(pod.Status.Phase)
}
