package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
)

// Result is what one step came to.
type Result struct {
	Name     string   `json:"name"`
	Passed   int      `json:"passed"`
	Failed   int      `json:"failed"`
	Skipped  int      `json:"skipped"`
	Seconds  float64  `json:"seconds"`
	CPU      float64  `json:"cpu,omitempty"`      // seconds of processors, of all that the step has started and waited for
	Failures []string `json:"failures,omitempty"` // names
	// Causes are what failed tests said of it, in short, by their names.
	Causes map[string]string `json:"causes,omitempty"`
	Skips  []string          `json:"skips,omitempty"` // names with reasons
	// Reruns are how failed tests are run once more; see again.
	Reruns []Rerun `json:"reruns,omitempty"`
	// Unsteady are the names of tests that failed, and passed when they were run
	// once more. They count as passed.
	Unsteady []string `json:"unsteady,omitempty"`
	// Kind, Flags and Launcher are how the step was run.
	Kind     string   `json:"kind,omitempty"`
	Flags    []string `json:"flags,omitempty"`    // of go test
	Launcher []string `json:"launcher,omitempty"` // the command that starts it

	file string // where it is kept
}

// counts is the closing line.
func counts(passed, failed, skipped int) string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", passed, failed, skipped)
}

func (r *Result) String() string {
	took, cpu := seconds(r.Seconds), seconds(r.CPU)
	return fmt.Sprintf("%s: %s in %s, %s of processors", r.Name, counts(r.Passed, r.Failed, r.Skipped), took, cpu)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond)
}

func (r *Result) fail(name string) {
	r.Failed++
	r.Failures = append(r.Failures, name)
}

// because keeps what a failed test said, for the end, where it is not missed: the
// lines from the first that tells of the failure on, not many and not long ones.
func (r *Result) because(name string, said []string) {
	const most, longest = 20, 300
	said = slices.DeleteFunc(slices.Clone(said), func(line string) bool {
		return strings.HasPrefix(strings.TrimSpace(line), "=== ") || strings.TrimSpace(line) == ""
	})
	if first := slices.IndexFunc(said, tellsOfFailure.MatchString); first > 0 {
		said = said[first:]
	}
	said = said[:min(len(said), most)]
	for i, line := range said {
		line = strings.TrimRight(line, "\n")
		said[i] = line[:min(len(line), longest)]
	}
	if len(said) == 0 {
		return
	}
	if r.Causes == nil {
		r.Causes = map[string]string{}
	}
	r.Causes[name] = strings.Join(said, "\n")
}

// tellsOfFailure finds the line where a report of testify, of Go, or of Node
// begins to say what is wrong; what a test logged before is passed over.
var tellsOfFailure = regexp.MustCompile(`Error Trace:|Error:|^panic: |DATA RACE|^\s*error: `)

func (r *Result) skip(name, reason string) {
	r.Skipped++
	if reason == "" {
		reason = "no reason given"
	}
	r.Skips = append(r.Skips, name+": "+reason)
}

// save keeps the result; names sort in the order in which steps ran.
func (r *Result) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("result of %s: %w", r.Name, err)
	}
	if r.file == "" {
		r.file = fmt.Sprintf("%d.json", time.Now().UnixNano())
	}
	return os.WriteFile(filepath.Join(dir, r.file), data, 0o644)
}

// load reads all results in the order of their steps.
func load(dir string) ([]Result, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	sort.Strings(files) // nanoseconds of our time all have 19 digits
	var out []Result
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("results: %w", err)
		}
		var r Result
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("results in %s: %w", f, err)
		}
		r.file = filepath.Base(f)
		out = append(out, r)
	}
	return out, nil
}

// total shows all steps and the closing line, which it also keeps in the file
// summary. That nothing was run is a failure.
func total(dir string, out io.Writer) (failed bool, err error) {
	all, err := load(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	var sum Result
	for _, r := range all {
		sum.Passed += r.Passed
		sum.Failed += r.Failed
		sum.Skipped += r.Skipped
		sum.Seconds += r.Seconds
		sum.Skips = append(sum.Skips, r.Skips...)
	}
	_, _ = fmt.Fprintln(out) // a closed standard output is noticed by the shell
	for _, s := range sum.Skips {
		_, _ = fmt.Fprintf(out, "skipped  %s\n", s)
	}
	for _, r := range all {
		for _, name := range r.Unsteady {
			r.tell(out, "UNSTEADY", name)
		}
	}
	for _, r := range all {
		for _, name := range r.Failures {
			r.tell(out, "FAILED  ", name)
		}
	}
	for _, r := range all {
		_, _ = fmt.Fprintln(out, r.String())
	}
	if sum.Passed+sum.Failed == 0 {
		sum.fail("nothing was tested")
		_, _ = fmt.Fprintln(out, "FAILED   nothing was tested")
	}
	line := counts(sum.Passed, sum.Failed, sum.Skipped)
	_, _ = fmt.Fprintln(out, line)
	return sum.Failed > 0, os.WriteFile(filepath.Join(dir, "summary"), []byte(line+"\n"), 0o644)
}

// tell says what a test came to that failed, and what it said of it.
func (r *Result) tell(out io.Writer, what, name string) {
	_, _ = fmt.Fprintf(out, "%s %s\n", what, name) // a closed standard output is noticed by the shell
	for line := range strings.Lines(r.Causes[name]) {
		_, _ = fmt.Fprintf(out, "         | %s\n", strings.TrimRight(line, "\n"))
	}
}

// vitestReport is the part of vitest's (and Jest's) JSON report that is used.
type vitestReport struct {
	TestResults []struct {
		Name             string `json:"name"`
		Status           string `json:"status"`
		Message          string `json:"message"`
		AssertionResults []struct {
			FullName string `json:"fullName"`
			Status   string `json:"status"` // passed, failed, skipped, pending, todo
		} `json:"assertionResults"`
	} `json:"testResults"`
}

func (r *Result) addVitest(data []byte) error {
	var report vitestReport
	if err := json.Unmarshal(data, &report); err != nil {
		return fmt.Errorf("vitest's report: %w", err)
	}
	for _, file := range report.TestResults {
		failed := r.Failed
		for _, a := range file.AssertionResults {
			name := filepath.Base(file.Name) + ": " + a.FullName
			switch a.Status {
			case "passed":
				r.Passed++
			case "failed":
				r.fail(name)
			default:
				r.skip(name, a.Status)
			}
		}
		if file.Status == "failed" && r.Failed == failed {
			r.fail(filepath.Base(file.Name) + ": " + file.Message)
		}
	}
	return nil
}
