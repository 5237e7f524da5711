// SPDX-License-Identifier: Apache-2.0

package material

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
)

// The names of objects and labels that Istio and its friends use.
const (
	nameCACerts    = "cacerts"
	nameSelfSigned = "istio-ca-secret"
	nameIstioCSR   = "istiod-tls"
	nameRootMap    = "istio-ca-root-cert"
	nameCRLMap     = "istio-ca-crl"
	labelRemote    = "istio/multiCluster"
	typeTLS        = "kubernetes.io/tls"
	typeToken      = "kubernetes.io/service-account-token"
)

// The keys of a generic Secret that an Istio gateway reads
// (pilot/pkg/credentials/kube/secrets.go).
const (
	genericCert = "cert"
	genericKey  = "key"
	genericCA   = "cacert"
	genericCRL  = "crl"
)

// secret reads a Secret by what it is to a mesh.
func (r *reader) secret(d *Document, m manifest) {
	d.Kind = KindSecret
	data := d.decoded(m)
	o := d.Object
	o.Generated = slices.Contains(slices.Collect(maps.Keys(m.Data)), fileGenerated)
	if name := text(m.Metadata.Annotations["cert-manager.io/issuer-name"]); name != "" {
		kind := text(m.Metadata.Annotations["cert-manager.io/issuer-kind"])
		if kind == "" {
			kind = "Issuer"
		}
		o.Issuer = clip(kind + "/" + name)
	}
	o.Shape = r.shape(m, data)
	switch o.Shape {
	case ShapeRemote:
		r.remotes(d, data)
	case ShapeCACerts, ShapeCACertsTLS:
		d.Kind = KindCACerts
		r.fill(d, data, caRoles(data))
	case ShapeSelfSigned:
		d.Kind = KindCACerts
		r.fill(d, data, selfSignedRoles())
	case ShapeTLS, ShapeCertManager, ShapeIstioCSR:
		r.fill(d, data, tlsRoles())
	case ShapeToken:
		r.fill(d, data, roles{roots: []string{fileTLSRoot}})
	case ShapeCredential:
		r.fill(d, data, credentialRoles(data))
	default:
		r.fill(d, data, roles{chain: withCertificates(data)})
	}
}

// shape recognises a Secret by label, name, type and keys, in this order.
func (r *reader) shape(m manifest, data map[string][]byte) Shape {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { _, ok := data[n]; return ok })
	}
	certManager := text(m.Metadata.Annotations["cert-manager.io/certificate-name"]) != ""
	switch name := m.Metadata.Name; {
	case text(m.Metadata.Labels[labelRemote]) == "true":
		return ShapeRemote
	case m.Type == typeToken:
		return ShapeToken
	case name == nameSelfSigned, m.Type == "istio.io/ca-root":
		return ShapeSelfSigned
	case name == nameCACerts && has(fileTLSCert), r.opts.Kind == KindCACerts && has(fileTLSCert):
		return ShapeCACertsTLS
	case name == nameCACerts, has(fileCACert, fileCAKey):
		return ShapeCACerts
	case name == nameIstioCSR && certManager:
		return ShapeIstioCSR
	case certManager && has(fileTLSCert):
		return ShapeCertManager
	case m.Type == typeTLS, has(fileTLSCert, fileTLSKey):
		return ShapeTLS
	case has(genericCert, genericKey, genericCA) || strings.HasSuffix(name, "-cacert"):
		return ShapeCredential
	}
	return ShapeOther
}

func credentialRoles(data map[string][]byte) roles {
	as := roles{
		chain: []string{genericCert}, key: []string{genericKey}, roots: []string{genericCA, fileTLSRoot}, crl: []string{genericCRL, fileTLSCRL},
		needed: []string{genericCert, genericKey},
	}
	_, cert := data[genericCert]
	_, key := data[genericKey]
	if !cert && !key { // NAME-cacert beside NAME
		as.needed = nil
	}
	return as
}

// withCertificates are the keys whose values look like PEM certificates.
func withCertificates(data map[string][]byte) []string {
	var out []string
	for name, content := range data {
		if bytes.Contains(content, []byte(beginMark)) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// decoded is the data of a Secret as a pod sees it: stringData wins over data.
func (d *Document) decoded(m manifest) map[string][]byte {
	out := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(m.Data)) {
		out[name] = d.base64(name, text(m.Data[name]))
	}
	for name, value := range m.StringData {
		out[name] = []byte(text(value))
	}
	return out
}

// base64 decodes a value of data. What is no base64 is taken as it stands, so that
// more can be said of it than that.
func (d *Document) base64(name, value string) []byte {
	out, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
	if err == nil {
		return out
	}
	d.Problems = append(d.Problems, Problem{
		Code: CodeBase64, Entry: clip(name), What: "is not base64, so the API server refuses the object",
		Hint: "put plain text under stringData",
	})
	return []byte(value)
}

// configMap reads a ConfigMap: the roots or revocation lists that istiod writes to
// every namespace, or certificates under whatever key.
func (r *reader) configMap(d *Document, m manifest) {
	d.Kind = KindConfigMap
	data := map[string][]byte{}
	for name, value := range m.Data {
		data[name] = []byte(text(value))
	}
	for _, name := range slices.Sorted(maps.Keys(m.BinaryData)) {
		data[name] = d.base64(name, text(m.BinaryData[name]))
	}
	_, root := data[fileRoot]
	_, list := data[fileCRL]
	switch {
	case m.Metadata.Name == nameRootMap, root:
		d.Object.Shape = ShapeRootMap
		r.fill(d, data, roles{roots: []string{fileRoot}, needed: []string{fileRoot}})
	case m.Metadata.Name == nameCRLMap, list:
		d.Object.Shape = ShapeCRLMap
		r.fill(d, data, roles{crl: []string{fileCRL}, needed: []string{fileCRL}})
	default:
		names := withCertificates(data)
		if len(names) > 0 {
			d.Object.Shape = ShapeTrustMap
		}
		r.fill(d, data, roles{roots: names})
	}
}
