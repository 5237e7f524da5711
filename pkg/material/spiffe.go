// SPDX-License-Identifier: Apache-2.0

package material

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// isID reports whether a text begins as a SPIFFE ID does, whatever follows.
func isID(text string) bool {
	return len(text) >= 9 && strings.EqualFold(text[:9], "spiffe://")
}

// ids reads SPIFFE IDs, one a line.
func (r *reader) ids(text []byte) ([]Document, error) {
	var docs []Document
	n := 0
	for line := range bytes.Lines(text) {
		n++
		id := strings.TrimSpace(string(line))
		if id == "" {
			continue
		}
		d := Document{Kind: KindSPIFFEID, Source: r.source, Identity: identity(id)}
		d.Name = d.Identity.ID
		if d.Identity.TrustDomain != "" {
			d.TrustDomains = []TrustDomain{{Name: d.Identity.TrustDomain}}
		}
		if n > 1 || d.Name != r.source {
			d.Line = n
		}
		if d.Identity.Error != "" {
			d.Problems = []Problem{{
				Code: CodeID, Line: d.Line, What: "is no SPIFFE ID: " + d.Identity.Error,
				Hint: "a workload of Istio is spiffe://TRUSTDOMAIN/ns/NAMESPACE/sa/ACCOUNT",
			}}
		}
		if docs = append(docs, d); len(docs) > MaxDocuments {
			break
		}
	}
	return docs, nil
}

// identity takes a SPIFFE ID apart.
func identity(text string) *Identity {
	i := &Identity{ID: clip(text)}
	id, err := spiffeid.FromString(text)
	if err != nil {
		i.Error = clip(err.Error())
		return i
	}
	i.TrustDomain, i.Path = id.TrustDomain().Name(), id.Path()
	parts := strings.Split(id.Path(), "/")
	if len(parts) == 5 && parts[1] == "ns" && parts[3] == "sa" {
		i.Namespace, i.ServiceAccount, i.Istio = parts[2], parts[4], true
	}
	return i
}

// jwk is what is read of a key of a bundle before go-spiffe sees it. The private
// members are named only to be noticed.
type jwk struct {
	Use string          `json:"use"`
	ID  string          `json:"kid"`
	X5C json.RawMessage `json:"x5c"`
	D   json.RawMessage `json:"d"`
	K   json.RawMessage `json:"k"`
}

// spiffeBundle reads a bundle of one trust domain, which does not say which
// (SPIFFE Trust Domain and Bundle §4).
func (r *reader) spiffeBundle(raw json.RawMessage) ([]Document, error) {
	return []Document{r.oneBundle(raw, r.opts.TrustDomain)}, nil
}

// bundleMap reads bundles of several trust domains, as Envoy's and SPIRE's
// trust bundle map has them.
func (r *reader) bundleMap(raw json.RawMessage) ([]Document, error) {
	var m struct {
		TrustDomains map[string]json.RawMessage `json:"trust_domains"`
	}
	if err := json.Unmarshal(raw, &m); err != nil || len(m.TrustDomains) == 0 {
		return nil, r.fail("is a map of SPIFFE bundles with no bundle in it", "")
	}
	var docs []Document
	for _, td := range slices.Sorted(maps.Keys(m.TrustDomains)) {
		d := r.oneBundle(m.TrustDomains[td], td)
		d.Bundle.Federated = true
		if docs = append(docs, d); len(docs) > MaxDocuments {
			break
		}
	}
	return docs, nil
}

func (r *reader) oneBundle(raw json.RawMessage, td string) Document {
	d := Document{Kind: KindSPIFFEBundle, Source: r.source, Name: clip(td), Bundle: &BundleFacts{}}
	complain := func(code Code, n int, what, hint string) {
		d.Problems = append(d.Problems, Problem{Code: code, Certificate: n, What: what, Hint: hint})
	}
	var doc struct {
		Keys     []jwk   `json:"keys"`
		Sequence *uint64 `json:"spiffe_sequence"`
		Hint     *int64  `json:"spiffe_refresh_hint"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		complain(CodeBundle, 0, "is not shaped as a JWK set", "")
		return d
	}
	d.Bundle.Sequence, d.Bundle.RefreshHint = doc.Sequence, doc.Hint
	secret := false
	var f found
	for i, k := range doc.Keys {
		if len(k.D)+len(k.K) > 0 {
			secret = true
			complain(CodeUnexpected, i+1, "a key of the bundle has its private half", "replace that key: it was published")
		}
		switch k.Use {
		case "x509-svid":
			r.x5c(&f, k.X5C)
		case "jwt-svid":
			d.Bundle.JWTAuthorities = addName(d.Bundle.JWTAuthorities, k.ID)
		}
	}
	d.Roots = f.certs
	d.Problems = append(d.Problems, f.problems...)
	if len(d.Roots) == 0 && len(f.problems) == 0 {
		complain(CodeNoCertificate, 0, "holds no X.509 authority", "a bundle of SPIFFE has keys with use x509-svid")
	}
	name, err := spiffeid.TrustDomainFromString(td)
	if td != "" && err != nil {
		complain(CodeBundle, 0, "its trust domain is none: "+clip(err.Error()), "")
	}
	if td != "" && err == nil {
		d.TrustDomains = []TrustDomain{{Name: name.Name()}}
	}
	if secret {
		return d // what go-spiffe says of a private key is not passed on
	}
	if _, err := spiffebundle.Parse(name, raw); err != nil && len(f.problems) == 0 {
		complain(CodeBundle, 0, "go-spiffe refuses it: "+clip(strings.TrimPrefix(err.Error(), "spiffebundle: ")), "")
	}
	return d
}

// x5c reads the certificate of a JWK (RFC 7517 §4.7).
func (r *reader) x5c(f *found, raw json.RawMessage) {
	var list []string
	if len(raw) > 0 && json.Unmarshal(raw, &list) != nil || len(list) != 1 {
		f.complain(CodeBundle, 0, "an x509-svid key must have exactly one certificate in x5c", "")
	}
	for _, text := range list {
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			f.complain(CodeBase64, 0, "an entry of x5c is not base64", "")
			continue
		}
		r.certificate(f, block{der: der})
	}
}
