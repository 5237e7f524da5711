// SPDX-License-Identifier: Apache-2.0

package report

import "unicode/utf8"

// appendXML appends s as XML 1.0 text, or as the value of an attribute in
// double quotes. What XML cannot carry is told, not dropped: a control
// character becomes its Go escape (\x1b), invalid UTF-8 becomes U+FFFD.
func appendXML(b []byte, s string, attr bool) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if (r == utf8.RuneError && size == 1) || r == '\uFFFE' || r == '\uFFFF' || (r >= 0x80 && r < 0xa0) {
				b = append(b, s[start:i]...)
				b = append(b, "\uFFFD"...)
				start = i + size
			}
			i += size
			continue
		}
		if plain(c) || (!attr && (c == '\n' || c == '\t' || c == '"')) {
			i++
			continue
		}
		b = appendEscape(append(b, s[start:i]...), c)
		i++
		start = i
	}
	return append(b, s[start:]...)
}

func plain(c byte) bool {
	return c >= 0x20 && c != '&' && c != '<' && c != '>' && c != '"' && c != 0x7f
}

func appendEscape(b []byte, c byte) []byte {
	const hexDigits = "0123456789abcdef"
	switch c {
	case '&':
		return append(b, "&amp;"...)
	case '<':
		return append(b, "&lt;"...)
	case '>':
		return append(b, "&gt;"...)
	case '"':
		return append(b, "&#34;"...)
	case '\t':
		return append(b, "&#x9;"...)
	case '\n':
		return append(b, "&#xA;"...)
	case '\r':
		return append(b, "&#xD;"...)
	default:
		return append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&0xf])
	}
}
