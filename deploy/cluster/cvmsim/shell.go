package cvmsim

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var errSyntax = errors.New("bash: syntax error")

// words reads a line as a shell does, as far as words, single quotes and pipes
// go: one list of words for each part of the pipe. Everything else that means
// something to a shell is refused, quoted or not where quotes do not protect.
func words(line string) ([][]string, error) {
	parts := [][]string{nil}
	word, in, quoted := "", false, false
	end := func() {
		if in {
			parts[len(parts)-1] = append(parts[len(parts)-1], word)
		}
		word, in = "", false
	}
	for _, r := range line {
		switch {
		case quoted && r != '\'':
			word += string(r)
		case r == '\'':
			quoted, in = !quoted, true
		case r == ' ':
			end()
		case r == '|':
			end()
			parts = append(parts, nil)
		case strings.ContainsRune("&;<>()$`\\\"*?[]#~%!{}\n\t", r):
			return nil, fmt.Errorf("%w near %q", errSyntax, r)
		default:
			word, in = word+string(r), true
		}
	}
	if quoted {
		return nil, fmt.Errorf("%w: a quote is not closed", errSyntax)
	}
	end()
	for _, p := range parts {
		if len(p) == 0 {
			return nil, fmt.Errorf("%w: nothing to run", errSyntax)
		}
	}
	return parts, nil
}

const profile = "source /etc/profile; "

// The two scripts of Slipway's jobs. %[1]s is the job, %[2]s the token, %[3]s the
// command.
const (
	startScript = profile +
		`cd && mkdir -m 700 -p .slipway && exec 9>.slipway/lock || exit 74; flock -n 9 || exit 75; ` +
		`[ "$(cat .slipway/%[1]s.id 2>/dev/null)" != '%[2]s' ] || exit 76; ` +
		`rm -f .slipway/%[1]s.exit .slipway/%[1]s.log && echo '%[2]s' >.slipway/%[1]s.id || exit 74; ` +
		`( trap '' HUP; { %[3]s; } >.slipway/%[1]s.log 2>&1 9>&-; echo $? >.slipway/%[1]s.exit ) </dev/null >/dev/null 2>&1 & echo slipway-begun`
	lookScript = `cd || exit 74; [ -e .slipway/lock ] || { echo 'slipway-job idle id= exit='; exit 0; }; ` +
		`exec 9<.slipway/lock || exit 74; r=busy; flock -s -n 9 && r=idle; ` +
		`echo "slipway-job $r id=$(cat .slipway/%[1]s.id 2>/dev/null) exit=$(cat .slipway/%[1]s.exit 2>/dev/null)"; ` +
		`tail -c 16384 .slipway/%[1]s.log 2>/dev/null; exit 0`
)

var (
	startForm = regexp.MustCompile(`^source /etc/profile; cd && .* != '([^']*)' \].* \{ (.*); \} >\.slipway/([a-z-]+)\.log `)
	lookForm  = regexp.MustCompile(`^cd \|\| .* id=\$\(cat \.slipway/([a-z-]+)\.id `)
)

// asStart takes a start script apart.
func asStart(line string) (name, token, command string, ok bool) {
	m := startForm.FindStringSubmatch(line)
	if m == nil {
		return "", "", "", false
	}
	return m[3], m[1], m[2], line == fmt.Sprintf(startScript, m[3], m[1], m[2])
}

// asLook takes a look script apart.
func asLook(line string) (name string, ok bool) {
	m := lookForm.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	return m[1], line == fmt.Sprintf(lookScript, m[1])
}
