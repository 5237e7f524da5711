// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// inForce is an issuer that knows the root under which the clusters are, for
// whoever only looks: the one that cacerts of all clusters hold, nil where they
// differ.
func (f *federation) inForce(ctx context.Context) (issuer.Issuer, error) {
	var root *x509.Certificate
	for i, m := range f.members {
		s, err := m.get(ctx, secrets, m.ns, caSecret)
		if err != nil {
			return nil, wrap(StepRoot, m.name, err)
		}
		c := firstCert(secretData(s)[rootCertKey])
		if c == nil || i > 0 && !c.Equal(root) {
			return observed{}, nil
		}
		root = c
	}
	return observed{root}, nil
}

// observed is a root without its key.
type observed struct{ root *x509.Certificate }

var _ issuer.Issuer = observed{}

var errObserved = errors.New("the root was only looked at")

func (o observed) Current(context.Context) (*x509.Certificate, error) { return o.root, nil }
func (o observed) Root(context.Context) (*x509.Certificate, error)    { return nil, errObserved }
func (o observed) Profile() issuer.Profile                            { return issuer.Profile{} }
func (o observed) String() string                                     { return "the root in cacerts" }

func (o observed) Sign(context.Context, []byte, string) ([]*x509.Certificate, error) {
	return nil, errObserved
}
