// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// SPIFFEID checks a text by the grammar of SPIFFE IDs.
var SPIFFEID = probe.DefineOn(probe.Meta{
	ID:      "material/spiffe-id",
	Title:   "the text is a SPIFFE ID",
	About:   "Scheme spiffe, a trust domain of lower-case letters, digits, dots, dashes and underscores, no port, query or fragment, no empty or relative segments, no slash at the end (SPIFFE-ID §2). Istio is laxer about the trust domain; SPIRE, go-spiffe and other meshes are not.",
	Clause:  spec.SPIFFEIDForm,
	Causes:  []probe.Cause{causeNoID},
	Applies: "SPIFFE IDs",
}, documents(sortName), judgeSPIFFEID)

var causeNoID = probe.Cause{
	Code: "spiffe-id-malformed", Title: "the text is no SPIFFE ID",
	Try: []string{"write spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT"},
}

func judgeSPIFFEID(e Exam) []probe.Finding {
	id := e.Identity
	if id == nil {
		return []probe.Finding{probe.Skipping("it is no SPIFFE ID")}
	}
	if id.Error != "" {
		return []probe.Finding{e.Question.worse(causeNoID, probe.WantGot(id.ID, "a SPIFFE ID", id.Error))}
	}
	return []probe.Finding{probe.Passing(probe.Text("trust domain", id.TrustDomain), probe.Text("path", id.Path))}
}
