package scripts

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipwayhq/slipway/tools/present"
)

func TestMark(t *testing.T) {
	source := `#!/bin/sh
set -e

f() {
	one 'a b' |
		two
	rc=$?
	case $1 in
	a | b) three ;;
	*)
		four \
			five
		;;
	esac
	return
}
awk '
	{ print }
	'
# shellcheck disable=SC2086
six
if seven; then
	eight
elif nine; then
	ten
else
	echo "${L:-}" "it's"
fi
`
	want := `#!/bin/sh
L=2; set -e

f() {
	L=5; one 'a b' |
		two
	rc=$?
	L=8; case $1 in
	a | b) three ;;
	*)
		L=11; four \
			five
		;;
	esac
	return
}
L=17; awk '
	{ print }
	'
# shellcheck disable=SC2086
six
L=22; if seven; then
	L=23; eight
elif nine; then
	L=25; ten
else
	echo "${L:-}" "it's"
fi
`
	if diff := cmp.Diff(want, string(mark("x.sh", []byte(source)))); diff != "" {
		t.Error(diff)
	}
	if got := string(mark(Report, []byte("a\n"))); got != "L=report.sh:1; a\n" {
		t.Errorf("the library's marker is %q", got)
	}
}

// unmarkedRE is what a line without a marker may be.
var unmarkedRE = regexp.MustCompile(`^(#.*|then|do|else|elif .*|fi|done|done <.*|esac|\}.*|\)( .*)?|;;|[A-Za-z_0-9]+\(\) \{|[^() ][^()]*\)( .*;;)?|.*\$\?.*|.*\$\{?L\b.*)$`)

// TestEveryCommandHasItsLine: in what is served, a line without a marker is a
// keyword, a pattern, the rest of a command, or one of the few that say why not.
func TestEveryCommandHasItsLine(t *testing.T) {
	for _, s := range All() {
		source, err := sources.ReadFile(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		served := strings.Split(string(s.Content), "\n")
		before := ""
		for i, line := range strings.Split(string(source), "\n") {
			code := strings.TrimSpace(line)
			prefix := fmt.Sprintf("L=%d; ", i+1)
			if s.Name == Report {
				prefix = fmt.Sprintf("L=report.sh:%d; ", i+1)
			}
			got := strings.TrimSpace(served[i])
			continued := strings.HasSuffix(before, `\`) || strings.HasSuffix(before, "|") || strings.HasPrefix(before, "# shellcheck ")
			switch {
			case got == prefix+code:
			case got != code:
				t.Errorf("%s:%d: %q became %q", s.Name, i+1, code, got)
			case code != "" && !continued && !unmarkedRE.MatchString(code) && !insideAwk(source, i):
				t.Errorf("%s:%d has no marker: %s", s.Name, i+1, code)
			}
			before = code
		}
	}
}

// insideAwk says whether a line is within a text in single quotes that began on
// a line before, counted independently of mark: our only such texts are awk's.
func insideAwk(source []byte, line int) bool {
	lines := bytes.Split(source, []byte("\n"))
	for i := line - 1; i >= 0; i-- {
		if bytes.HasSuffix(lines[i], []byte("awk '")) {
			return true
		}
		if bytes.HasSuffix(lines[i], []byte("}'")) {
			return false
		}
	}
	return false
}

// TestSyntaxAndShellcheck is about what is served; what is written is checked with
// all scripts, by scripts/lint-shell.sh.
func TestSyntaxAndShellcheck(t *testing.T) {
	dir := t.TempDir()
	var served []string
	for _, s := range All() {
		path := filepath.Join(dir, s.Name)
		if err := os.WriteFile(path, s.Content, 0o644); err != nil {
			t.Fatal(err)
		}
		served = append(served, s.Name)
		for _, shell := range [][]string{{"dash"}, {"busybox", "sh"}} {
			if _, err := exec.LookPath(shell[0]); err != nil && os.Getenv(present.Complete) != "1" {
				continue
			}
			if out, err := exec.Command(shell[0], append(shell[1:], "-n", path)...).CombinedOutput(); err != nil {
				t.Errorf("%v -n %s: %v\n%s", shell, s.Name, err, out)
			}
		}
	}
	shellcheck := lookPath(t, "shellcheck")
	cmd := exec.Command(shellcheck, append([]string{"-s", "sh", "-x"}, served...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

// markedRE is a served line with a marker: indentation, marker, command.
var markedRE = regexp.MustCompile(`(?m)^([ \t]*L=(?:report\.sh:)?([0-9]+); )`)

// TestFailureAtAnyLine puts a failing command in front of lines of the scripts,
// one at a time. Either the line is not reached, or reached where a status is
// looked at, and the installation succeeds; or the report names just that line.
//
// The library is left out: where it fails, nothing is left to report with.
//
// SLIPWAY_SOAK=1 takes every line (about ten minutes), otherwise a sample.
func TestFailureAtAnyLine(t *testing.T) {
	stride := 47
	if all() {
		stride = 1
	}
	n, named := 0, 0
	t.Cleanup(func() {
		if !t.Failed() && named < n/4 {
			t.Errorf("only %d of %d failing lines made the installation fail: the test proves too little", named, n)
		}
	})
	for _, name := range []string{FoundationInit, NetworkConfig, PostInstall} {
		script, _ := Get(name)
		for i, at := range markedRE.FindAllSubmatchIndex(script.Content, -1) {
			line := string(script.Content[at[4]:at[5]])
			env := both[i%2]
			if i%stride != stride/2 {
				continue
			}
			n++
			t.Run(fmt.Sprintf("%s:%s/%s", name, line, env.name), func(t *testing.T) {
				d, m := typicalRun(t, env)
				// 9 is no status that a script gives a meaning to.
				d.scripts[name] = append(append(append([]byte(nil), script.Content[:at[3]]...), "(exit 9); "...), script.Content[at[3]:]...)
				d.artifacts()
				r := m.install(t, d)
				failed := d.failed()
				if r.code == 0 && failed == "" {
					return
				}
				named++
				want := name + ":" + line + ": a command failed with status 9"
				if failed != want && !excused(t, name, line, r, failed) {
					m.explain(t, d, r)
					t.Errorf("exit %d, the failure is %q, want %q", r.code, failed, want)
				}
			})
		}
	}
}

// excused says whether a line may fail in another way than with its own name.
func excused(t *testing.T, name, line string, r result, failed string) bool {
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	within := func(from, to string) bool { return n >= lineOf(t, name, from) && n <= lineOf(t, name, to) }
	if name != FoundationInit {
		// Before the library is there, the parent names the script and its own line.
		return within("set -eu", "slipway_guard "+name) && strings.HasPrefix(failed, FoundationInit+":") && strings.HasSuffix(failed, name+" ended with status 9")
	}
	switch {
	case within("set -eu", "SLIPWAY_CONSOLE=3"), n == lineOf(t, name, "trap early_exit EXIT"): // nothing is known, nothing is made yet
		return r.code == 9 && failed == ""
	case within("read_cmdline() {", "cmdline='' cmdline_token=''"), within("trap early_exit EXIT", "early_fail \"slipway.url"): // no address to report to
		return r.code == 7 && strings.Contains(r.stdout, name+":"+line+": a command failed with status 9")
	case within("transfer() {", "exec wget -q -c"), within("start_installer() {", `exec "$@"`): // a process of its own, whose end is named where it is waited for
		return strings.HasPrefix(failed, name+":") && strings.Contains(failed, "status 9")
	}
	return false
}

// failed is the message of the failure that was reported, if one was.
func (d *slipwayd) failed() string {
	for _, r := range d.accepted() {
		if r.report.Status == "failed" {
			return r.report.Message
		}
	}
	return ""
}

func TestServeHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /boot/scripts/{name}", Set{})
	get := func(name string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/boot/scripts/"+name, nil)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	if names := len(All()); names != 4 || len(Set{}.Sums()) != 4 {
		t.Fatalf("%d scripts", names)
	}
	for _, s := range All() {
		w := get(s.Name)
		if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), s.Content) {
			t.Errorf("%s: %d", s.Name, w.Code)
		}
		if got := w.Header().Get("X-Checksum-Sha256"); got != hexSum(s.Content) || got != s.SHA256 || got != (Set{}).Sums()[s.Name] {
			t.Errorf("%s: sums differ", s.Name)
		}
		if w := get(s.Name, "If-None-Match", w.Header().Get("ETag")); w.Code != http.StatusNotModified {
			t.Errorf("%s with its ETag: %d", s.Name, w.Code)
		}
		if w := get(s.Name, "Range", "bytes=2-5"); w.Code != http.StatusPartialContent || w.Body.String() != string(s.Content[2:6]) {
			t.Errorf("%s, a part: %d %q", s.Name, w.Code, w.Body)
		}
	}
	for _, name := range []string{"doc.go", "nothing.sh", "..%2freport.sh"} {
		if w := get(name); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	w := httptest.NewRecorder()
	Set{}.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/boot/scripts/report.sh", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	if _, ok := Get("x"); ok {
		t.Error("Get finds what is not there")
	}
}
