package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	resultsEnv  = "SUITE_RESULTS"
	launcherEnv = "SUITE_LAUNCHER"
)

func main() {
	failed, err := run(os.Args[1:], os.Getenv(resultsEnv), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: suite check NAME COMMAND [ARG...] | go NAME [ARG...] | vitest NAME DIR | node NAME FILE... | again | total")

// run is main without the process: failed says that total found failures.
func run(args []string, dir string, out io.Writer) (failed bool, err error) {
	if dir == "" {
		return false, fmt.Errorf("%s must name a folder", resultsEnv)
	}
	if len(args) == 1 && args[0] == "total" {
		return total(dir, out)
	}
	if len(args) == 1 && args[0] == "again" {
		return false, again(dir, out)
	}
	if len(args) < 2 {
		return false, errUsage
	}
	kind, name, rest := args[0], args[1], args[2:]
	var step func(result *Result, out io.Writer) error
	switch {
	case kind == "check" && len(rest) > 0:
		step = func(r *Result, out io.Writer) error { return check(r, out, rest) }
	case kind == "go":
		step = func(r *Result, out io.Writer) error { return goTest(r, out, rest) }
	case kind == "vitest" && len(rest) == 1:
		step = func(r *Result, out io.Writer) error { return vitest(r, out, rest[0]) }
	case kind == "node" && len(rest) > 0:
		step = func(r *Result, out io.Writer) error { return nodeTest(r, out, rest) }
	default:
		return false, errUsage
	}
	_, _ = fmt.Fprintf(out, "=== %s\n", name) // a closed standard output is noticed by the shell
	r := Result{Name: name}
	began := time.Now()
	if err := step(&r, out); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	r.Kind, r.Launcher = kind, strings.Fields(os.Getenv(launcherEnv))
	r.Seconds, r.CPU = time.Since(began).Seconds(), cpu()
	_, _ = fmt.Fprintf(out, "--- %s\n", r.String())
	return false, r.save(dir)
}

// cpu are the seconds of processors that ended children of this process used,
// with theirs.
func cpu() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// check runs a command as one test.
func check(r *Result, out io.Writer, command []string) error {
	cmd := exec.Command(command[0], command[1:]...)
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		r.Passed = 1
		return nil
	case !errors.As(err, &exit):
		said = append(said, err.Error()...)
	}
	r.fail(r.Name)
	_, _ = fmt.Fprintf(out, "%s\n%s: %v\n", strings.TrimRight(string(said), "\n"), strings.Join(command, " "), err)
	return nil
}

// vitest runs the app's unit tests. Its own report goes to out, its counts
// come from the JSON that it writes beside it.
func vitest(r *Result, out io.Writer, dir string) error {
	tmp, err := os.MkdirTemp("", "suite-vitest-")
	if err != nil {
		return fmt.Errorf("folder for the report: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }() // a leftover in the temporary folder does no harm
	report := filepath.Join(tmp, "report.json")
	cmd := exec.Command("npx", "--no-install", "vitest", "run", "--reporter=dot", "--reporter=json", "--outputFile.json="+report)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = append(cmd.Environ(), "NO_COLOR=1") // a dot a test would be 30 bytes of colour
	failure := cmd.Run()
	data, err := os.ReadFile(report)
	if err != nil && failure == nil {
		return fmt.Errorf("vitest left no report: %w", err)
	}
	if err == nil {
		if err := r.addVitest(data); err != nil {
			return err
		}
	}
	// A file that cannot even be loaded has no tests that fail.
	if failure != nil && r.Failed == 0 {
		r.fail("vitest: " + failure.Error())
	}
	return nil
}
