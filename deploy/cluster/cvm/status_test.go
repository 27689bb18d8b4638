package cvm_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
)

var update = flag.Bool("update", false, "write the golden files")

func describe(s cvm.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "verdict: %s\nwhy: %s\nstate: %q\nlockdown: %q\n", s.Verdict, s.Why, s.State, s.Lockdown)
	for _, c := range s.CVMs {
		fmt.Fprintf(&b, "cvm: %s up=%v notes=%q services=%d down=%d\n", c.Addr, c.Up, c.Notes, len(c.Services), len(c.Down()))
	}
	for _, e := range s.Evidence {
		fmt.Fprintf(&b, "> %s\n", e)
	}
	return b.String()
}

func answers(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/status/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no answers: %v", err)
	}
	out := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".txt")] = string(text)
	}
	return out
}

var verdicts = map[string]cvm.Verdict{
	"unconfigured": cvm.VerdictUnconfigured, "up_three": cvm.VerdictUp, "up_one": cvm.VerdictUp, "maintenance": cvm.VerdictUp,
	"forming": cvm.VerdictForming, "one_service_down": cvm.VerdictForming, "one_member_down": cvm.VerdictDown, "stopped": cvm.VerdictStopped,
	"secret": cvm.VerdictUp, "cut_in_line": cvm.VerdictUnclear, "cut_between_services": cvm.VerdictUnclear,
	"cut_before_services": cvm.VerdictUnclear, "cut_after_state": cvm.VerdictUnclear, "empty": cvm.VerdictUnclear,
	"garbage": cvm.VerdictUnclear, "web_page": cvm.VerdictUnclear, "contradiction": cvm.VerdictUnclear, "twice": cvm.VerdictUnclear,
	"unknown_state": cvm.VerdictUnclear, "traceback": cvm.VerdictUnclear,
}

func TestStatusOfDocumentedAnswers(t *testing.T) {
	all := answers(t)
	if len(all) != len(verdicts) {
		t.Errorf("%d answers, %d verdicts", len(all), len(verdicts))
	}
	for name, text := range all {
		t.Run(name, func(t *testing.T) {
			s := cvm.ParseStatus(text, true)
			if s.Verdict != verdicts[name] {
				t.Errorf("verdict %s, want %s: %s", s.Verdict, verdicts[name], s.Why)
			}
			golden := filepath.Join("testdata/status", name+".golden")
			got := describe(s)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// An answer that did not come to its end makes no cluster up, wherever it was cut.
func TestStatusOfAnyPrefix(t *testing.T) {
	for name, text := range answers(t) {
		for _, i := range cuts(text) {
			if s := cvm.ParseStatus(text[:i], false); s.Verdict.Configured() {
				t.Fatalf("%s cut at %d: %s", name, i, s.Verdict)
			}
		}
	}
	// Of several members even a cut that looks like an end is seen.
	text := strings.TrimSuffix(answers(t)["up_three"], "\n")
	for _, i := range cuts(text) {
		if s := cvm.ParseStatus(text[:i], true); s.Verdict == cvm.VerdictUp && len(s.CVMs) == 3 {
			t.Fatalf("cut at %d it is up", i)
		}
	}
}

func TestStatusWithCarriageReturns(t *testing.T) {
	for name, text := range answers(t) {
		plain, dos := cvm.ParseStatus(text, true), cvm.ParseStatus(strings.ReplaceAll(text, "\n", "\r\n"), true)
		if describe(plain) != describe(dos) {
			t.Errorf("%s: %s", name, describe(dos))
		}
	}
}

// cuts are the ends of all lines and some places within them.
func cuts(text string) []int {
	var out []int
	for i := range text {
		if text[i] == '\n' || i%499 == 0 {
			out = append(out, i)
		}
	}
	return out
}

func TestStatusKeepsNoSecret(t *testing.T) {
	s := cvm.ParseStatus(answers(t)["secret"], true)
	for _, e := range s.Evidence {
		if strings.Contains(e, "$6$") || strings.Contains(e, "hunter2") {
			t.Errorf("kept %q", e)
		}
	}
	if !slices.ContainsFunc(s.Evidence, func(e string) bool { return strings.Contains(e, "Will seed prism") }) {
		t.Errorf("the line itself is gone: %q", s.Evidence)
	}
}

func FuzzParseStatus(f *testing.F) {
	for _, text := range answers(f) {
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, complete bool) {
		s := cvm.ParseStatus(text, complete)
		if s.Why == "" || len(s.Evidence) > 40 {
			t.Errorf("why %q, %d lines of evidence", s.Why, len(s.Evidence))
		}
		for _, e := range s.Evidence {
			if len([]rune(e)) > 241 || strings.ContainsAny(e, "\n\r\x00\x1b") {
				t.Errorf("evidence %q", e)
			}
		}
		if s.Verdict.Configured() && (!complete || len(s.CVMs) == 0 || strings.Contains(text, "Cluster is currently unconfigured")) {
			t.Errorf("%s by %q", s.Verdict, text)
		}
		if s.Verdict != cvm.VerdictUp {
			return
		}
		seen := map[netip.Addr]bool{}
		for _, c := range s.CVMs {
			if !c.Up || len(c.Down()) > 0 || len(c.Services) < 4 || seen[c.Addr] {
				t.Errorf("up with %+v", c)
			}
			seen[c.Addr] = true
		}
		if !strings.EqualFold(s.State, "start") {
			t.Errorf("up in state %q", s.State)
		}
	})
}
