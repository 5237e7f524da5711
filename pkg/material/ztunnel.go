// SPDX-License-Identifier: Apache-2.0

package material

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ztunnelDump is what is read of a ztunnel's /config_dump (ztunnel src/admin.rs,
// src/state.rs). Older builds wrote workloads and services as objects by key.
type ztunnelDump struct {
	Certificates []ztunnelCertificate `json:"certificates"`
	Workloads    json.RawMessage      `json:"workloads"`
	Services     json.RawMessage      `json:"services"`
}

type ztunnelCertificate struct {
	Identity string       `json:"identity"`
	State    string       `json:"state"`
	Chain    []ztunnelPEM `json:"certChain"`
	Roots    []ztunnelPEM `json:"rootCerts"`
}

type ztunnelPEM struct {
	PEM string `json:"pem"`
}

type ztunnelWorkload struct {
	UID            string          `json:"uid"`
	Name           string          `json:"name"`
	Namespace      string          `json:"namespace"`
	ServiceAccount string          `json:"serviceAccount"`
	TrustDomain    string          `json:"trustDomain"`
	ClusterID      string          `json:"clusterId"`
	Network        string          `json:"network"`
	IPs            []string        `json:"workloadIps"`
	Protocol       string          `json:"protocol"`
	NetworkGateway json.RawMessage `json:"networkGateway"`
	Waypoint       json.RawMessage `json:"waypoint"`
	Status         string          `json:"status"`
}

// destination is that of a gateway, which old builds wrote as an object.
func destination(raw json.RawMessage) string {
	var g struct {
		Destination json.RawMessage `json:"destination"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &g) != nil {
		return ""
	}
	var s string
	if json.Unmarshal(g.Destination, &s) != nil {
		s = string(g.Destination)
	}
	return clip(s)
}

// ztunnel reads a dump: a document for every certificate, and one for what it
// knows of workloads and services.
func (r *reader) ztunnel(raw json.RawMessage) ([]Document, error) {
	var dump ztunnelDump
	if err := json.Unmarshal(raw, &dump); err != nil {
		return nil, r.fail("has a ztunnel config_dump with a value of another type than its field", "pass the output of `curl localhost:15000/config_dump`")
	}
	var docs []Document
	for _, c := range dump.Certificates {
		docs = append(docs, r.ztunnelCertificate(c))
		if len(docs) > MaxDocuments {
			return docs, nil
		}
	}
	rest := Document{Kind: KindZtunnelDump, Source: r.source}
	r.workloads(&rest, dump.Workloads)
	r.services(&rest, dump.Services)
	if len(rest.Workloads)+len(rest.Services)+len(rest.Problems) > 0 || len(docs) == 0 {
		docs = append(docs, rest)
	}
	return docs, nil
}

func (r *reader) ztunnelCertificate(c ztunnelCertificate) Document {
	d := Document{Kind: KindZtunnelDump, Source: r.source, Name: clip(c.Identity), SDS: &SDS{Holds: "certificate"}}
	state, why, _ := strings.Cut(c.State, ":")
	switch strings.TrimSpace(state) {
	case "Available":
		d.SDS.State = StateAvailable
	case "Initializing":
		d.SDS.State = StateInitializing
	default:
		d.SDS.State, d.SDS.Error = StateUnavailable, clip(strings.TrimSpace(why))
	}
	d.Certificates = r.ztunnelCerts(&d, "certChain", c.Chain)
	d.Roots = r.ztunnelCerts(&d, "rootCerts", c.Roots)
	if n := len(d.Certificates); len(c.Roots) == 0 && n > 1 {
		d.SDS.Legacy = true
		d.Certificates, d.Roots = d.Certificates[:n-1], d.Certificates[n-1:]
	}
	if len(d.Certificates) == 0 {
		d.SDS.Holds = "nothing"
	}
	return d
}

// ztunnelCerts reads a list of PEM texts, which are in base64 or, from older
// builds, plain.
func (r *reader) ztunnelCerts(d *Document, entry string, list []ztunnelPEM) []Certificate {
	var out []Certificate
	for i, c := range list {
		content := []byte(c.PEM)
		if !strings.Contains(c.PEM, beginMark) {
			decoded, err := base64.StdEncoding.DecodeString(c.PEM)
			if err != nil {
				d.Problems = append(d.Problems, Problem{Code: CodeBase64, Entry: entry, Certificate: i + 1, What: "is neither PEM nor base64 of it"})
				continue
			}
			content = decoded
		}
		f := r.entry(entry, content)
		if f.empty() && len(f.problems) == 0 {
			f.problems = []Problem{{Code: CodeNotPEM, Entry: entry, Certificate: i + 1, What: "holds no PEM block"}}
		}
		out = append(out, f.certs...)
		d.Problems = append(d.Problems, f.problems...)
	}
	return out
}

// listOf gives the values of a list, or of an object in the order of its keys.
func listOf(raw json.RawMessage) ([]json.RawMessage, bool) {
	var list []json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &list) == nil {
		return list, true
	}
	var byKey map[string]json.RawMessage
	if json.Unmarshal(raw, &byKey) != nil {
		return nil, false
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		list = append(list, byKey[key])
	}
	return list, true
}

func (r *reader) workloads(d *Document, raw json.RawMessage) {
	list, ok := listOf(raw)
	for i, one := range list {
		var w ztunnelWorkload
		if i >= MaxWorkloads {
			d.Problems = append(d.Problems, Problem{Code: CodeOmitted, What: fmt.Sprintf("%d more workloads are left out", len(list)-i)})
			break
		}
		if json.Unmarshal(one, &w) != nil {
			ok = false
			continue
		}
		d.Workloads = append(d.Workloads, w.plain())
	}
	if !ok {
		d.Problems = append(d.Problems, Problem{Code: CodeDump, Entry: "workloads", What: "a workload has another shape than ztunnel writes"})
	}
}

func (w ztunnelWorkload) plain() Workload {
	out := Workload{
		UID: clip(w.UID), Name: clip(w.Name), Namespace: clip(w.Namespace), ServiceAccount: clip(w.ServiceAccount),
		TrustDomain: clip(w.TrustDomain), Cluster: clip(w.ClusterID), Network: clip(w.Network),
		Protocol: clip(w.Protocol), Status: clip(w.Status),
	}
	for _, ip := range w.IPs {
		out.Addresses = addName(out.Addresses, ip)
	}
	out.NetworkGateway, out.Waypoint = destination(w.NetworkGateway), destination(w.Waypoint)
	if w.TrustDomain != "" && w.Namespace != "" && w.ServiceAccount != "" {
		out.Identity = clip("spiffe://" + w.TrustDomain + "/ns/" + w.Namespace + "/sa/" + w.ServiceAccount)
	}
	return out
}

// services keeps those that say which identities serve them.
func (r *reader) services(d *Document, raw json.RawMessage) {
	list, ok := listOf(raw)
	for _, one := range list {
		var s Service
		if json.Unmarshal(one, &s) != nil {
			ok = false
			continue
		}
		if len(s.SubjectAltNames) == 0 || len(d.Services) >= MaxWorkloads {
			continue
		}
		var names []string
		for _, name := range s.SubjectAltNames {
			names = addName(names, name)
		}
		d.Services = append(d.Services, Service{Name: clip(s.Name), Namespace: clip(s.Namespace), Hostname: clip(s.Hostname), SubjectAltNames: names})
	}
	if !ok {
		d.Problems = append(d.Problems, Problem{Code: CodeDump, Entry: "services", What: "a service has another shape than ztunnel writes"})
	}
}
