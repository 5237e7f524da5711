// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"encoding/asn1"
	"net/url"
	"slices"
	"strings"
)

// namesVerdict is what name constraints say of a certificate.
type namesVerdict uint8

const (
	namesAllowed namesVerdict = iota
	namesNotPermitted
	namesExcluded
)

// constrain applies issuer's name constraints to the URI and DNS names of c,
// the names that mesh certificates carry.
// Source: RFC 5280 §4.2.1.10; crypto/x509/v3_ncons.c, nc_uri and nc_dns.
func constrain(issuer, c *x509.Certificate) namesVerdict {
	for _, u := range c.URIs {
		if v := admit(uriHost(u), issuer.PermittedURIDomains, issuer.ExcludedURIDomains, hostMatches); v != namesAllowed {
			return v
		}
	}
	for _, name := range c.DNSNames {
		if v := admit(name, issuer.PermittedDNSDomains, issuer.ExcludedDNSDomains, dnsMatches); v != namesAllowed {
			return v
		}
	}
	return namesAllowed
}

// constrainsDirectory reports whether c has name constraints on directory names,
// which crypto/x509 does not show.
func constrainsDirectory(c *x509.Certificate) bool {
	raw, ok := extension(c, oidNameConstraints)
	if !ok {
		return false
	}
	var both struct {
		Permitted []struct{ Base asn1.RawValue } `asn1:"optional,tag:0"`
		Excluded  []struct{ Base asn1.RawValue } `asn1:"optional,tag:1"`
	}
	if _, err := asn1.Unmarshal(raw, &both); err != nil {
		return false
	}
	for _, tree := range slices.Concat(both.Permitted, both.Excluded) {
		if tree.Base.Class == asn1.ClassContextSpecific && tree.Base.Tag == tagDirectoryName {
			return true
		}
	}
	return false
}

// admit applies permitted before excluded subtrees. An empty permitted list
// admits everything.
func admit(name string, permitted, excluded []string, match func(name, rule string) bool) namesVerdict {
	fits := func(rule string) bool { return match(name, rule) }
	switch {
	case len(permitted) > 0 && !slices.ContainsFunc(permitted, fits):
		return namesNotPermitted
	case slices.ContainsFunc(excluded, fits):
		return namesExcluded
	default:
		return namesAllowed
	}
}

// hostMatches: a rule with a leading period covers the hosts below it, one
// without is exactly that host.
func hostMatches(host, rule string) bool {
	host, rule = strings.ToLower(host), strings.ToLower(rule)
	if strings.HasPrefix(rule, ".") {
		return len(host) > len(rule) && strings.HasSuffix(host, rule)
	}
	return host == rule
}

// dnsMatches: a rule covers its name and every name below it.
func dnsMatches(name, rule string) bool {
	name, rule = strings.ToLower(name), strings.ToLower(rule)
	if rule == "" || name == rule {
		return true
	}
	return strings.HasSuffix(name, "."+strings.TrimPrefix(rule, "."))
}

// uriHost returns the host of a URI without its port, empty if it has none.
func uriHost(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Hostname()
}

// uriSANs returns the URI SANs as they stand in the certificate. The URLs that
// crypto/x509 makes of them are in the normal form of net/url, with which a
// verifier that compares text does not agree.
func uriSANs(c *x509.Certificate) []string {
	raw, _ := extension(c, oidAltName)
	var list asn1.RawValue
	if _, err := asn1.Unmarshal(raw, &list); err != nil {
		return goURISANs(c)
	}
	sans := make([]string, 0, len(c.URIs))
	for name := range generalNames(list.Bytes, tagURI) {
		sans = append(sans, string(name))
	}
	return sans
}

// goURISANs returns the URI SANs as Go programs see them.
func goURISANs(c *x509.Certificate) []string {
	sans := make([]string, 0, len(c.URIs))
	for _, u := range c.URIs {
		if u != nil {
			sans = append(sans, u.String())
		}
	}
	return sans
}
