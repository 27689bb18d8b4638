package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// mostAgain is how many failed tests are run once more; more are no accident.
const mostAgain = 6

// Rerun is how tests that failed are run once more.
type Rerun struct {
	Names   []string `json:"names"`             // in Result.Failures
	Package string   `json:"package,omitempty"` // of Go
	Test    string   `json:"test,omitempty"`    // in Package; none is all of them
	File    string   `json:"file,omitempty"`    // of Node
	// Passed and Skipped are what a package as a whole had counted before it broke off.
	Passed  int `json:"passed,omitempty"`
	Skipped int `json:"skipped,omitempty"`
}

// again runs what failed once more, one after the other, and keeps what it came to.
func again(dir string, out io.Writer) error {
	all, err := load(dir)
	if err != nil {
		return err
	}
	failed := 0
	for _, r := range all {
		failed += r.Failed
	}
	if failed == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(out, "=== what failed, once more and alone") // a closed standard output is noticed by the shell
	if failed > mostAgain {
		_, _ = fmt.Fprintf(out, "--- %d tests failed: more than %d are no accident, and are not run again\n", failed, mostAgain)
		return nil
	}
	for _, r := range all {
		for _, one := range r.Reruns {
			if err := r.once(one, out); err != nil {
				return err
			}
		}
		if len(r.Reruns) == 0 {
			continue
		}
		r.Reruns = nil
		if err := r.save(dir); err != nil {
			return err
		}
	}
	return nil
}

// once runs a test once more; if it passes it has not failed.
func (r *Result) once(one Rerun, out io.Writer) error {
	second := Result{Name: r.Name, Launcher: r.Launcher}
	var err error
	if one.File != "" {
		err = nodeTest(&second, out, []string{one.File})
	} else {
		err = goTest(&second, out, one.arguments(r.Flags))
	}
	if err != nil {
		return fmt.Errorf("%s once more: %w", strings.Join(one.Names, ", "), err)
	}
	word := "failed again"
	if second.Failed == 0 && second.Passed > 0 {
		word = "passed"
		r.pass(one, second)
	}
	_, _ = fmt.Fprintf(out, "--- %s: %s\n", strings.Join(one.Names, ", "), word) // a closed standard output is noticed by the shell
	return nil
}

// arguments are those of go test.
func (one Rerun) arguments(flags []string) []string {
	args := slices.Clone(flags)
	if one.Test != "" {
		var elements []string
		for element := range strings.SplitSeq(one.Test, "/") {
			elements = append(elements, "^"+regexp.QuoteMeta(element)+"$")
		}
		args = append(args, "-run="+strings.Join(elements, "/"))
	}
	return append(args, one.Package)
}

// pass counts tests as passed that had failed.
func (r *Result) pass(one Rerun, second Result) {
	r.Failures = slices.DeleteFunc(r.Failures, func(name string) bool { return slices.Contains(one.Names, name) })
	r.Failed -= len(one.Names)
	r.Unsteady = append(r.Unsteady, one.Names...)
	if one.Package != "" && one.Test == "" {
		// Those that it had not come to before are among them now.
		r.Passed += second.Passed - one.Passed
		r.Skipped += second.Skipped - one.Skipped
		return
	}
	r.Passed += len(one.Names)
}
