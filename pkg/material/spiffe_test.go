// SPDX-License-Identifier: Apache-2.0

package material_test

import (
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/material"
)

func TestSPIFFEBundles(t *testing.T) {
	p := stored(t)
	bundle := func(td string, change func(*material.Document)) material.Document {
		d := material.Document{
			Kind: material.KindSPIFFEBundle, Name: td, Roots: []material.Certificate{p.c(p.root, "", 0)},
			Bundle: &material.BundleFacts{
				Sequence: new(uint64(12)), RefreshHint: new(int64(300)), JWTAuthorities: []string{"C6vs25welZOx6WksNYfbMfiw9l96pMnD"},
			},
		}
		if td != "" {
			d.TrustDomains = []material.TrustDomain{{Name: td}}
		}
		change(&d)
		return d
	}
	same := func(*material.Document) {}
	text := fixture(t, "spiffe-bundle.json")
	checkFixture(t, p, "bundle", text, []material.Document{bundle("", same)})
	federated := func(d *material.Document) { d.Bundle.Federated = true }
	checkFixture(t, p, "map", fixture(t, "spiffe-bundle-map.json"), []material.Document{bundle("east.example", federated), bundle("west.example", federated)})
	private := strings.Replace(text, `"crv"`, `"d": "hunter2canary", "crv"`, 1)
	checkFixture(t, p, "with-a-private-key", private, []material.Document{bundle("", func(d *material.Document) {
		d.Problems = []material.Problem{problem(material.CodeUnexpected, "", 0, 1)}
	})})
	empty := func(problems ...material.Problem) []material.Document {
		return []material.Document{{Kind: material.KindSPIFFEBundle, Bundle: &material.BundleFacts{}, Problems: problems}}
	}
	check(t, []input{
		{name: "trust-domain-told", content: `{"keys":[]}`, opts: material.Options{TrustDomain: "east.example"}, want: []material.Document{{
			Kind: material.KindSPIFFEBundle, Name: "east.example", Bundle: &material.BundleFacts{}, TrustDomains: []material.TrustDomain{{Name: "east.example"}},
			Problems: []material.Problem{problem(material.CodeNoCertificate, "", 0, 0)},
		}}},
		{name: "no-authority", content: `{"keys":[{"kty":"oct","k":"hunter2canary"}]}`, want: empty(
			problem(material.CodeUnexpected, "", 0, 1), problem(material.CodeNoCertificate, "", 0, 0))},
		{name: "no-x5c", content: `{"keys":[{"use":"x509-svid","kty":"EC"}]}`, want: empty(problem(material.CodeBundle, "", 0, 0))},
		{name: "bad-x5c", content: `{"keys":[{"use":"x509-svid","x5c":["?"]}]}`, want: empty(problem(material.CodeBase64, "", 0, 0))},
		{name: "keys-no-list", content: `{"keys":7}`, want: empty(problem(material.CodeBundle, "", 0, 0))},
		{name: "keys-null", content: `{"keys":null}`, want: empty(problem(material.CodeNoCertificate, "", 0, 0), problem(material.CodeBundle, "", 0, 0))},
		{name: "empty-map", content: `{"trust_domains":{}}`, refused: "no bundle in it"},
	})
}

func TestSPIFFEIDs(t *testing.T) {
	id := func(line int, i material.Identity, problems ...material.Problem) material.Document {
		d := material.Document{Kind: material.KindSPIFFEID, Name: i.ID, Line: line, Identity: &i, Problems: problems}
		if i.TrustDomain != "" {
			d.TrustDomains = []material.TrustDomain{{Name: i.TrustDomain}}
		}
		return d
	}
	ratings := material.Identity{
		ID: "spiffe://cluster.local/ns/shop/sa/ratings", TrustDomain: "cluster.local", Path: "/ns/shop/sa/ratings",
		Namespace: "shop", ServiceAccount: "ratings", Istio: true,
	}
	host := material.Identity{ID: "spiffe://east.example/host/7", TrustDomain: "east.example", Path: "/host/7"}
	bad := func(text, why string) material.Identity { return material.Identity{ID: text, Error: why} }
	asID := material.Options{Kind: material.KindSPIFFEID}
	check(t, []input{
		{name: "fixture", content: fixture(t, "identities.txt"), want: []material.Document{
			id(1, ratings), id(2, host),
			id(3, bad("spiffe://Cluster.Local/ns/shop", "trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores"), problem(material.CodeID, "", 3, 0)),
		}},
		{name: "scheme-in-capitals", content: "SPIFFE://a/b", want: []material.Document{id(1, bad("SPIFFE://a/b", "scheme is missing or invalid"), problem(material.CodeID, "", 1, 0))}},
		{name: "demanded", content: "cluster.local/ns", opts: asID, want: []material.Document{id(1, bad("cluster.local/ns", "scheme is missing or invalid"), problem(material.CodeID, "", 1, 0))}},
		{name: "trust-domain-alone", content: "spiffe://cluster.local", want: []material.Document{id(1, material.Identity{ID: "spiffe://cluster.local", TrustDomain: "cluster.local"})}},
	})
}
