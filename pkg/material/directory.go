// SPDX-License-Identifier: Apache-2.0

package material

import (
	"maps"
	"slices"
	"strings"
)

// The names under which Istio, Kubernetes and SPIRE keep material.
const (
	fileCACert    = "ca-cert.pem"
	fileCAKey     = "ca-key.pem"
	fileRoot      = "root-cert.pem"
	fileChain     = "cert-chain.pem"
	fileCRL       = "ca-crl.pem"
	fileKey       = "key.pem"
	fileTLSCert   = "tls.crt"
	fileTLSKey    = "tls.key"
	fileTLSRoot   = "ca.crt"
	fileTLSCRL    = "ca.crl"
	fileGenerated = "istio-generated"
	fileSVID      = "svid.0.pem"
	fileSVIDKey   = "svid.0.key"
	fileSVIDRoots = "bundle.0.pem"
)

// knownFiles are the files of a directory that are read.
func knownFiles() []string {
	return []string{
		fileCACert, fileCAKey, fileRoot, fileChain, fileCRL, fileKey, fileTLSCert, fileTLSKey, fileTLSRoot, fileTLSCRL,
		fileGenerated, fileSVID, fileSVIDKey, fileSVIDRoots,
	}
}

// roles says which entries of a document hold what.
type roles struct {
	caCert, chain, roots, key, crl []string
	needed                         []string
}

// caRoles are those of an Istio CA. Where there is a tls.crt, istiod takes the
// files of a kubernetes.io/tls Secret, whatever else there is
// (pilot/pkg/bootstrap/istio_ca.go, detectSigningCABundleAndCRL).
func caRoles(data map[string][]byte) roles {
	if _, ok := data[fileTLSCert]; ok {
		return roles{
			caCert: []string{fileTLSCert}, chain: []string{fileTLSCert, fileTLSRoot}, roots: []string{fileTLSRoot},
			key: []string{fileTLSKey}, needed: []string{fileTLSCert, fileTLSKey, fileTLSRoot},
		}
	}
	return roles{
		caCert: []string{fileCACert}, chain: []string{fileChain}, roots: []string{fileRoot}, key: []string{fileCAKey}, crl: []string{fileCRL},
		needed: []string{fileCACert, fileCAKey, fileRoot, fileChain},
	}
}

// selfSignedRoles are those of istio-ca-secret, which has its root in ca-cert.pem.
func selfSignedRoles() roles {
	return roles{
		caCert: []string{fileCACert}, chain: []string{fileChain}, roots: []string{fileRoot}, key: []string{fileCAKey},
		needed: []string{fileCACert, fileCAKey},
	}
}

// tlsRoles are those of a kubernetes.io/tls Secret.
func tlsRoles() roles {
	return roles{
		chain: []string{fileTLSCert}, roots: []string{fileTLSRoot}, key: []string{fileTLSKey}, crl: []string{fileTLSCRL},
		needed: []string{fileTLSCert, fileTLSKey},
	}
}

// directory reads the files of a directory.
func (r *reader) directory(files map[string][]byte) (Document, error) {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { _, ok := files[n]; return ok })
	}
	d := Document{Kind: KindChain, Source: r.source}
	var as roles
	switch {
	case has(fileCACert, fileCAKey), r.opts.Kind == KindCACerts, has(fileTLSCert) && has(fileTLSRoot) && r.holdsCA(files[fileTLSCert]):
		d.Kind, as = KindCACerts, caRoles(files)
	case has(fileTLSCert, fileTLSKey):
		as = tlsRoles()
	case has(fileSVID, fileSVIDKey):
		as = roles{chain: []string{fileSVID}, roots: []string{fileSVIDRoots}, key: []string{fileSVIDKey}, needed: []string{fileSVID, fileSVIDKey}}
	case has(fileChain, fileKey):
		as = roles{chain: []string{fileChain}, roots: []string{fileRoot}, key: []string{fileKey}, needed: []string{fileChain}}
	case has(fileRoot, fileTLSRoot, fileSVIDRoots):
		d.Kind, as = KindBundle, roles{roots: []string{fileRoot, fileTLSRoot, fileSVIDRoots}}
	default:
		return d, r.fail("is a directory with none of the files of an Istio CA or workload",
			"it should hold "+strings.Join(caRoles(nil).needed, " ")+", or tls.crt tls.key ca.crt; name one file otherwise")
	}
	r.fill(&d, files, as)
	return d, nil
}

// holdsCA reports whether the first certificate of a text is a CA.
func (r *reader) holdsCA(content []byte) bool {
	f := (&reader{source: r.source}).entry("", content)
	return len(f.certs) > 0 && f.certs[0].CA
}

// fill reads the entries of a document by their roles, sorted by name, so that
// each is read once.
func (r *reader) fill(d *Document, data map[string][]byte, as roles) {
	in := func(names []string, name string) bool { return slices.Contains(names, name) }
	certs := map[string][]Certificate{}
	for _, name := range slices.Sorted(maps.Keys(data)) {
		content := data[name]
		e := Entry{Name: clip(name), Bytes: len(content), Holds: HoldsOther}
		wanted := in(slices.Concat(as.caCert, as.chain, as.roots, as.key, as.crl), name)
		if wanted && len(content) > 0 {
			f := r.entry(name, content)
			certs[name] = f.certs
			e.Holds = f.holds()
			d.expect(name, f, in(as.key, name), in(as.crl, name))
		} else if len(content) == 0 {
			e.Holds = HoldsNothing
		}
		if len(d.Entries) < maxNames {
			d.Entries = append(d.Entries, e)
		}
	}
	for _, name := range as.needed {
		if len(data[name]) == 0 {
			d.Missing = append(d.Missing, name)
			d.Problems = append(d.Problems, Problem{Code: CodeMissing, Entry: name, What: name + " is absent or empty"})
		}
	}
	slices.Sort(d.Missing)
	collect := func(names []string) (out []Certificate) {
		for _, name := range names {
			out = append(out, certs[name]...)
		}
		return out
	}
	d.CACert, d.Certificates, d.Roots = collect(as.caCert), collect(as.chain), collect(as.roots)
	d.match()
}

func (f *found) holds() Holds {
	switch {
	case len(f.keys) > 0:
		return HoldsKey
	case len(f.certs) > 0:
		return HoldsCertificates
	case len(f.lists) > 0:
		return HoldsCRL
	}
	return HoldsOther
}

// expect takes over what an entry held and says where that is not its role.
func (d *Document) expect(name string, f found, key, crl bool) {
	complain := func(code Code, what, hint string) {
		f.problems = append(f.problems, Problem{Code: code, Entry: clip(name), What: what, Hint: hint})
	}
	private := slices.DeleteFunc(slices.Clone(f.keys), func(k Key) bool { return k.Public })
	switch {
	case f.empty() && len(f.problems) == 0:
		complain(CodeNotPEM, "holds no PEM block", "it must start with "+strings.TrimSpace(beginMark))
	case key && len(private) == 0 && len(f.problems) == 0:
		complain(CodeKey, "holds no private key", "")
	case key && len(f.keys) > 1:
		complain(CodeUnexpected, "holds more than one key; the first is taken", "")
	case !key && !crl && len(f.certs) == 0 && len(f.problems) == 0:
		complain(CodeNoCertificate, "holds no certificate", "")
	case !key && len(private) > 0:
		complain(CodeUnexpected, "holds a private key beside certificates", "keep the key in its own entry")
	case crl && len(f.lists) == 0:
		complain(CodeCRL, "holds no revocation list", "")
	}
	if !key && d.Key == nil && len(f.keys) > 0 {
		// A key in the wrong entry is never taken for the key.
		d.MoreKeys = append(d.MoreKeys, f.keys...)
		f.keys = nil
	}
	d.add(f)
}
