// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// maxMaterial bounds a file of certificates or a key.
const maxMaterial = 4 << 20

// identify gives the question its bundle, which the Workload API may have, and
// the target its client certificate.
func (f *probeFlags) identify(ctx context.Context, c *cli, t *wire.Target, a *endpoint.Asked) error {
	if f.bundle != "" {
		var err error
		if a.Bundle, err = c.readBundle(ctx, f.bundle); err != nil {
			return err
		}
	}
	switch {
	case f.socket != "":
		id, roots, err := fetchIdentity(ctx, f.socket, f.timeout)
		if err != nil {
			return err
		}
		t.Identity = id
		if f.bundle == "" {
			a.Bundle = roots
		}
	case f.cert != "":
		id, err := readIdentity(f.cert, f.key)
		if err != nil {
			return err
		}
		t.Identity = id
	default:
		return nil
	}
	leaf := t.Identity.Certificates[0]
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		c.warn("the client certificate expired %s ago (%s); trying it all the same", seen.Span(now.Sub(leaf.NotAfter)), leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		c.warn("the client certificate is not valid before %s (in %s); trying it all the same", leaf.NotBefore.UTC().Format(time.RFC3339), seen.Span(leaf.NotBefore.Sub(now)))
	}
	return nil
}

// readFile reads material that a flag names.
func readFile(flag, path string) ([]byte, error) {
	bad := func(why string) ([]byte, error) {
		return nil, &usageError{msg: fmt.Sprintf("%s: cannot read %q: %s", flag, path, why), hint: "name a readable PEM or DER file"}
	}
	f, err := os.Open(path)
	if err != nil {
		return bad(reason(err).Error())
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxMaterial+1))
	switch {
	case errors.Is(err, fs.ErrInvalid), err != nil:
		return bad(reason(err).Error())
	case len(raw) > maxMaterial:
		return bad("it is larger than 4 MiB")
	case len(bytes.TrimSpace(raw)) == 0:
		return nil, &usageError{msg: fmt.Sprintf("%s: %q is empty", flag, path), hint: "name a PEM or DER file with something in it"}
	}
	return raw, nil
}

// readBundle reads trust anchors: every certificate of a PEM or DER file, and of
// what else inspect reads the roots.
func (c *cli) readBundle(ctx context.Context, path string) (seen.Certs, error) {
	const flag = "--trust-bundle"
	var docs []material.Document
	var err error
	if info, serr := os.Stat(path); path != "-" && (serr != nil || !info.IsDir() && info.Size() <= maxMaterial) {
		raw, rerr := readFile(flag, path)
		if rerr != nil {
			return nil, rerr
		}
		if plainCertificates(raw) {
			certs, perr := parseCertificates(flag, path, raw)
			return seen.FromX509(certs), perr
		}
		docs, err = material.Parse(path, raw, material.Options{})
		docs, err = readable(path, docs, err)
	} else {
		docs, err = c.read(ctx, path, "")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	for _, d := range docs {
		for i, cert := range d.Roots {
			if cert.Error != "" {
				return nil, &usageError{msg: fmt.Sprintf("%s: %q: root %d cannot be parsed: %s", flag, path, i+1, cert.Error), hint: "look at it: meshprobe inspect " + path}
			}
		}
	}
	roots := trustOf(path, docs).Roots
	if len(roots) == 0 {
		return nil, &usageError{msg: fmt.Sprintf("%s: %q holds no certificate to trust", flag, path), hint: "see what it holds: meshprobe inspect " + path}
	}
	return roots, nil
}

// plainCertificates says that a text is PEM or DER and no manifest: there, PEM is
// indented or quoted.
func plainCertificates(raw []byte) bool {
	const begin = "-----BEGIN "
	return raw[0] == 0x30 || bytes.HasPrefix(raw, []byte(begin)) || bytes.Contains(raw, []byte("\n"+begin))
}

// parseCertificates reads PEM, or DER where there is no PEM.
func parseCertificates(flag, path string, raw []byte) ([]*x509.Certificate, error) {
	bad := func(why, hint string) ([]*x509.Certificate, error) {
		return nil, &usageError{msg: fmt.Sprintf("%s: %q: %s", flag, path, why), hint: hint}
	}
	if certs, err := x509.ParseCertificates(raw); err == nil && len(certs) > 0 {
		return certs, nil
	}
	var certs []*x509.Certificate
	var other string
	for rest := raw; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			other = block.Type
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return bad(fmt.Sprintf("certificate %d cannot be parsed: %v", len(certs)+1, err), "look at it: meshprobe inspect "+path)
		}
		certs = append(certs, cert)
	}
	begun := bytes.Count(raw, []byte("-----BEGIN CERTIFICATE-----"))
	switch {
	case begun > len(certs) && begun > 0:
		return bad(fmt.Sprintf("%d certificates begin and %d can be read: a line break is missing between two of them, or one is cut off", begun, len(certs)),
			"every -----BEGIN and -----END line stands alone")
	case len(certs) == 0 && strings.HasSuffix(other, "PRIVATE KEY"):
		hint := "did you swap --cert and --key?"
		if flag != "--cert" {
			hint = "name the file with the roots: root-cert.pem"
		}
		return bad("it holds a private key and no certificate", hint)
	case len(certs) == 0 && other != "":
		return bad("it holds a "+other+" and no certificate", "name a file with -----BEGIN CERTIFICATE-----")
	case len(certs) == 0:
		return bad("it is neither PEM nor DER", "name a file with -----BEGIN CERTIFICATE-----, or the same as DER")
	}
	return certs, nil
}

// readIdentity reads a chain and its key. Nothing of a key is ever in an error.
func readIdentity(certFile, keyFile string) (*cluster.Identity, error) {
	raw, err := readFile("--cert", certFile)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates("--cert", certFile, raw)
	if err != nil {
		return nil, err
	}
	flag := "--key"
	if keyFile == "" {
		keyFile, flag = certFile, "--cert"
	} else if raw, err = readFile("--key", keyFile); err != nil {
		return nil, err
	}
	key, why, hint := parseKey(raw)
	if key == nil {
		if flag == "--cert" {
			return nil, &usageError{msg: "--cert without --key", hint: "name the private key too: --key key.pem"}
		}
		return nil, &usageError{msg: fmt.Sprintf("--key: %q: %s", keyFile, why), hint: hint}
	}
	if !sameKey(certs[0], key) {
		msg := fmt.Sprintf("--cert %q and --key %q do not belong together: the key is not that of the first certificate", certFile, keyFile)
		for i, c := range certs[1:] {
			if sameKey(c, key) {
				msg = fmt.Sprintf("--cert %q: the key is that of certificate %d; the leaf must come first", certFile, i+2)
			}
		}
		return nil, &usageError{msg: msg, hint: "compare: openssl x509 -in CERT -noout -pubkey; openssl pkey -in KEY -pubout"}
	}
	return cluster.NewIdentity(idOf(certs[0]), certs, nil, key), nil
}

// idOf is the SPIFFE ID of a leaf, or what else names it.
func idOf(leaf *x509.Certificate) string {
	if len(leaf.URIs) > 0 {
		return leaf.URIs[0].String()
	}
	return leaf.Subject.String()
}

// parseKey reads PKCS #8, SEC 1 or PKCS #1, as PEM or DER.
func parseKey(raw []byte) (key crypto.Signer, why, hint string) {
	const example = "name a file with -----BEGIN PRIVATE KEY-----"
	der := raw
	found := ""
	for rest := raw; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		found = block.Type
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, "the key is encrypted", "decrypt it first: openssl pkey -in KEY -out plain.pem"
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			der = block.Bytes
			break
		}
	}
	var parsed any
	var err error
	if parsed, err = x509.ParsePKCS8PrivateKey(der); err != nil {
		if parsed, err = x509.ParseECPrivateKey(der); err != nil {
			parsed, err = x509.ParsePKCS1PrivateKey(der)
		}
	}
	signer, ok := parsed.(crypto.Signer)
	switch {
	case err == nil && ok:
		return signer, "", ""
	case err == nil:
		return nil, "the key cannot sign", "use an RSA, ECDSA or Ed25519 key"
	case strings.HasSuffix(found, "PRIVATE KEY"):
		return nil, "the private key cannot be parsed", "PKCS #8, SEC 1 and PKCS #1 can be read: openssl pkey -in KEY -out pkcs8.pem"
	case found != "":
		return nil, "it holds a " + found + " and no private key", "did you swap --cert and --key?"
	default:
		return nil, "it is neither PEM nor DER", example
	}
}

// sameKey says that a certificate is for a key.
func sameKey(cert *x509.Certificate, key crypto.Signer) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}
