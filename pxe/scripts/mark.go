package scripts

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

var (
	// functionRE is the first line of a function's definition.
	functionRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\(\) \{$`)
	// statusRE finds what a marker in front would spoil: $? and a bare exit or
	// return, because the marker's own status is 0, and the reading of L itself.
	statusRE = regexp.MustCompile(`\$\?|\$\{?L\b|^(exit|return)$`)
	// wordRE is the first word of a line.
	wordRE = regexp.MustCompile(`^[^ \t;]+`)
)

// notCommands begin lines that go on with a compound command.
var notCommands = map[string]bool{
	"then": true, "do": true, "else": true, "elif": true, "fi": true, "done": true,
	"esac": true, "in": true, "}": true, ")": true,
}

// mark puts a line marker in front of every command that begins a line. It is
// no shell parser: it relies on the style of this package's scripts, which a
// test holds (one command a line, no here-documents, no text over several lines).
//
// The markers of the library carry its name, those of other scripts the bare
// number, because the library is sourced and knows only its caller's name.
func mark(name string, source []byte) []byte {
	prefix := ""
	if name == Report {
		prefix = name + ":"
	}
	var out bytes.Buffer
	m := marker{}
	for i, line := range strings.SplitAfter(string(source), "\n") {
		code := strings.TrimSpace(line)
		if m.command(code) {
			indent := line[:strings.Index(line, code)]
			fmt.Fprintf(&out, "%sL=%s%d; %s", indent, prefix, i+1, line[len(indent):])
		} else {
			out.WriteString(line)
		}
		m.next(code)
	}
	return out.Bytes()
}

// marker is what of the lines before decides about the next.
type marker struct {
	continued bool // the line goes on with the command of the one before
	pattern   bool // the line is a pattern of a case
	quoted    bool // the line is inside a single-quoted text
	directive bool // the line before is for shellcheck and must stay next to its command
}

// command says whether code begins with a command that may get a marker.
func (m *marker) command(code string) bool {
	switch {
	case code == "", strings.HasPrefix(code, "#"), strings.HasPrefix(code, ";;"):
		return false
	case m.continued, m.quoted, m.pattern, m.directive, notCommands[wordRE.FindString(code)]:
		return false
	default:
		return !functionRE.MatchString(code) && !statusRE.MatchString(code)
	}
}

// next takes note of a line.
func (m *marker) next(code string) {
	m.directive = strings.HasPrefix(code, "# shellcheck ")
	if code == "" || strings.HasPrefix(code, "#") && !m.quoted {
		return
	}
	if oddQuotes(code) {
		m.quoted = !m.quoted
	}
	m.continued = false
	for _, end := range []string{`\`, "|", "&&", "||"} {
		m.continued = m.continued || strings.HasSuffix(code, end)
	}
	word := wordRE.FindString(code)
	switch {
	case m.quoted:
	case word == "case" && strings.HasSuffix(code, " in"), strings.HasSuffix(code, ";;"):
		m.pattern = true
	default:
		m.pattern = false
	}
}

// oddQuotes says whether code opens or closes a single-quoted text without the
// other end: single quotes inside double quotes and escaped ones do not count.
func oddQuotes(code string) bool {
	odd, double := false, false
	for i := 0; i < len(code); i++ {
		switch c := code[i]; {
		case c == '\\' && !odd:
			i++
		case c == '\'' && !double:
			odd = !odd
		case c == '"' && !odd:
			double = !double
		case c == '#' && !odd && !double && i > 0 && code[i-1] == ' ':
			return odd // a comment
		}
	}
	return odd
}
