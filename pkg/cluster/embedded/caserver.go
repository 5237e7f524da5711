// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	securityv1alpha1 "istio.io/api/security/v1alpha1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/citadel"
	"github.com/meshprobe/meshprobe/pkg/cluster/istioca"
)

// caller is who asks for a certificate.
type caller struct {
	namespace, serviceAccount string
	podName, podUID           string // of a pod-bound token
	identities                []string
}

// CreateCertificate signs a CSR for the caller (istio
// security/pkg/server/ca/server.go): codes and texts are istiod's.
func (d *istiod) CreateCertificate(ctx context.Context, req *securityv1alpha1.IstioCertificateRequest) (*securityv1alpha1.IstioCertificateResponse, error) {
	who, err := d.authenticate(ctx)
	if err != nil {
		d.in.log.Warn("Failed to authenticate client", "err", err)
		return nil, status.Error(codes.Unauthenticated, "request authenticate failure")
	}
	ids := who.identities
	if as := req.GetMetadata().GetFields()["ImpersonatedIdentity"].GetStringValue(); as != "" {
		if err := d.mayImpersonate(who, as); err != nil {
			d.in.log.Warn("impersonation failed", "identity", as, "err", err)
			return nil, status.Error(codes.Unauthenticated, "request impersonation authentication failure")
		}
		ids = []string{as}
	}
	ttl := time.Duration(min(req.GetValidityDuration(), int64(10*citadel.MaxTTL/time.Second))) * time.Second
	chain, err := d.ca.Sign([]byte(req.GetCsr()), ids, ttl, d.in.now())
	switch {
	case errors.Is(err, citadel.ErrCSR):
		return nil, status.Error(codes.InvalidArgument, err.Error())
	case err != nil:
		return nil, status.Errorf(codes.Internal, "CSR signing error (%v)", err)
	}
	return &securityv1alpha1.IstioCertificateResponse{CertChain: chain}, nil
}

// authenticate tries a verified client certificate, then a token.
func (d *istiod) authenticate(ctx context.Context) (*caller, error) {
	if ids := verifiedPeer(ctx); len(ids) > 0 {
		return &caller{identities: ids}, nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	token := ""
	for _, h := range md.Get("authorization") {
		if t, ok := strings.CutPrefix(h, "Bearer "); ok {
			token = t
		}
	}
	if token == "" {
		return nil, errors.New("ClientCertAuthenticator: no verified chain is found; KubeJWTAuthenticator: target JWT extraction error: no HTTP authorization header exists")
	}
	clusterID := ""
	if ids := md.Get("clusterid"); len(ids) == 1 {
		clusterID = ids[0]
	}
	kube, err := d.reviewer(clusterID)
	if err != nil {
		return nil, fmt.Errorf("KubeJWTAuthenticator: %w", err)
	}
	return d.review(ctx, kube, token)
}

func verifiedPeer(ctx context.Context) []string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil
	}
	return peerIdentities(info.State)
}

func peerIdentities(state tls.ConnectionState) []string {
	if len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return nil
	}
	var ids []string
	for _, u := range state.VerifiedChains[0][0].URIs {
		ids = append(ids, u.String())
	}
	return ids
}

// reviewer is the API that knows the tokens of a cluster: istiod's own, or
// that of a cluster with a remote secret.
func (d *istiod) reviewer(clusterID string) (kubernetes.Interface, error) {
	if clusterID == "" || clusterID == d.in.spec.Name {
		return d.in.kube, nil
	}
	var known []string
	for _, r := range d.in.remoteSecrets() {
		if r.cluster == clusterID {
			remote, err := d.in.remote(r)
			if err != nil {
				return nil, err
			}
			return remote.kube, nil
		}
		known = append(known, r.cluster)
	}
	return nil, fmt.Errorf("client claims to be in cluster %q, but we only know about local cluster %q and remote clusters %v", clusterID, d.in.spec.Name, known)
}

func (d *istiod) review(ctx context.Context, kube kubernetes.Interface, token string) (*caller, error) {
	review, err := kube.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{istioca.Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to validate the JWT from cluster: %w", err)
	}
	s := review.Status
	if s.Error != "" || !s.Authenticated {
		return nil, fmt.Errorf("failed to validate the JWT from cluster: the token is not authenticated: %s", s.Error)
	}
	if !slices.Contains(s.User.Groups, "system:serviceaccounts") {
		return nil, errors.New("the token is not a service account")
	}
	parts := strings.Split(s.User.Username, ":")
	if len(parts) != 4 {
		return nil, fmt.Errorf("invalid username field in the token review result: %q", s.User.Username)
	}
	who := &caller{namespace: parts[2], serviceAccount: parts[3]}
	who.podName = first(s.User.Extra["authentication.kubernetes.io/pod-name"])
	who.podUID = first(s.User.Extra["authentication.kubernetes.io/pod-uid"])
	who.identities = []string{cluster.SPIFFEID(d.in.local().mesh.TrustDomain, who.namespace, who.serviceAccount)}
	return who, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// mayImpersonate is the node authorizer: a trusted node account, in a pod that
// its token is bound to, may speak for service accounts that run on its node
// (istio security/pkg/server/ca/node_auth.go).
func (d *istiod) mayImpersonate(who *caller, id string) error {
	if who.namespace != rootNamespace || who.serviceAccount != ztunnelName {
		return fmt.Errorf("caller (%s/%s) is not allowed to impersonate", who.namespace, who.serviceAccount)
	}
	if who.podName == "" {
		return errors.New("caller's token is not bound to a pod")
	}
	r := d.in.local()
	node := r.pods[who.namespace+"/"+who.podName]
	if node == nil || node.uid != who.podUID || node.serviceAccount != who.serviceAccount {
		return fmt.Errorf("pod %s/%s not found, or not the caller's", who.namespace, who.podName)
	}
	for _, p := range r.pods {
		if p.node == node.node && cluster.SPIFFEID(r.mesh.TrustDomain, p.namespace, p.serviceAccount) == id {
			return nil
		}
	}
	return fmt.Errorf("no instances of %q found on node %q", id, node.node)
}
