// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"crypto/x509"
	"maps"

	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// moving reports whether the CA in force is a former one that trusts the root
// beside its own.
func (c caState) moving(root *x509.Certificate) bool {
	return c.Problem != "" && c.Intermediate != nil && c.Former != "" && len(c.roots()) > 1 && c.trusts(root)
}

// trust adds a root to those that the CA in force makes everybody trust, be it
// that of cacerts or the one that istiod made for itself.
func (s caSide) trust(ctx context.Context, root *x509.Certificate, former string) error {
	have, err := s.m.get(ctx, secrets, s.m.ns, caSecret)
	if err != nil {
		return err
	}
	from := have
	if from == nil {
		if from, err = s.m.get(ctx, secrets, s.m.ns, selfSigned); err != nil {
			return err
		}
	}
	data := fourFiles(secretData(from))
	roots := certificates(data[rootCertKey])
	if firstCert(data[caCertKey]) == nil || len(data[caKeyKey]) == 0 || len(roots) == 0 {
		return nil // istiod does not live by it
	}
	data[rootCertKey] = issuer.EncodeCertificates(withRoots(roots, []*x509.Certificate{root})...)
	want := s.m.newSecret(caSecret, secretTypeOf(have), data)
	want.SetAnnotations(map[string]string{annotationFormer: former})
	return s.m.put(ctx, secrets, want)
}

// fourFiles is a CA in the format of cacerts, whichever of the formats that
// istiod reads it has.
func fourFiles(data map[string][]byte) map[string][]byte {
	out := maps.Clone(data)
	if cert, ok := data["tls.crt"]; ok {
		out = map[string][]byte{caCertKey: cert, caKeyKey: data["tls.key"], rootCertKey: data["ca.crt"]}
	}
	if out != nil && len(out[chainKey]) == 0 {
		out[chainKey] = out[caCertKey] // istiod wants a file, and sends what is in it
	}
	return out
}

// retire ends the trust in all roots but one.
func (s caSide) retire(ctx context.Context, root *x509.Certificate) error {
	have, err := s.m.get(ctx, secrets, s.m.ns, caSecret)
	if err != nil || have == nil {
		return err
	}
	data := secretData(have)
	data[rootCertKey] = issuer.EncodeCertificates(root)
	want := s.m.newSecret(caSecret, secretTypeOf(have), data)
	want.SetAnnotations(map[string]string{annotationFormer: formerDropped})
	return s.m.put(ctx, secrets, want)
}

func planTrust(ctx context.Context, m *member) ([]Change, error) {
	if !m.f.opts.Overlap {
		return nil, nil
	}
	if err := m.inspect(ctx); err != nil || m.ca.ok() || m.ca.trusts(m.f.root) {
		return nil, err
	}
	text, err := m.side().trusted(ctx)
	if err != nil || text == "" {
		return nil, err
	}
	m.overlaps = true
	root := "the new root"
	if m.f.root != nil {
		root = describeCert(m.f.root)
	}
	return []Change{{Op: "+", Object: m.ns + "/secret " + caSecret, Text: rootCertKey + ": " + root + ", beside " + describeCert(firstCert([]byte(text))) + ", whose CA signs on"}}, nil
}

func applyTrust(ctx context.Context, m *member) error {
	changes, err := planTrust(ctx, m)
	if err != nil || len(changes) == 0 {
		return err
	}
	former := formerUntilVerified
	if m.f.opts.KeepFormer {
		former = formerUntilDropped
	}
	if err := m.side().trust(ctx, m.f.root, former); err != nil {
		return err
	}
	return m.inspect(ctx)
}

// isAnybody picks all that holds certificates or gives them.
func isAnybody(m *member, r rollable) bool { return isIstiod(m, r) || isProxied(m, r) }

func isProxied(m *member, r rollable) bool { return isGateway(m, r) || isMeshed(m, r) }

func planTrustRollout(ctx context.Context, m *member) ([]Change, error) {
	switch {
	case !m.f.opts.Overlap:
		return nil, nil
	case m.ca.moving(m.f.root):
		return m.restarts(ctx, isAnybody, m.ca.mark())
	case m.overlaps:
		return m.restarts(ctx, isAnybody, "")
	}
	return nil, nil
}

func applyTrustRollout(ctx context.Context, m *member) error {
	if !m.ca.moving(m.f.root) {
		return nil
	}
	return m.rollOut(ctx)
}

// rollOut makes everybody start with cacerts as it is. While all trust the roots
// of all, neither order nor haste matters to calls.
func (m *member) rollOut(ctx context.Context) error {
	if err := applyRestart(isIstiod, ErrNoIstiod)(ctx, m); err != nil {
		return err
	}
	if err := applyRootConfigMaps(ctx, m); err != nil {
		return err
	}
	return applyRestart(isProxied, nil)(ctx, m)
}

// retires reports whether the former roots go now.
func (m *member) retires() bool {
	return m.ca.ok() && len(m.ca.roots()) > 1 && (m.f.dropping || !m.f.opts.KeepFormer && m.ca.Former == formerUntilVerified)
}

// willRetire reports whether they go once this Apply has moved the cluster.
func (m *member) willRetire() bool {
	return m.retires() || !m.f.opts.KeepFormer && (m.overlaps || m.ca.moving(m.f.root))
}

func planRetire(_ context.Context, m *member) ([]Change, error) {
	if !m.willRetire() {
		return nil, nil
	}
	return []Change{{Op: "-", Object: m.ns + "/secret " + caSecret, Text: rootCertKey + ": the former root, once the handshakes hold"}}, nil
}

func applyRetire(ctx context.Context, m *member) error {
	if !m.retires() {
		return nil
	}
	if err := m.side().retire(ctx, m.f.root); err != nil {
		return err
	}
	m.retired = true
	return m.inspect(ctx)
}

func planRetireRollout(ctx context.Context, m *member) ([]Change, error) {
	switch {
	case m.retired:
		return m.restarts(ctx, isAnybody, m.ca.mark())
	case m.willRetire():
		return m.restarts(ctx, isAnybody, "")
	}
	return nil, nil
}

func applyRetireRollout(ctx context.Context, m *member) error {
	if !m.retired {
		return nil
	}
	return m.rollOut(ctx)
}
