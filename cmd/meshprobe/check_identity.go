// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// identity is the one of --cert and --key, nil where there is none.
func (f *liveFlags) identity() (*cluster.Identity, error) {
	if f.cert == "" && f.key == "" {
		return nil, nil //nolint:nilnil // minted ones are used then
	}
	if f.cert == "" || f.key == "" {
		return nil, &usageError{msg: "--cert and --key belong together", hint: "give both, or none for certificates from istiod"}
	}
	cert, err := pemFile("--cert", f.cert)
	if err != nil {
		return nil, err
	}
	key, err := pemFile("--key", f.key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		// The library's text may hold bytes of the key.
		return nil, &usageError{msg: "--cert and --key do not make a pair", hint: "give a PEM chain, leaf first, and the private key of its leaf"}
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || pair.Leaf == nil || len(pair.Leaf.URIs) == 0 {
		return nil, &usageError{msg: fmt.Sprintf("--cert %s holds no SPIFFE identity", f.cert), hint: "give the certificate of a workload: its SAN is spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT"}
	}
	chain := make([]*x509.Certificate, 0, len(pair.Certificate))
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, &usageError{msg: "--cert: " + err.Error(), hint: "give a PEM chain, leaf first"}
		}
		chain = append(chain, c)
	}
	return cluster.NewIdentity(pair.Leaf.URIs[0].String(), chain, nil, signer), nil
}

func pemFile(flag, path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &usageError{msg: fmt.Sprintf("%s: cannot read %q: %v", flag, path, reason(err)), hint: "name a readable PEM file"}
	}
	return data, nil
}
