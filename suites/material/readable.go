// SPDX-License-Identifier: Apache-2.0

package material

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// Readable checks that everything which is there can be read, by every program
// of a mesh that would have to.
var Readable = probe.DefineOn(probe.Meta{
	ID:      "material/readable",
	Title:   "every part of the document can be read",
	About:   "Texts that a person takes for PEM and some parser does not: two certificates on one line, line breaks lost, base64 twice, DER where PEM belongs, a byte order mark, an empty entry; certificates that crypto/x509 refuses; keys under a passphrase; dumps and bundles with parts that are malformed. Each is told with its place.",
	Clause:  spec.PEMEncapsulation,
	Causes:  unreadable(),
	Applies: "documents",
}, documents(sortAny), judgeReadable)

// toldElsewhere are the codes about which another probe of the document says
// more.
func (e Exam) toldElsewhere() []material.Code {
	codes := []material.Code{material.CodeMissing, material.CodeKeyMismatch}
	for s, more := range map[sort][]material.Code{
		sortName: {material.CodeID}, sortRequest: {material.CodeCSR}, sortRevoked: {material.CodeCRL}, sortRemote: {material.CodeKubeconfig},
		sortKey: {material.CodeKey, material.CodeKeyEncrypted}, sortCA: {material.CodeKey, material.CodeKeyEncrypted},
	} {
		if e.holds(s) {
			codes = append(codes, more...)
		}
	}
	return codes
}

// harmless are the codes of what some parser minds and Istio does not.
func harmless() []material.Code {
	return []material.Code{material.CodeUnexpected, material.CodeTrailing, material.CodeOmitted}
}

func judgeReadable(e Exam) []probe.Finding {
	var out []probe.Finding
	for _, p := range e.Problems {
		if slices.Contains(e.toldElsewhere(), p.Code) {
			continue
		}
		c := unreadableCause(p.Code)
		if p.Hint != "" {
			c.Try = []string{p.Hint}
		}
		evidence := probe.Text(place(p), p.What)
		switch {
		case slices.ContainsFunc(out, func(f probe.Finding) bool { return f.Cause.Code == c.Code }):
			i := slices.IndexFunc(out, func(f probe.Finding) bool { return f.Cause.Code == c.Code })
			out[i].Evidence = append(out[i].Evidence, evidence)
		case slices.Contains(harmless(), p.Code):
			out = append(out, e.Question.worse(c, evidence))
		default:
			out = append(out, probe.Failing(c, evidence))
		}
	}
	if len(out) == 0 {
		return []probe.Finding{probe.Passing(probe.Text(string(e.Kind), e.what()))}
	}
	return out
}

// place says where a problem is.
func place(p material.Problem) string {
	var at []string
	if p.Entry != "" {
		at = append(at, p.Entry)
	}
	if p.Line > 0 {
		at = append(at, fmt.Sprintf("line %d", p.Line))
	}
	if p.Certificate > 0 {
		at = append(at, fmt.Sprintf("certificate %d", p.Certificate))
	}
	if len(at) == 0 {
		return "the input"
	}
	return strings.Join(at, ", ")
}

// unreadableCause is the cause of a code, the last resort being that of PEM.
func unreadableCause(code material.Code) probe.Cause {
	all := unreadable()
	if i := slices.IndexFunc(all, func(c probe.Cause) bool { return c.Code == string(code) }); i >= 0 {
		return all[i]
	}
	return all[0]
}

func unreadable() []probe.Cause {
	say := func(code material.Code, title, try string) probe.Cause {
		return probe.Cause{Code: string(code), Title: title, Try: []string{try}}
	}
	return []probe.Cause{
		say(material.CodePEM, "a PEM block is damaged, and some parsers skip it without a word", "write it again: openssl x509 -in FILE -out NEW"),
		say(material.CodeConcat, "two certificates run into each other: Go, OpenSSL and Envoy read neither, ztunnel the first", "put a line break between END and BEGIN: sed 's/-----BEGIN/\\n-----BEGIN/g' FILE"),
		say(material.CodeNotPEM, "it is no PEM where PEM must be", "convert it: openssl x509 -inform der -in FILE -out NEW"),
		say(material.CodeBOM, "a byte order mark stands before the text, and hides its first block", "cut it off: sed '1s/^\\xef\\xbb\\xbf//' FILE"),
		say(material.CodeEscaped, "line breaks are written out as \\n", "write real line breaks: printf '%b' \"$(cat FILE)\""),
		say(material.CodeDoubleBase64, "the data is base64 twice", "encode it once: what is under data: in a Secret is encoded, what is under stringData: is not"),
		say(material.CodeBase64, "the data is no base64 where it must be", "encode it, or use stringData: in place of data:"),
		say(material.CodeUnparsable, verdict.Unparsable.Title, "look at its bytes: openssl asn1parse -i -in FILE; and issue it again"),
		say(material.CodeTrailing, "bytes follow the end of the structure", "cut them off, or convert it to PEM"),
		say(material.CodeUnexpected, "it holds something that has no business there", "leave it out; a private key does not belong where others read"),
		say(material.CodeEmpty, "it is empty", "see what should have written it"),
		say(material.CodeNoCertificate, "there is no certificate where one should be", "see what should have written it"),
		say(material.CodeKey, "a private key cannot be read", "write it again as PKCS#8: openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW"),
		say(material.CodeKeyEncrypted, "a private key is under a passphrase, which nothing in Istio can type", "write it without: openssl pkey -in KEY -out NEW"),
		say(material.CodeCSR, "the signing request cannot be read, or is not signed with its own key", "make it again: openssl req -new -key KEY -out NEW"),
		say(material.CodeCRL, "a revocation list cannot be read", "fetch it again from the CA"),
		say(material.CodeBundle, "the SPIFFE bundle is malformed", "fetch it again from its endpoint, whole"),
		say(material.CodeID, "the text is no SPIFFE ID", "write spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT"),
		say(material.CodeKubeconfig, "the kubeconfig in a remote secret cannot be used", "make it again: istioctl create-remote-secret --name CLUSTER"),
		say(material.CodeDump, "a part of the dump cannot be read", "dump it again, with --output json, and do not edit it"),
		say(material.CodeOmitted, "there is more than is kept; the rest was not judged", "split the input"),
	}
}
