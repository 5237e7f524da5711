// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	securityv1alpha1 "istio.io/api/security/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/citadel"
)

// istiod is one istiod process. It reads its CA once, at start, and keeps it
// until it ends: a Secret that appears or changes later is not noticed
// (failures.md 2, cacerts-after-istiod).
type istiod struct {
	*proc
	securityv1alpha1.UnimplementedIstioCertificateServiceServer
	ca *citadel.CA
}

// istiodNames are the DNS SANs of its serving certificate.
func istiodNames() []string {
	return []string{
		"istiod.istio-system.svc", "istiod-remote.istio-system.svc", "istio-pilot.istio-system.svc",
	}
}

func startIstiod(_ context.Context, base *proc) (*istiod, error) {
	d := &istiod{proc: base}
	var err error
	if d.ca, err = d.loadCA(); err != nil {
		return nil, err
	}
	cert, err := d.ca.ServerCertificate(istiodNames(), d.in.now())
	if err != nil {
		return nil, err
	}
	if err := d.listen(cluster.PortCA, func(ctx context.Context, ln net.Listener) error { return d.serve(ctx, ln, cert) }); err != nil {
		return nil, err
	}
	if err := d.writeRoots(); err != nil {
		return nil, err
	}
	return d, nil
}

// loadCA takes the plug-in CA where there is one, the self-signed one of an
// earlier istiod otherwise, and makes one where there is none
// (istio pilot/pkg/bootstrap/istio_ca.go).
func (d *istiod) loadCA() (*citadel.CA, error) {
	now := d.in.now()
	plugin, err := d.secret(pluginName)
	if err == nil {
		d.in.log.Info("Use local CA certificate")
		return citadel.FromPlugin(plugin.Data, now)
	}
	if !apierrors.IsNotFound(err) {
		return nil, err
	}
	d.in.log.Info("Use self-signed certificate as the CA certificate")
	own, err := d.secret(selfSignedName)
	if apierrors.IsNotFound(err) {
		own, err = d.selfSign()
	}
	if err != nil {
		return nil, err
	}
	return citadel.FromSecret(own.Data, now)
}

func (d *istiod) selfSign() (*corev1.Secret, error) {
	td := d.in.local().mesh.TrustDomain
	data, err := citadel.SelfSigned(td, d.in.now())
	if err != nil {
		return nil, err
	}
	own := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: selfSignedName, Namespace: rootNamespace},
		Type:       "istio.io/ca-root", Data: data,
	}
	_, err = d.in.store.Create(secretsGVR, rootNamespace, own)
	return own, err
}

func (d *istiod) secret(name string) (*corev1.Secret, error) {
	o, err := d.in.store.Get(secretsGVR, rootNamespace, name)
	if err != nil {
		return nil, err
	}
	s, ok := o.(*corev1.Secret)
	if !ok {
		return nil, fmt.Errorf("secret %s is a %T", name, o)
	}
	return s, nil
}

// serve answers at 15012. A client certificate is not required; one that is
// given has to verify (istio pilot/pkg/bootstrap/server.go).
func (d *istiod) serve(ctx context.Context, ln net.Listener, cert *tls.Certificate) error {
	config := &tls.Config{
		Certificates: []tls.Certificate{*cert},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: d.ca.Roots(),
		MinVersion: tls.VersionTLS12, Time: d.in.now,
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return nil
			}
			return oneIdentity(s.PeerCertificates[0])
		},
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)), grpc.MaxRecvMsgSize(64<<10))
	securityv1alpha1.RegisterIstioCertificateServiceServer(server, d)
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	err := server.Serve(ln)
	server.Stop()
	return err
}

// oneIdentity is what istiod's PeerCertVerifier asks of a client certificate
// (istio pkg/spiffe/spiffe.go).
func oneIdentity(leaf *x509.Certificate) error {
	if n := len(leaf.URIs); n != 1 {
		return fmt.Errorf("peer certificate does not contain 1 URI type SAN, detected %d", n)
	}
	return nil
}

// writeRoots distributes the root to every namespace.
func (d *istiod) writeRoots() error {
	objects, _, err := d.in.store.List(namespacesGVR, "", nil)
	if err != nil {
		return err
	}
	var errs []error
	for _, ns := range each[*corev1.Namespace](objects) {
		errs = append(errs, d.writeRoot(ns.Name))
	}
	return errors.Join(errs...)
}

// writeRoot creates or updates istio-ca-root-cert of one namespace
// (istio pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go).
func (d *istiod) writeRoot(namespace string) error {
	switch namespace {
	case "kube-public", "kube-node-lease", "local-path-storage":
		return nil
	}
	want := map[string]string{rootCertKey: string(d.ca.RootPEM())}
	o, err := d.in.store.Get(configMapsGVR, namespace, rootConfigMap)
	if apierrors.IsNotFound(err) {
		_, err = d.in.store.Create(configMapsGVR, namespace, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: rootConfigMap, Namespace: namespace, Labels: map[string]string{"istio.io/config": "true"}},
			Data:       want,
		})
		return err
	}
	if err != nil {
		return err
	}
	cm, ok := o.(*corev1.ConfigMap)
	if !ok || cm.Data[rootCertKey] == want[rootCertKey] {
		return nil
	}
	cm.Data = want
	_, err = d.in.store.Update(configMapsGVR, cm)
	return err
}
