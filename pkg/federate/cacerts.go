// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// hiddenKey stands for a CA key in plans, and says who makes it.
func (m *member) hiddenKey() string {
	if m.f.opts.Agents[m.name] != nil {
		return "(private key, made by the agent in the cluster, which it never leaves)"
	}
	return "(private key, made by meshprobe in memory and written only here)"
}

func firstCert(data []byte) *x509.Certificate {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return c
}

// describeCert names a certificate for people: by key, because names lie.
func describeCert(c *x509.Certificate) string {
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("%s, %s, SPKI %s…, until %s", c.Subject, issuer.Describe(c.PublicKey), issuer.SPKI(c)[:8], c.NotAfter.UTC().Format(time.DateOnly))
}

func (m *member) inspect(ctx context.Context) (err error) {
	m.ca, err = m.side().inspect(ctx, m.f.root, m.f.opts.Now())
	return err
}

func planCSR(ctx context.Context, m *member) ([]Change, error) {
	if err := m.inspect(ctx); err != nil || m.ca.ok() || m.ca.pendingKey {
		return nil, err
	}
	return []Change{{Op: "+", Object: m.ns + "/secret " + caKeySecret, Text: caKeyKey + ": " + m.hiddenKey()}}, nil
}

func applyCSR(ctx context.Context, m *member) error {
	if err := m.inspect(ctx); err != nil || m.ca.ok() {
		return err
	}
	var err error
	m.csr, err = m.side().request(ctx, m.f.opts.Issuer.Profile())
	return err
}

func planIntermediate(_ context.Context, m *member) ([]Change, error) {
	if m.ca.ok() {
		return nil, nil
	}
	by := "the new root"
	if m.f.root != nil {
		by = fmt.Sprintf("%s, SPKI %s…", m.f.root.Subject, issuer.SPKI(m.f.root)[:8])
	}
	name := m.f.opts.Issuer.Profile().Name(m.name)
	return []Change{{Op: "+", Object: "intermediate", Text: fmt.Sprintf("%s, signed by %s", name, by)}}, nil
}

func applyIntermediate(ctx context.Context, m *member) error {
	if m.ca.ok() {
		return nil
	}
	chain, err := m.f.opts.Issuer.Sign(ctx, m.csr, m.name)
	if err != nil {
		return err
	}
	m.chain = chain
	m.f.events.note(StepIntermediate, m.name, describeCert(chain[0]))
	return nil
}

func planCACerts(_ context.Context, m *member) ([]Change, error) {
	object := m.ns + "/secret " + caSecret
	if m.ca.ok() {
		if m.ca.pendingKey {
			return []Change{{Op: "-", Object: m.ns + "/secret " + caKeySecret, Text: "(private key, in " + caSecret + " by now)"}}, nil
		}
		return nil, nil
	}
	var out []Change
	if m.ca.present {
		out = append(out,
			Change{Op: "-", Object: object, Text: caCertKey + ": " + describeCert(m.ca.Intermediate)},
			Change{Op: "-", Object: object, Text: rootCertKey + ": " + describeCert(m.ca.Root)},
			Change{Op: "+", Object: m.ns + "/secret " + backupName(secrets, caSecret), Text: "(what was there, for rollback)"})
	}
	root := "the new root"
	if m.f.root != nil {
		root = describeCert(m.f.root)
	}
	name := m.f.opts.Issuer.Profile().Name(m.name)
	return append(out,
		Change{Op: "+", Object: object, Text: caCertKey + ": " + name.String()},
		Change{Op: "+", Object: object, Text: caKeyKey + ": " + m.hiddenKey()},
		Change{Op: "+", Object: object, Text: rootCertKey + ": " + root},
		Change{Op: "+", Object: object, Text: chainKey + ": the intermediate and the root"}), nil
}

func applyCACerts(ctx context.Context, m *member) error {
	side := m.side()
	if !m.ca.ok() {
		if err := side.install(ctx, m.chain, m.f.root, m.ca.moving(m.f.root)); err != nil {
			return err
		}
		if err := m.inspect(ctx); err != nil {
			return err
		}
		if !m.ca.ok() {
			return fmt.Errorf("secret %s was written, but %s", caSecret, m.ca.Problem)
		}
	}
	if m.ca.pendingKey {
		return side.tidy(ctx)
	}
	return nil
}
