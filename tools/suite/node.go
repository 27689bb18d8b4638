package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// nodeTest runs Node's own test runner on files. Its readable report goes to
// out, its counts come from the TAP that it writes beside it.
func nodeTest(r *Result, out io.Writer, files []string) error {
	tmp, err := os.MkdirTemp("", "suite-node-")
	if err != nil {
		return fmt.Errorf("folder for the report: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }() // a leftover in the temporary folder does no harm
	report := filepath.Join(tmp, "report.tap")
	args := []string{
		"--test", "--test-concurrency=1", "--test-timeout=900000",
		"--test-reporter=spec", "--test-reporter-destination=stdout",
		"--test-reporter=tap", "--test-reporter-destination=" + report,
	}
	cmd := command(r.Launcher, append(append([]string{"node"}, args...), files...))
	cmd.Stdout, cmd.Stderr = out, out
	failure := cmd.Run()
	data, err := os.ReadFile(report)
	if err != nil && failure == nil {
		return fmt.Errorf("node --test left no report: %w", err)
	}
	r.addTAP(string(data))
	var exit *exec.ExitError
	if failure != nil && !errors.As(failure, &exit) {
		return fmt.Errorf("node --test: %w", failure)
	}
	switch {
	case failure != nil && r.Failed == 0:
		r.fail("node --test: " + failure.Error())
	case r.Passed+r.Failed+r.Skipped == 0:
		r.fail("node --test: there was no test")
	}
	return nil
}

// tapResult is a result in TAP 13 as Node writes it.
var tapResult = regexp.MustCompile(`^(not ok|ok) \d+ - (.*?)(?: # (SKIP|TODO)\b ?(.*))?$`)

// addTAP counts tests. A suite, and a file, is its tests, unless it fails
// while none of them does: in a hook, or before the first.
func (r *Result) addTAP(report string) {
	lines := strings.Split(report, "\n")
	failedIn := map[int]bool{} // by depth: something deeper has failed
	for i, line := range lines {
		text := strings.TrimLeft(line, " ")
		m := tapResult.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		depth := len(line) - len(text)
		inside := failedIn[depth]
		for d := range failedIn {
			if d >= depth {
				delete(failedIn, d)
			}
		}
		container := holdsTests(lines, i, depth)
		switch {
		case m[1] == "not ok":
			if !container || !inside {
				said := diagnosis(lines[i+1:])
				r.fail(m[2])
				r.because(m[2], said)
				r.rerunFile(m[2], said)
			}
			for d := range depth {
				failedIn[d] = true
			}
		case container:
		case m[3] != "":
			r.skip(m[2], strings.TrimSpace(strings.ToLower(m[3])+" "+m[4]))
		default:
			r.Passed++
		}
	}
}

// diagnosis is the block that Node writes below a result: in YAML, from --- to a
// line with three dots. Where the error is, is told first.
func diagnosis(below []string) (said []string) {
	for n, line := range below {
		switch text := strings.TrimSpace(line); {
		case text == "...":
			return said
		case n == 0 && text != "---":
			return nil
		case n > 0:
			said = append(said, line)
		}
	}
	return said
}

// location is the line of a diagnosis that tells where the test is.
var location = regexp.MustCompile(`^\s*location: '(.+?):\d+:\d+'$`)

// rerunFile keeps that a failed test can be run once more with its file.
func (r *Result) rerunFile(name string, diagnosis []string) {
	for _, line := range diagnosis {
		m := location.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for i := range r.Reruns {
			if r.Reruns[i].File == m[1] {
				r.Reruns[i].Names = append(r.Reruns[i].Names, name)
				return
			}
		}
		r.Reruns = append(r.Reruns, Rerun{Names: []string{name}, File: m[1]})
		return
	}
}

// holdsTests says whether the result in line i is that of a suite, or of a
// test with subtests: their plan, "1..2", stands deeper right before it.
func holdsTests(lines []string, i, depth int) bool {
	if i == 0 {
		return false
	}
	before := lines[i-1]
	text := strings.TrimLeft(before, " ")
	return len(before)-len(text) > depth && strings.HasPrefix(text, "1..")
}
