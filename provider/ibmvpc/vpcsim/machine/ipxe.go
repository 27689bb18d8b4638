package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// This file and the two beside it (ipxe_commands.go, ipxe_settings.go) are a
// small interpreter of iPXE scripts. It follows iPXE's own src/core/exec.c,
// src/image/script.c and src/core/settings.c in what they do to text: words are
// split at white space without quoting, a word that begins with # ends the
// command, ${settings} are expanded after the split, ||, && and ; join
// commands, a script ends at the first line that fails.

// Limits that no sane script reaches.
const (
	maxScript     = 64 << 10 // bytes of one script; IBM's limit for user data
	maxSteps      = 20_000   // commands without a pause; a script that spins is stopped
	maxDepth      = 16       // scripts that chain scripts
	maxExpansions = 256      // of settings in one word
	maxWord       = 16 << 10 // bytes of one expanded word
)

// pxeEnv is what the interpreter needs of the machine it runs on.
type pxeEnv interface {
	// fetch gets a file; a script's text is kept in pxeImage.script.
	fetch(ctx context.Context, uri *url.URL) (*pxeImage, error)
	// sleep waits; it ends early with an error when the machine loses power.
	sleep(ctx context.Context, d time.Duration) error
	// print writes to the console.
	print(text string)
	// prompt is called while the interpreter waits for a person.
	prompt(what string)
}

// pxeImage is one downloaded file.
type pxeImage struct {
	name   string // what the script calls it
	uri    *url.URL
	sha256 string // of the bytes that arrived, hex
	header string // X-Checksum-Sha256 of the answer, "" if there was none
	size   int64
	args   string // command line
	script []byte // the text, when the file begins with #!ipxe
}

// pxeBoot is what a script's boot command starts.
type pxeBoot struct {
	kernel  *pxeImage
	initrds []*pxeImage
	cmdline string
}

var (
	// errNotFound etc. are iPXE's answers; commands wrap them with what failed.
	errNoCommand = errors.New("command not found")
	errUsage     = errors.New("invalid argument")
	errNoEntry   = errors.New("no such file or directory")
	errNoExec    = errors.New("exec format error")
	errTimedOut  = errors.New("operation timed out")
	errSpin      = errors.New("script runs in a circle without pause")

	// errChecksum stops the machine: no || of a script may boot a file that is
	// not the one the script announced.
	errChecksum = errors.New("checksum mismatch")
)

// exitStatus is the error of `exit N` with N other than 0.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// pxe interprets scripts for one boot of one machine.
type pxe struct {
	env      pxeEnv
	settings settings
	sums     map[string]string // expected SHA-256 by file name, of "# sha256" comments
	images   []*pxeImage
	selected *pxeImage
	booted   *pxeBoot
	replaced *pxeImage // the script that `chain --replace` put in place of its caller
	steps    int
}

func newPXE(env pxeEnv, s settings) *pxe {
	return &pxe{env: env, settings: maps.Clone(s), sums: map[string]string{}}
}

// isScript reports whether data is an iPXE script.
func isScript(data []byte) bool {
	rest, ok := bytes.CutPrefix(data, []byte("#!ipxe"))
	return ok && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

// scriptRun is the state of one script; a chained script has its own.
type scriptRun struct {
	base  *url.URL // what relative addresses in it refer to; nil for inline text
	lines []string
	next  int
	depth int
	done  bool // exit was called
}

// run interprets one script. It returns nil when the script ended by itself or
// with `exit` (booted is nil then) and when it booted something.
func (p *pxe) run(ctx context.Context, script []byte, base *url.URL, depth int) error {
	for {
		err := p.script(ctx, script, base, depth)
		if p.replaced == nil || errors.Is(err, errChecksum) {
			return err
		}
		script, base, p.replaced = p.replaced.script, p.replaced.uri, nil
	}
}

// script interprets one script to its end.
func (p *pxe) script(ctx context.Context, script []byte, base *url.URL, depth int) error {
	if !isScript(script) || len(script) > maxScript {
		return fmt.Errorf("not an iPXE script: %w", errNoExec)
	}
	if depth > maxDepth {
		return fmt.Errorf("scripts chain more than %d deep: %w", maxDepth, errSpin)
	}
	s := &scriptRun{base: base, lines: logicalLines(string(script)), depth: depth}
	p.readSums(s.lines)
	for s.next < len(s.lines) {
		line := s.lines[s.next]
		s.next++
		if strings.HasPrefix(line, ":") { // a label
			continue
		}
		if err := p.line(ctx, s, line); err != nil {
			return err
		}
		if p.booted != nil || s.done {
			return nil
		}
	}
	return nil
}

// logicalLines splits a script into lines and joins those that end in a
// backslash with their successor.
func logicalLines(text string) []string {
	var out []string
	joined := ""
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if head, ok := strings.CutSuffix(line, `\`); ok {
			joined += head
			continue
		}
		out = append(out, joined+line)
		joined = ""
	}
	if joined != "" {
		out = append(out, joined)
	}
	return out
}

var sumComment = regexp.MustCompile(`^#\s*sha256\s+(\S+)\s+([0-9a-fA-F]{64})\s*$`)

// readSums takes the "# sha256 NAME HEX" comments of a script.
func (p *pxe) readSums(lines []string) {
	for _, line := range lines {
		if m := sumComment.FindStringSubmatch(line); m != nil {
			p.sums[m[1]] = strings.ToLower(m[2])
		}
	}
}

// line runs the commands of one line. As in iPXE's system(), the result of the
// last command that ran is the line's, and || and && look at that.
func (p *pxe) line(ctx context.Context, s *scriptRun, line string) error {
	words := strings.Fields(line)
	var rc error
	wanted := func(error) bool { return true }
	for {
		n, next := terminator(words)
		if wanted(rc) {
			rc = p.command(ctx, s, words[:n])
			// What a script may not catch, and what ends the line at once.
			if ctx.Err() != nil || errors.Is(rc, errChecksum) || errors.Is(rc, errSpin) || p.booted != nil || s.done {
				return rc
			}
		}
		if next == nil {
			return rc
		}
		wanted, words = next, words[n+1:]
	}
}

// terminator returns the number of words of the first command and, if another
// one follows, the condition on which that one runs.
func terminator(words []string) (int, func(error) bool) {
	for i, w := range words {
		switch {
		case strings.HasPrefix(w, "#"):
			return i, nil
		case w == "||":
			return i, func(rc error) bool { return rc != nil }
		case w == "&&":
			return i, func(rc error) bool { return rc == nil }
		case w == ";":
			return i, func(error) bool { return true }
		}
	}
	return len(words), nil
}

// command expands and runs one command; an empty one succeeds.
func (p *pxe) command(ctx context.Context, s *scriptRun, words []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.steps++; p.steps > maxSteps {
		p.env.print("Script stopped: it runs in a circle without pause\n")
		return errSpin
	}
	argv := make([]string, len(words))
	for i, w := range words {
		var err error
		if argv[i], err = p.settings.expand(w); err != nil {
			p.env.print(fmt.Sprintf("%s: %v\n", w, err))
			return err
		}
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil
	}
	run, ok := pxeCommands[argv[0]]
	if !ok {
		p.env.print(argv[0] + ": command not found\n")
		return fmt.Errorf("%s: %w", argv[0], errNoCommand)
	}
	if err := run(p, ctx, s, argv); err != nil {
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	return nil
}

// pause is a sleep that shows the script is not spinning.
func (p *pxe) pause(ctx context.Context, d time.Duration) error {
	if d > 0 {
		p.steps = 0
	}
	return p.env.sleep(ctx, d)
}

// waitForPerson blocks for good: nobody sits at a simulated console.
func (p *pxe) waitForPerson(ctx context.Context, what string) error {
	p.env.prompt(what)
	<-ctx.Done()
	return ctx.Err()
}
