package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// event is one line of go test -json (go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of what was built, in build-output and build-fail
	Test        string
	Elapsed     float64 // seconds
	Output      string
	FailedBuild string
}

// goTest runs go test and counts. What of args is not a flag names packages:
// flags have their values after an equals sign.
func goTest(r *Result, out io.Writer, args []string) error {
	r.Flags = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return !strings.HasPrefix(arg, "-") })
	cmd := command(r.Launcher, append([]string{"go", "test", "-json"}, args...))
	// The race detector is C.
	if slices.Contains(args, "-race") {
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1")
	}
	cmd.Stderr = out
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	t := newTally(r, out)
	readErr := t.read(stdout)
	failure := cmd.Wait()
	t.finish()
	if readErr != nil {
		return readErr
	}
	var exit *exec.ExitError
	if failure != nil && !errors.As(failure, &exit) {
		return fmt.Errorf("go test: %w", failure)
	}
	said := strings.Join(append([]string{"go test"}, args...), " ")
	switch {
	case failure != nil && r.Failed == 0:
		r.fail(said + ": " + failure.Error())
	case r.Passed+r.Failed+r.Skipped == 0:
		r.fail(said + ": there was no test")
	}
	return nil
}

// command is a command that another starts.
func command(launcher, args []string) *exec.Cmd {
	args = slices.Concat(launcher, args)
	return exec.Command(args[0], args[1:]...)
}

// tally counts the tests of a run. What counts is the leaves: a test with
// subtests is its subtests, unless it fails while none of them does.
type tally struct {
	result   *Result
	out      io.Writer
	packages map[string]*pkg
}

type pkg struct {
	output  []string         // not of a test
	tests   map[string]*test // that have begun
	order   []string         // their names as they began
	passed  int
	failed  int
	skipped int
	reruns  []Rerun
	broke   bool // off, so that tests may be missing
	final   bool // running it once more would prove nothing
}

type test struct {
	output  []string
	ended   bool
	parent  bool // it has subtests
	failing bool // one of its subtests failed
}

func newTally(r *Result, out io.Writer) *tally {
	return &tally{result: r, out: out, packages: map[string]*pkg{}}
}

// read takes everything that go test prints; lines that are no events, such as
// those of a download, are passed on.
func (t *tally) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				t.print(string(line))
			} else {
				t.add(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading go test: %w", err)
		}
	}
}

func (t *tally) print(text string) {
	_, _ = io.WriteString(t.out, text) // a closed standard output is noticed by the shell
}

func (t *tally) pkg(path string) *pkg {
	p := t.packages[path]
	if p == nil {
		p = &pkg{tests: map[string]*test{}}
		t.packages[path] = p
	}
	return p
}

func (p *pkg) test(name string) *test {
	one := p.tests[name]
	if one == nil {
		one = &test{}
		p.tests[name] = one
		p.order = append(p.order, name)
		for above := range p.above(name) {
			above.parent = true
		}
	}
	return one
}

// above gives the tests that the named one is a subtest of.
func (p *pkg) above(name string) iter.Seq[*test] {
	return func(yield func(*test) bool) {
		for i := strings.LastIndexByte(name, '/'); i >= 0; i = strings.LastIndexByte(name, '/') {
			name = name[:i]
			if one := p.tests[name]; one != nil && !yield(one) {
				return
			}
		}
	}
}

func (t *tally) add(e event) {
	switch {
	case e.Action == "build-output":
		t.print(e.Output)
	case e.Package == "":
	case e.Test == "" && e.Action == "output":
		p := t.pkg(e.Package)
		p.output = append(p.output, e.Output)
	case e.Test == "":
		t.endPackage(e)
	case e.Action == "run":
		t.pkg(e.Package).test(e.Test)
	case e.Action == "output":
		one := t.pkg(e.Package).test(e.Test)
		one.output = append(one.output, e.Output)
	case e.Action == "pass" || e.Action == "fail" || e.Action == "skip":
		t.endTest(e)
	}
}

func (t *tally) endTest(e event) {
	p := t.pkg(e.Package)
	one := p.test(e.Test)
	one.ended = true
	name := short(e.Package) + "." + e.Test
	switch {
	case e.Action == "fail":
		t.print(strings.Join(one.output, ""))
		if !one.failing {
			p.failed++
			t.result.fail(name)
			t.result.because(name, one.output)
			p.reruns = append(p.reruns, Rerun{Names: []string{name}, Package: e.Package, Test: e.Test})
		}
		p.judge(one.output)
		for above := range p.above(e.Test) {
			above.failing = true
		}
	case one.parent && e.Action != "skip":
	case e.Action == "skip":
		p.skipped++
		t.result.skip(name, reason(one.output))
	default:
		p.passed++
		t.result.Passed++
	}
	one.output = nil
}

// endPackage says one line about a package. A package that fails although no
// test of it did could not be built, panicked, or ran out of time: then
// everything it said is shown, and what was running.
func (t *tally) endPackage(e event) {
	if e.Action != "pass" && e.Action != "fail" && e.Action != "skip" {
		return
	}
	p := t.pkg(e.Package)
	switch {
	case e.Action == "skip" || (e.Action == "pass" && len(p.order) == 0):
		return // it has no tests
	case e.Action == "pass":
		t.print(fmt.Sprintf("ok    %-40s %7.1fs  %s\n", short(e.Package), e.Elapsed, counts(p.passed, p.failed, p.skipped)))
		return
	}
	if running := p.running(); p.failed == 0 || len(running) > 0 {
		p.failed++
		why := "failed outside of a test"
		switch {
		case e.FailedBuild != "":
			why = "did not build"
		case len(running) > 0:
			why = "ended during " + strings.Join(running, ", ")
		}
		what := short(e.Package) + ": " + why
		t.result.fail(what)
		t.result.because(what, p.output)
		p.reruns = append(p.reruns, Rerun{Names: []string{what}, Package: e.Package})
		p.broke, p.final = true, p.final || e.FailedBuild != ""
		for _, name := range running {
			t.print(strings.Join(p.tests[name].output, ""))
			p.tests[name].ended = true
		}
	}
	p.judge(p.output)
	t.print(strings.Join(p.output, ""))
	t.print(fmt.Sprintf("FAIL  %-40s %7.1fs  %s\n", short(e.Package), e.Elapsed, counts(p.passed, p.failed, p.skipped)))
}

// running are the tests that have begun and not ended.
func (p *pkg) running() []string {
	var out []string
	for _, name := range p.order {
		if !p.tests[name].ended {
			out = append(out, name)
		}
	}
	return out
}

// judge looks at what a failure said: a panic takes the package's other tests
// with it, and a data race is one however often it does not show.
func (p *pkg) judge(output []string) {
	said := strings.Join(output, "")
	p.broke = p.broke || strings.HasPrefix(said, "panic: ") || strings.Contains(said, "\npanic: ")
	p.final = p.final || strings.Contains(said, "DATA RACE") || strings.Contains(said, "race detected")
}

// finish notices tests that never ended because go test itself was killed:
// they would be missing from the counts otherwise. It keeps how the others are
// run once more.
func (t *tally) finish() {
	for _, path := range slices.Sorted(maps.Keys(t.packages)) {
		p := t.packages[path]
		if running := p.running(); len(running) > 0 {
			t.result.fail(short(path) + ": ended during " + strings.Join(running, ", "))
			p.final = true
		}
		switch {
		case p.final:
		case p.broke:
			whole := Rerun{Package: path, Passed: p.passed, Skipped: p.skipped}
			for _, r := range p.reruns {
				whole.Names = append(whole.Names, r.Names...)
			}
			t.result.Reruns = append(t.result.Reruns, whole)
		default:
			t.result.Reruns = append(t.result.Reruns, p.reruns...)
		}
	}
}

// short is a package's path inside this module.
func short(path string) string {
	if _, rest, ok := strings.Cut(path, "/slipway/"); ok {
		return rest
	}
	return path
}

// reason is what a skipped test said: its lines but for the framework's own.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		said = append(said, line)
	}
	return strings.Join(said, " ")
}
