// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/fault"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// fix does what the hints of the findings say, line by line, as somebody would
// who pastes them into a shell. Each line is done once.
func (m *mesh) fix(t *testing.T, found []probe.Finding) {
	t.Helper()
	done := map[string]bool{}
	changed := 0
	for _, f := range found {
		if f.Status != probe.Fail && f.Status != probe.Warn {
			continue
		}
		for _, hint := range f.Hint {
			if done[hint] {
				continue
			}
			done[hint] = true
			command, _, _ := strings.Cut(hint, "    #")
			if m.shell(t, strings.TrimSpace(command)) {
				changed++
			}
		}
	}
	if changed == 0 {
		t.Error("no hint is a command that changes anything")
	}
}

// command is one form of a command line and what it does. A nil do looks only.
type command struct {
	form *regexp.Regexp
	do   func(m *mesh, t *testing.T, arg []string)
}

// The arguments of a form are its groups. kubectl's first one is the context,
// which is the name of the cluster.
var commands = []command{
	{regexp.MustCompile(`^meshprobe federate plan( --contexts \S+ --root-dir root)? && meshprobe federate apply( --contexts \S+ --root-dir root --write)?$`), func(m *mesh, t *testing.T, _ []string) { m.federate(t) }},
	{regexp.MustCompile(`^kubectl --context (\S+) -n (\S+) rollout restart (\S+)(?: && kubectl --context \S+ -n \S+ rollout status \S+)?$`), (*mesh).restart},
	{regexp.MustCompile(`^for ns in \$\(kubectl --context (\S+) get namespaces -l (\S+) -o name\); do kubectl --context \S+ -n \$\{ns#namespace/\} rollout restart deployment; done$`), (*mesh).restartNamespaces},
	{regexp.MustCompile(`^kubectl --context (\S+) label namespace (\S+) (\S+)=(\S+)$`), func(m *mesh, t *testing.T, a []string) {
		m.patch(t, a[0], namespaces, "", a[1], fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, a[2], a[3]))
	}},
	{regexp.MustCompile(`^kubectl --context (\S+) -n (\S+) delete configmap (\S+)$`), (*mesh).deleteConfigMap},
	{regexp.MustCompile(`^kubectl --context (\S+) -n (\S+) delete envoyfilter NAME$`), (*mesh).deleteFilter},
	{regexp.MustCompile(`^kubectl --context (\S+) -n (\S+) annotate service -l (\S+) (\S+)-$`), (*mesh).removeAnnotation},
	{regexp.MustCompile(`^kubectl --context (\S+) -n (\S+) scale deployment -l (\S+) --replicas=(\d+)$`), (*mesh).scale},
	{regexp.MustCompile(`^kubectl --context (\S+) -n (\S+) patch secret cacerts --type merge -p .*cert-chain\.pem.*get secret cacerts -o jsonpath='\{\.data\.ca-cert\\\.pem\}'.*$`), (*mesh).chainFromCACert},
	{regexp.MustCompile(`^kubectl --context (\S+) -n (\S+) patch peerauthentication (\S+) --type merge -p '(.*)'$`), func(m *mesh, t *testing.T, a []string) {
		m.patch(t, a[0], policies, a[1], a[2], a[3])
	}},
	{regexp.MustCompile(`^kubectl --context (\S+) -n (\S+) get configmap (\S+) -o yaml \| sed 's/(.*)/(.*)/' \| kubectl --context \S+ apply -f -$`), (*mesh).editConfigMap},
	{regexp.MustCompile(`^kubectl --context (\S+) -n (\S+) apply -f samples/multicluster/expose-services\.yaml$`), (*mesh).exposeServices},
	{regexp.MustCompile(`^istioctl --context (\S+) create-remote-secret --name (\S+) \| kubectl --context (\S+) apply -f -$`), (*mesh).remoteSecret},

	// What only looks.
	{regexp.MustCompile(`^kubectl --context \S+ (-n \S+ )?(get|describe|logs) [^|]*(\| (base64|openssl|grep) .*)?$`), nil},
	{regexp.MustCompile(`^kubectl --context \S+ -n \S+ edit `), nil},
	{regexp.MustCompile(`^istioctl --context \S+ (remote-clusters|proxy-status|proxy-config .*|ztunnel-config .*)$`), nil},
	{regexp.MustCompile(`^meshprobe explain `), nil},
}

// shell does one line. It says whether the line was one that changes something.
func (m *mesh) shell(t *testing.T, line string) bool {
	t.Helper()
	for _, c := range commands {
		if arg := c.form.FindStringSubmatch(line); arg != nil {
			if c.do != nil {
				c.do(m, t, arg[1:])
			}
			return c.do != nil
		}
	}
	switch first, _, _ := strings.Cut(line, " "); first {
	case "kubectl", "istioctl", "meshprobe", "for", "openssl":
		t.Errorf("nobody knows what this command does:\n%s", line)
	}
	return false
}

var (
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	daemonSets  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}
	filters     = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"}
	gateways    = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "gateways"}
	policies    = schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"}
)

func (m *mesh) api(t *testing.T, name string) cluster.Kube {
	t.Helper()
	c, ok := m.set.Cluster(name)
	if !ok {
		t.Fatalf("no cluster %q", name)
	}
	k, ok := cluster.As[cluster.Kube](c)
	if !ok {
		t.Fatalf("%s has no API", name)
	}
	return k
}

func (m *mesh) patch(t *testing.T, context string, r schema.GroupVersionResource, namespace, name, text string) {
	t.Helper()
	_, err := m.api(t, context).Dynamic().Resource(r).Namespace(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(text), metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("patch %s %s/%s: %v", r.Resource, namespace, name, err)
	}
}

func (m *mesh) list(t *testing.T, context string, r schema.GroupVersionResource, namespace, selector string) []unstructured.Unstructured {
	t.Helper()
	l, err := m.api(t, context).Dynamic().Resource(r).Namespace(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	return l.Items
}

// restart is kubectl rollout restart KIND[/NAME][,KIND], and the wait for it.
func (m *mesh) restart(t *testing.T, a []string) {
	t.Helper()
	for what := range strings.SplitSeq(a[2], ",") {
		kind, name, one := strings.Cut(what, "/")
		r := deployments
		if kind == "daemonset" {
			r = daemonSets
		}
		for _, o := range m.list(t, a[0], r, a[1], "") {
			if one && o.GetName() != name {
				continue
			}
			m.patch(t, a[0], r, a[1], o.GetName(), fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339Nano)))
			m.rolledOut(t, a[0], r, a[1], o.GetName())
		}
	}
}

func (m *mesh) rolledOut(t *testing.T, in string, r schema.GroupVersionResource, namespace, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Minute)
	defer cancel()
	if err := fault.RolledOut(ctx, m.api(t, in).Dynamic(), r, namespace, name); err != nil {
		t.Fatalf("%s: %v", in, err)
	}
}

func (m *mesh) restartNamespaces(t *testing.T, a []string) {
	t.Helper()
	for _, ns := range m.list(t, a[0], namespaces, "", a[1]) {
		m.restart(t, []string{a[0], ns.GetName(), "deployment"})
	}
}

// deleteConfigMap waits until istiod has written it again.
func (m *mesh) deleteConfigMap(t *testing.T, a []string) {
	t.Helper()
	api := m.api(t, a[0]).Dynamic().Resource(configMaps).Namespace(a[1])
	old, err := api.Get(t.Context(), a[2], metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := api.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + a[2], ResourceVersion: old.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if err := api.Delete(t.Context(), a[2], metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	for {
		select {
		case <-late.C:
			t.Fatalf("istiod of %s does not write configmap %s/%s again", a[0], a[1], a[2])
		case e := <-w.ResultChan():
			if o, ok := e.Object.(*unstructured.Unstructured); ok && o.GetUID() != old.GetUID() {
				return
			}
		}
	}
}

// deleteFilter finds the NAME to fill in.
func (m *mesh) deleteFilter(t *testing.T, a []string) {
	t.Helper()
	for _, f := range m.list(t, a[0], filters, a[1], "") {
		text, err := json.Marshal(f.Object)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), `"require_client_certificate":false`) {
			continue
		}
		if err := m.api(t, a[0]).Dynamic().Resource(filters).Namespace(a[1]).Delete(t.Context(), f.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *mesh) removeAnnotation(t *testing.T, a []string) {
	t.Helper()
	for _, s := range m.list(t, a[0], services, a[1], a[2]) {
		m.patch(t, a[0], services, a[1], s.GetName(), fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, a[3]))
	}
}

func (m *mesh) scale(t *testing.T, a []string) {
	t.Helper()
	for _, d := range m.list(t, a[0], deployments, a[1], a[2]) {
		m.patch(t, a[0], deployments, a[1], d.GetName(), `{"spec":{"replicas":`+a[3]+`}}`)
		m.rolledOut(t, a[0], deployments, a[1], d.GetName())
	}
}

func (m *mesh) chainFromCACert(t *testing.T, a []string) {
	t.Helper()
	api := m.api(t, a[0]).Kubernetes().CoreV1().Secrets(a[1])
	s, err := api.Get(t.Context(), "cacerts", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Data["cert-chain.pem"] = s.Data["ca-cert.pem"]
	if _, err := api.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (m *mesh) editConfigMap(t *testing.T, a []string) {
	t.Helper()
	api := m.api(t, a[0]).Kubernetes().CoreV1().ConfigMaps(a[1])
	cm, err := api.Get(t.Context(), a[2], metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for key, text := range cm.Data {
		lines := strings.Split(text, "\n")
		for i, l := range lines {
			lines[i] = regexp.MustCompile(a[3]).ReplaceAllLiteralString(l, a[4])
		}
		cm.Data[key] = strings.Join(lines, "\n")
	}
	if _, err := api.Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// exposeServices is the sample of the Istio release.
func (m *mesh) exposeServices(t *testing.T, a []string) {
	t.Helper()
	m.patch(t, a[0], gateways, a[1], "cross-network-gateway",
		`{"spec":{"selector":{"istio":"eastwestgateway"},"servers":[{"port":{"number":15443,"name":"tls","protocol":"TLS"},"tls":{"mode":"AUTO_PASSTHROUGH"},"hosts":["*.local"]}]}}`)
}

// remoteSecret is istioctl create-remote-secret: the reader's token and the
// address of the API, as a kubeconfig.
func (m *mesh) remoteSecret(t *testing.T, a []string) {
	t.Helper()
	from := m.api(t, a[0])
	token, err := from.Kubernetes().CoreV1().ServiceAccounts("istio-system").CreateToken(t.Context(), "istio-reader-service-account",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(86400))}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name, at := a[1], from.APIServer()
	kubeconfig, err := clientcmd.Write(clientcmdapi.Config{
		CurrentContext: name,
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: at.URL, CertificateAuthorityData: at.CA}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {Token: token.Status.Token}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
	})
	if err != nil {
		t.Fatal(err)
	}
	api := m.api(t, a[2]).Kubernetes().CoreV1().Secrets("istio-system")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "istio-remote-secret-" + name, Labels: map[string]string{"istio/multiCluster": "true"}, Annotations: map[string]string{"networking.istio.io/cluster": name}},
		Data:       map[string][]byte{name: kubeconfig},
	}
	_, err = api.Create(t.Context(), secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = api.Update(t.Context(), secret, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}
