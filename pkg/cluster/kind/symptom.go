// SPDX-License-Identifier: Apache-2.0

package kind

import "regexp"

// symptom is what Docker, systemd, the kubelet, kubeadm or kind says for
// something that a user can change. The hint may name what was matched, as in
// [regexp.Regexp.Expand].
type symptom struct{ said, hint string }

const (
	moreInotify = "raise the limits of inotify: sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288 (higher where they are that already), or delete clusters: meshprobe clusters list"
	moreDisk    = "make room on the disk of Docker: docker system df"
	moreMemory  = "give Docker more memory, or ask for fewer clusters"
	otherNode   = "name a node image that is there: --kind-image IMAGE; see: docker images"
)

// symptoms is what is known, those first that explain others: a kubelet that has
// no inotify left fails in many ways. That a machine has cgroup v1 is no symptom:
// there kind, the node and the kubelet mention it whatever goes wrong.
func symptoms() []symptom {
	return []symptom{
		{`too many open files|inotify[^\n]*no space left on device`, moreInotify},
		{`no space left on device|disk-?pressure|low on resource: ephemeral-storage`, moreDisk},
		{`connect to the docker (daemon|api)`, "start Docker: sudo systemctl start docker"},
		// The kubelet since 1.35, systemd since 256.
		{
			`not run on a host using cgroup v1|refusing to run under cgroup v1|ERROR SystemVerification\]: cgroups v1`,
			"use a machine with cgroup v2, or a node image of Kubernetes 1.34 or earlier that accepts cgroup v1: --kind-image IMAGE (later kubelets also need a --kind-config with failCgroupV1: false in their KubeletConfiguration)",
		},
		{`failed to pull (?:and unpack )?image \\?"(localhost/[^"\\]+)`, "give the nodes the image: --load-image $1"},
		{`event [^\n]*failed to pull (?:and unpack )?image \\?"([^"\\]+)`, "give the nodes the image: docker pull $1, then --load-image $1"},
		{`event [^\n]*container image \\?"([^"\\]+)\\?" is not present`, "give the nodes the image: --load-image $1"},
		{`manifest unknown`, "name a node image that exists: --kind-image IMAGE"},
		{`pull access denied|no such image|unable to find image|failed to pull image`, otherNode},
		{`node\(s\) already exist for a cluster with the name|container name [^\n]*is already in use`, "see what is there: meshprobe clusters list; remove it: meshprobe clusters delete NAME"},
		{`cannot allocate memory|oom-?kill|insufficient memory|memory-?pressure`, moreMemory},
		{`insufficient cpu`, "give Docker more processors, or ask for fewer clusters"},
		{`unable to apply caps`, "let Docker start privileged containers"},
	}
}

// hintFor recognises what a failed tool said.
func hintFor(text string) []string {
	for _, s := range symptoms() {
		said := regexp.MustCompile("(?i)" + s.said)
		if m := said.FindStringSubmatchIndex(text); m != nil {
			return []string{string(said.ExpandString(nil, s.hint, text, m))}
		}
	}
	return nil
}
