// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// probeFlags are the flags of one probe command.
type probeFlags struct {
	kind wire.Kind

	cert, key, bundle, socket string
	noClient, foreignClient   bool
	id, outerID               string
	sni, alpn                 string
	tlsMin, tlsMax, groups    string
	to, innerTo, from         string
	contexts, kubeconfigs     []string
	expect                    string

	input           string
	count, parallel int
	interval        time.Duration
	timeout, quiet  time.Duration
	record          string
	strict          bool
	output          outputFlags
	chosen          func(flag string) bool
}

func (f *probeFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.cert, "cert", "", "client certificate chain, leaf first: a PEM or DER `FILE`")
	fl.StringVar(&f.key, "key", "", "its private key: a PEM or DER `FILE`; may be that of --cert")
	fl.StringVar(&f.socket, "spiffe-socket", "", "take identity and bundle from the SPIFFE Workload API at `ADDRESS` (unix:///path or tcp://ip:port)")
	fl.BoolVar(&f.noClient, "no-client-cert", false, "show no client certificate: the server must refuse; that of --cert, which it must accept, is the control")
	fl.BoolVar(&f.foreignClient, "foreign-client-cert", false, "show a client certificate of a root made just now: the server must refuse; that of --cert is the control")
	fl.StringVar(&f.bundle, "trust-bundle", "", "roots to verify the server with: a PEM or DER `FILE`, or what else inspect reads: a manifest, a SPIFFE bundle, a directory")
	fl.StringVar(&f.id, "expect-id", "", "the `SPIFFE-ID` that must answer")
	fl.StringVar(&f.tlsMin, "tls-min", "", "lowest TLS `VERSION` to offer: 1.0, 1.1, 1.2, 1.3")
	fl.StringVar(&f.tlsMax, "tls-max", "", "highest TLS `VERSION` to offer")
	fl.StringVar(&f.groups, "groups", "", "key exchange `GROUPS` to offer, with commas: X25519MLKEM768, X25519, P-256, ...")
	fl.StringVar(&f.alpn, "alpn", "", "ALPN `PROTOCOLS` to offer, with commas")
	fl.StringVar(&f.from, "from", "", "look as a workload of a running cluster does, read-only: `CONTEXT/NAMESPACE/WORKLOAD`; its SVID and bundle where no others are given")
	fl.StringSliceVar(&f.contexts, "contexts", nil, "kubeconfig `CONTEXTS` of other clusters whose gateways --from may call, with commas")
	fl.StringArrayVar(&f.kubeconfigs, "kubeconfig", nil, "kubeconfig `FILE` for --from; repeatable, merged (default: what kubectl uses)")
	fl.StringVar(&f.expect, "expect", "", "make it a check: exit 0 when `OUTCOME` happens and 1 when not: accept, alert:NAME, status:CODE, reset:CODE, close")
	if f.kind == wire.TLS || f.kind == wire.Sidecar {
		fl.StringVar(&f.sni, "sni", "", "server `NAME` to send; '' sends none (tls: default is the host of ADDRESS)")
	}
	if f.kind == wire.HBONE || f.kind == wire.DoubleHBONE {
		fl.StringVar(&f.to, "to", "", "authority of the CONNECT, `HOST:PORT`")
	}
	if f.kind == wire.DoubleHBONE {
		fl.StringVar(&f.innerTo, "inner-to", "", "authority of the inner CONNECT, `HOST:PORT`; default: that of --to")
		fl.StringVar(&f.outerID, "expect-outer-id", "", "the `SPIFFE-ID` that the gateway must have")
	}
	fl.StringVar(&f.input, "input", "", "endpoints to look at, from `FILE` or - for standard input: ADDRESS or ADDRESS,SNI,EXPECT-ID a line")
	fl.IntVar(&f.count, "count", 1, "probe it this often, and tell success, rate and latency")
	fl.IntVar(&f.parallel, "parallel", 8, "handshakes that compute at the same time; connections that only wait do not count")
	fl.DurationVar(&f.interval, "interval", 0, "time between the beginnings of two probes, with --count")
	fl.DurationVar(&f.timeout, "timeout", wire.DefaultTimeout, "time for one endpoint")
	fl.DurationVar(&f.quiet, "quiet", wire.DefaultQuiet, "how long to wait for an application to say something")
	fl.StringVar(&f.record, "record", "", "write what was seen to `DIR`, for meshprobe replay")
	fl.BoolVar(&f.strict, "strict", false, "count warnings as failures")
	f.output.add(cmd)
	f.chosen = fl.Changed
}

// check refuses what cannot be meant, before anything is read or dialed.
func (f *probeFlags) check(address string) error {
	switch {
	case f.chosen("input") && address != "":
		return &usageError{msg: "--input and ADDRESS contradict each other", hint: "put the address into the file, or leave --input out"}
	case f.chosen("input") && f.input == "":
		return &usageError{msg: "--input needs the name of a file", hint: "for example: --input endpoints.csv, or --input - for standard input"}
	case f.input == "-" && f.bundle == "-":
		return &usageError{msg: "--input and --trust-bundle are both standard input", hint: "write one of them to a file"}
	case f.chosen("input") && f.count != 1:
		return &usageError{msg: "--count and --input contradict each other", hint: "repeat a line of the input instead"}
	case f.count < 1:
		return &usageError{msg: fmt.Sprintf("--count %d: there must be at least one probe", f.count), hint: "for example: --count 100"}
	case f.parallel < 1:
		return &usageError{msg: fmt.Sprintf("--parallel %d: there must be at least one handshake at a time", f.parallel), hint: "for example: --parallel 8"}
	case f.timeout <= 0:
		return &usageError{msg: fmt.Sprintf("--timeout %s: an endpoint needs some time", f.timeout), hint: "for example: --timeout 10s"}
	case f.quiet < 0:
		return &usageError{msg: fmt.Sprintf("--quiet %s is negative", f.quiet), hint: "for example: --quiet 1s"}
	case f.interval < 0:
		return &usageError{msg: fmt.Sprintf("--interval %s is negative", f.interval), hint: "for example: --interval 1s"}
	case f.chosen("record") && f.record == "":
		return &usageError{msg: "--record needs the name of a directory", hint: "for example: --record record-dir"}
	}
	return errors.Join(f.output.check(), f.checkClient(), f.checkFrom())
}

// checkClient refuses sources of an identity that contradict each other.
func (f *probeFlags) checkClient() error {
	var sources []string
	for _, flag := range []string{"cert", "spiffe-socket"} {
		if f.chosen(flag) {
			sources = append(sources, "--"+flag)
		}
	}
	switch {
	case len(sources) > 1:
		return &usageError{msg: strings.Join(sources, " and ") + " contradict each other", hint: "choose one source of the client certificate"}
	case f.noClient && f.foreignClient:
		return &usageError{msg: "--no-client-cert and --foreign-client-cert contradict each other", hint: "probe twice, once with each"}
	case f.chosen("key") && !f.chosen("cert"):
		return &usageError{msg: "--key without --cert", hint: "name the certificate too: --cert cert-chain.pem"}
	case f.chosen("cert") && f.cert == "", f.chosen("key") && f.key == "", f.chosen("trust-bundle") && f.bundle == "":
		return &usageError{msg: "--cert, --key and --trust-bundle need the name of a file", hint: "for example: --cert cert-chain.pem --key key.pem"}
	default:
		return nil
	}
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i <= 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

var spiffeID = regexp.MustCompile(`^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$`)

// asked is what the flags ask of every endpoint, but for the bundle: identify
// reads that.
func (f *probeFlags) asked() (endpoint.Asked, error) {
	a := endpoint.Asked{Identity: f.id, OuterIdentity: f.outerID, Negative: f.noClient || f.foreignClient}
	for flag, id := range map[string]string{"expect-id": f.id, "expect-outer-id": f.outerID} {
		if f.chosen(flag) && !spiffeID.MatchString(id) {
			return a, &usageError{msg: fmt.Sprintf("--%s %q is no SPIFFE ID", flag, id), hint: "for example: --" + flag + " spiffe://cluster.local/ns/shop/sa/reviews"}
		}
	}
	if f.chosen("expect") {
		e, err := endpoint.ParseExpectation(f.expect)
		if bad, ok := errors.AsType[*endpoint.ExpectationError](err); ok {
			return a, &usageError{msg: fmt.Sprintf("--expect %q: %s", bad.Text, bad.Why), hint: "did you mean: --expect " + bad.Hint}
		}
		if (e.What == endpoint.ExpectStatus || e.What == endpoint.ExpectReset) && f.to == "" {
			return a, &usageError{msg: "--expect " + e.String() + " is about a CONNECT, and none is sent", hint: "say where it is to go: --to HOST:PORT, with hbone or double-hbone"}
		}
		a.Expect = e
	}
	return a, nil
}

// target is how every endpoint is met, without its address.
func (f *probeFlags) target() (wire.Target, error) {
	t := wire.Target{Kind: f.kind, SNI: f.sni, To: f.to, InnerTo: f.innerTo, Timeout: f.timeout, Quiet: max(f.quiet, time.Millisecond)}
	for flag, authority := range map[string]string{"to": f.to, "inner-to": f.innerTo} {
		if !f.chosen(flag) {
			continue
		}
		if _, err := hbone.ParseAuthority(authority); err != nil {
			return t, &usageError{msg: fmt.Sprintf("--%s %q is not HOST:PORT", flag, authority), hint: "for example: --" + flag + " 10.0.3.7:9080"}
		}
	}
	if f.kind == wire.DoubleHBONE && f.to == "" {
		return t, &usageError{msg: "double-hbone needs the service behind the gateway", hint: "for example: --to ratings.shop.svc.cluster.local:9080"}
	}
	if f.chosen("alpn") {
		t.ALPN = []string{}
		for p := range strings.SplitSeq(f.alpn, ",") {
			if p = strings.TrimSpace(p); p == "" && f.alpn != "" || len(p) > 255 {
				return t, &usageError{msg: fmt.Sprintf("--alpn %q: a protocol has 1 to 255 bytes", f.alpn), hint: "for example: --alpn istio,h2"}
			} else if p != "" {
				t.ALPN = append(t.ALPN, p)
			}
		}
	}
	var err error
	if t.MinVersion, t.MaxVersion, err = f.versions(); err != nil {
		return t, err
	}
	if t.Groups, err = f.curveIDs(); err != nil {
		return t, err
	}
	switch {
	case f.noClient:
		t.Client = wire.None
	case f.foreignClient:
		t.Client = wire.Foreign
	}
	return t, nil
}

func (f *probeFlags) versions() (low, high uint16, err error) {
	known := map[string]uint16{"": 0, "1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	for _, v := range []struct {
		flag, text string
		into       *uint16
	}{{"tls-min", f.tlsMin, &low}, {"tls-max", f.tlsMax, &high}} {
		n, ok := known[v.text]
		if !ok || f.chosen(v.flag) && v.text == "" {
			return 0, 0, &usageError{msg: fmt.Sprintf("--%s %q is no TLS version", v.flag, v.text), hint: "one of: 1.0, 1.1, 1.2, 1.3"}
		}
		*v.into = n
	}
	if low != 0 && high != 0 && low > high {
		return 0, 0, &usageError{msg: "--tls-min " + f.tlsMin + " is above --tls-max " + f.tlsMax, hint: "turn them round"}
	}
	// The defaults of a kind give way to what was asked for.
	if low == 0 && high != 0 {
		low = min(high, tls.VersionTLS12)
	}
	if low != 0 && high == 0 && low == tls.VersionTLS13 {
		high = tls.VersionTLS13
	}
	return low, high, nil
}

func groupIDs() map[string]tls.CurveID {
	return map[string]tls.CurveID{
		"X25519MLKEM768": tls.X25519MLKEM768, "SecP256r1MLKEM768": tls.SecP256r1MLKEM768, "SecP384r1MLKEM1024": tls.SecP384r1MLKEM1024,
		"X25519": tls.X25519, "P-256": tls.CurveP256, "P-384": tls.CurveP384, "P-521": tls.CurveP521,
	}
}

func (f *probeFlags) curveIDs() ([]tls.CurveID, error) {
	if !f.chosen("groups") {
		return nil, nil
	}
	var ids []tls.CurveID
	known := groupIDs()
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	for name := range strings.SplitSeq(f.groups, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(names, func(n string) bool { return squeeze(n) == squeeze(name) })
		if i < 0 {
			near, _ := cluster.Nearest(name, names)
			return nil, &usageError{msg: fmt.Sprintf("--groups: unknown group %q", name), hint: fmt.Sprintf("did you mean %s? known are %s", near, strings.Join(names, ", "))}
		}
		ids = append(ids, known[names[i]])
	}
	return ids, nil
}

func squeeze(name string) string {
	name = strings.ToLower(strings.ReplaceAll(name, "-", ""))
	if alias := map[string]string{"secp256r1": "p256", "prime256v1": "p256", "secp384r1": "p384", "secp521r1": "p521"}[name]; alias != "" {
		return alias
	}
	return name
}

// defaultPort is the port of an address without one; empty where it must be
// said.
func defaultPort(kind wire.Kind) string {
	switch kind {
	case wire.TLS:
		return "15443"
	case wire.HBONE, wire.DoubleHBONE:
		return "15008"
	default:
		return ""
	}
}

// parseAddress completes ADDRESS with the port of its kind. The error says what
// is wrong with it, its hint what would be right.
func parseAddress(kind wire.Kind, text string) (string, *usageError) {
	bad := func(why, hint string) (string, *usageError) {
		return "", &usageError{msg: fmt.Sprintf("address %q: %s", text, why), hint: hint}
	}
	switch {
	case text == "":
		return bad("it is empty", "for example: 10.0.3.7:15443, [2001:db8::7]:15443 or gateway.example.com")
	case strings.Contains(text, "://"):
		return bad("it is no URL", "leave out the scheme: "+strings.TrimRight(text[strings.Index(text, "://")+3:], "/"))
	case strings.ContainsAny(text, " \t/\\@,"), strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), len(text) > 300:
		return bad("it is not HOST:PORT", "for example: 10.0.3.7:15443, [2001:db8::7]:15443 or gateway.example.com")
	}
	host, port := text, ""
	if bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"); net.ParseIP(bare) != nil || strings.Contains(bare, ":") && ipZone(bare) {
		host = bare
	} else if strings.Contains(text, ":") {
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return bad("it is not HOST:PORT", "an IPv6 address with a port stands in brackets: [2001:db8::7]:15443")
		}
	}
	if port == "" && strings.HasSuffix(text, ":") {
		return bad("the port is empty", "leave out the colon, or name a port")
	}
	if port == "" {
		if port = defaultPort(kind); port == "" {
			return bad("it has no port", "name the port of the application: "+net.JoinHostPort(host, "9080")+"; 15006 itself leads nowhere")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || fmt.Sprint(n) != port {
		return bad(fmt.Sprintf("port %q is not a number from 1 to 65535", port), "for example: "+net.JoinHostPort(host, "15443"))
	}
	if host == "" {
		return bad("the host is empty", "for example: 127.0.0.1:"+port)
	}
	return net.JoinHostPort(host, port), nil
}

func ipZone(s string) bool {
	ip, zone, ok := strings.Cut(s, "%")
	return ok && zone != "" && !strings.ContainsAny(zone, "[]:%") && net.ParseIP(ip) != nil
}
