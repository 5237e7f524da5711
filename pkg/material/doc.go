// SPDX-License-Identifier: Apache-2.0

// Package material reads what people have on disk of a mesh's trust: chains and
// bundles in PEM or DER, the files or the Secret of an Istio CA, requests,
// revocation lists, Secrets and ConfigMaps as kubectl prints them, dumps of Envoy
// and ztunnel, the output of istioctl proxy-config secret, SPIFFE bundles and IDs.
//
//	docs, err := material.Read(ctx, "cacerts.yaml", os.Stdin, material.Options{})
//	for _, d := range docs {
//		fmt.Println(d.Kind, d.Name, len(d.Certificates), d.Problems)
//	}
//
// What an input is is recognised from its content, never from its name. The
// result is a list of [Document]: plain data that survives JSON. A document says
// what is there and what is structurally wrong with it, with the place; whether
// its certificates are any good is for others to judge.
//
// Input is hostile: bytes, certificates, entries and nesting are bounded, and no
// input makes a function of this package panic. A certificate that crypto/x509
// will not parse is kept with the parser's words and with what can still be read
// of it.
//
// Private keys are recognised and compared with their certificate. Neither they
// nor a credential of a kubeconfig is ever part of a document or of an error.
package material
