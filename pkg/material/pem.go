// SPDX-License-Identifier: Apache-2.0

package material

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strconv"
	"strings"
)

const (
	beginMark = "-----BEGIN "
	endMark   = "-----END "
	dashes    = "-----"
	// lookAround bounds how much of a line is looked at beside a mark.
	lookAround = 256
)

// block is one PEM block, however badly written.
type block struct {
	label     string
	der       []byte
	line      int
	encrypted bool // Proc-Type: 4,ENCRYPTED
}

// scan finds the blocks of a text. It reads more than any parser does, and says
// where the parsers would not follow.
func scan(text []byte) (blocks []block, problems []Problem) {
	s := &scanner{text: text}
	s.prepare()
	for s.next() {
	}
	s.compareWithGo()
	return s.blocks, s.problems
}

type scanner struct {
	text     []byte
	pos      int
	counted  int // position up to which lines are counted
	line     int // line number at counted, from 0
	lastEnd  int // position behind the last END line's dashes
	blocks   []block
	problems []Problem
}

func (s *scanner) complain(code Code, line int, what, hint string) {
	if len(s.problems) < MaxCertificates {
		s.problems = append(s.problems, Problem{Code: code, Line: line, What: what, Hint: hint})
	}
}

// prepare takes off what stands before and between the characters of PEM.
func (s *scanner) prepare() {
	if rest, ok := bytes.CutPrefix(s.text, []byte("\xef\xbb\xbf")); ok {
		s.text = rest
		s.complain(CodeBOM, 1, "starts with a byte order mark, which hides the first block from Go", "save it as UTF-8 without BOM")
	}
	if !bytes.ContainsAny(s.text, "\n\r") && bytes.Contains(s.text, []byte(dashes+`\n`)) {
		s.text = bytes.ReplaceAll(bytes.ReplaceAll(s.text, []byte(`\r`), nil), []byte(`\n`), []byte("\n"))
		s.complain(CodeEscaped, 1, `has \n written out instead of line breaks`, "print it with `printf '%b'` or `jq -r`")
	}
	if bytes.IndexByte(s.text, '\n') < 0 && bytes.IndexByte(s.text, '\r') >= 0 {
		s.text = bytes.ReplaceAll(s.text, []byte("\r"), []byte("\n"))
		s.complain(CodePEM, 1, "its lines end with a carriage return only, which Go and OpenSSL do not read", "convert it with `tr '\\r' '\\n'`")
	}
	s.lastEnd = -1
}

// lineAt is the line number of a position, from 1; positions only grow.
func (s *scanner) lineAt(pos int) int {
	if pos > s.counted {
		s.line += bytes.Count(s.text[s.counted:pos], []byte("\n"))
		s.counted = pos
	}
	return s.line + 1
}

// index finds mark from a position on, or returns the end of the text.
func (s *scanner) index(mark string, from int) int {
	if i := bytes.Index(s.text[from:], []byte(mark)); i >= 0 {
		return from + i
	}
	return len(s.text)
}

// next reads one block; it returns false behind the last.
func (s *scanner) next() bool {
	begin := s.index(beginMark, s.pos)
	if begin == len(s.text) {
		return false
	}
	line := s.lineAt(begin)
	label, body, ok := s.label(begin + len(beginMark))
	if !ok {
		s.complain(CodePEM, line, "a BEGIN line does not end with "+dashes, "")
		s.pos = begin + len(beginMark)
		return true
	}
	s.before(begin, line)
	again := s.index(beginMark, body)
	end := bytes.Index(s.text[body:again], []byte(endMark))
	if end < 0 {
		s.complain(CodePEM, line, "the block "+named(label)+" has no END line", "the file is cut off, or a line was lost")
		s.pos = again
		return again < len(s.text)
	}
	end += body
	b := block{label: label, line: line}
	closing, behind, ok := s.label(end + len(endMark))
	if !ok {
		closing, behind = "", end+len(endMark)
	}
	if closing != label {
		s.complain(CodePEM, s.lineAt(end), "the END line does not match the BEGIN line "+named(label), "")
	}
	s.pos, s.lastEnd = behind, behind
	s.after(behind, line)
	if s.decode(&b, body, end) {
		s.blocks = append(s.blocks, b)
	}
	return true
}

// label reads a label from its first character to its dashes.
func (s *scanner) label(from int) (label string, behind int, ok bool) {
	rest := s.text[from:min(len(s.text), from+100)]
	if i := bytes.IndexAny(rest, "\r\n"); i >= 0 {
		rest = rest[:i]
	}
	i := bytes.Index(rest, []byte(dashes))
	if i < 0 {
		return "", 0, false
	}
	return string(rest[:i]), from + i + len(dashes), true
}

// before looks at what stands in a BEGIN line before the mark.
func (s *scanner) before(begin, line int) {
	from := max(0, s.lastEnd, begin-lookAround)
	start := from + bytes.LastIndexByte(s.text[from:begin], '\n') + 1
	head := s.text[start:begin]
	switch {
	case start == s.lastEnd && len(bytes.TrimSpace(head)) == 0:
		s.complain(CodeConcat, line, "an END line runs into the next BEGIN line: Go, Envoy and OpenSSL read neither block, ztunnel the first alone",
			"put a line break between them, such as with `awk 1 FILE...` instead of cat or printf")
	case len(head) > 0 && len(bytes.TrimSpace(head)) == 0:
		s.complain(CodePEM, line, "the BEGIN line is indented, so Go and OpenSSL pass the block over", "remove the blanks before it")
	case len(head) > 0:
		s.complain(CodePEM, line, "the BEGIN line has text before it, so Go and OpenSSL pass the block over", "start the line with "+strings.TrimSpace(beginMark))
	}
}

// after looks at what stands in an END line behind the dashes, unless it is the
// next BEGIN, of which before speaks.
func (s *scanner) after(behind, line int) {
	tail := s.text[behind:min(len(s.text), behind+lookAround)]
	if i := bytes.IndexByte(tail, '\n'); i >= 0 {
		tail = tail[:i]
	}
	if tail = bytes.TrimSpace(tail); len(tail) > 0 && !bytes.HasPrefix(tail, []byte(beginMark)) {
		s.complain(CodePEM, line, "its END line has text behind it, so Go and OpenSSL pass the block over", "")
	}
}

// decode reads the base64 of a block, past its headers.
func (s *scanner) decode(b *block, body, end int) bool {
	text := s.text[body:end]
	if i := bytes.IndexByte(text, '\n'); i < 0 || len(bytes.TrimSpace(text[:i])) > 0 {
		s.complain(CodePEM, b.line, "the block is not broken into lines as BEGIN, base64, END", "write it again with `openssl x509`")
	}
	for {
		text = bytes.TrimLeft(text, " \t\r\n")
		i := bytes.IndexByte(text, '\n')
		if i < 0 || !bytes.Contains(text[:i], []byte(":")) {
			break
		}
		header := string(text[:i])
		b.encrypted = b.encrypted || strings.HasPrefix(header, "Proc-Type:") && strings.Contains(header, "ENCRYPTED")
		text = text[i:]
	}
	packed := bytes.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, text)
	der, err := base64.StdEncoding.DecodeString(string(packed))
	if err != nil {
		if der, err = base64.RawStdEncoding.DecodeString(string(packed)); err == nil {
			s.complain(CodePEM, b.line, "the base64 of the block "+named(b.label)+" lacks its padding", "")
		}
	}
	if err != nil || len(der) == 0 {
		what := "the block " + named(b.label) + " is not base64"
		if len(packed) == 0 {
			what = "the block " + named(b.label) + " is empty"
		}
		s.complain(CodePEM, b.line, what, "a character was lost or added; write it again")
		return false
	}
	b.der = der
	return true
}

// compareWithGo says so where encoding/pem sees other blocks and nothing said yet
// explains it.
func (s *scanner) compareWithGo() {
	if len(s.problems) > 0 {
		return
	}
	n := 0
	for rest := s.text; ; n++ {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
	}
	if n != len(s.blocks) {
		s.complain(CodePEM, 0, fmt.Sprintf("Go reads %d of its %d blocks", n, len(s.blocks)), "write it again with `openssl x509`")
	}
}

// named quotes a label, if it is one: what a damaged file has in its place may be
// anything.
func named(label string) string {
	odd := func(r rune) bool { return r != ' ' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') }
	if len(label) > 30 || strings.ContainsFunc(label, odd) {
		return "of an unknown type"
	}
	return strconv.Quote(label)
}

// clip makes foreign text fit for a line: printable and bounded.
func clip(text string) string {
	const most = 300
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
