// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// RequestSigned checks that a request proves the possession of its key.
var RequestSigned = probe.DefineOn(probe.Meta{
	ID:      "material/request-signed",
	Title:   "the signing request is signed with its own key",
	About:   "Every CA, istiod among them, refuses a request whose signature does not verify with the public key in it.",
	Clause:  spec.CSRSigned,
	Causes:  []probe.Cause{causeRequest},
	Applies: "signing requests",
}, documents(sortRequest), judgeRequestSigned)

var causeRequest = probe.Cause{
	Code: "csr-malformed", Title: "the signing request cannot be read, or is not signed with its own key",
	Try: []string{"make it again: openssl req -new -key KEY -out NEW"},
}

func judgeRequestSigned(e Exam) []probe.Finding {
	r := e.Request
	switch {
	case r == nil:
		return []probe.Finding{probe.Skipping("there is no request")}
	case r.Error != "":
		return []probe.Finding{probe.Failing(causeRequest, probe.Text("crypto/x509", r.Error))}
	case r.SignatureError != "":
		return []probe.Finding{probe.Failing(causeRequest, probe.WantGot("signature", "made with the key of the request", r.SignatureError))}
	}
	return []probe.Finding{probe.Passing(probe.Text("key", r.Key+", SHA-256 "+r.SPKI))}
}
