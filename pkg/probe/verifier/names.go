// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"net/url"
	"strings"
)

// constraintsAllow reports whether issuer's name constraints admit the URI and
// DNS names of c, the names that mesh certificates carry.
// Source: RFC 5280 §4.2.1.10; crypto/x509/v3_ncons.c, nc_uri and nc_dns.
func constraintsAllow(issuer, c *x509.Certificate) bool {
	for _, u := range c.URIs {
		if !admitted(uriHost(u), issuer.PermittedURIDomains, issuer.ExcludedURIDomains, hostMatches) {
			return false
		}
	}
	for _, name := range c.DNSNames {
		if !admitted(name, issuer.PermittedDNSDomains, issuer.ExcludedDNSDomains, dnsMatches) {
			return false
		}
	}
	return true
}

// admitted applies excluded before permitted subtrees. An empty permitted list
// admits everything.
func admitted(name string, permitted, excluded []string, match func(name, rule string) bool) bool {
	for _, rule := range excluded {
		if match(name, rule) {
			return false
		}
	}
	for _, rule := range permitted {
		if match(name, rule) {
			return true
		}
	}
	return len(permitted) == 0
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

// uriSANs returns the URI SANs as written.
func uriSANs(c *x509.Certificate) []string {
	sans := make([]string, 0, len(c.URIs))
	for _, u := range c.URIs {
		if u != nil {
			sans = append(sans, u.String())
		}
	}
	return sans
}
