package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/tools/present"
)

// module writes a module with the given files and makes it the working
// directory.
func module(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.test/slipway\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	t.Chdir(dir)
}

func TestGoTestCountsLeavesAndShowsFailures(t *testing.T) {
	module(t, map[string]string{
		"good/good_test.go": `package good
import "testing"
func TestOne(t *testing.T) { t.Log("not shown") }
func TestMany(t *testing.T) {
	t.Run("a", func(t *testing.T) {})
	t.Run("b/c", func(t *testing.T) { t.Skip("no moon tonight") })
}
func TestParentSkips(t *testing.T) {
	t.Run("a", func(t *testing.T) {})
	t.Skip("the rest needs a moon")
}
`,
		"bad/bad_test.go": `package bad
import "testing"
func TestFine(t *testing.T) { t.Log("not shown either") }
func TestLeafFails(t *testing.T) {
	t.Run("one", func(t *testing.T) {})
	t.Run("two", func(t *testing.T) { t.Log("long before"); t.Error("\n\tError Trace:\there\n\tError:\ttwo is wrong") })
}
func TestParentFails(t *testing.T) {
	t.Run("one", func(t *testing.T) {})
	t.Error("the sum is wrong")
}
`,
		"none/none.go": "package none\n",
	})
	var out strings.Builder
	r := Result{Name: "go"}
	require.NoError(t, goTest(&r, &out, []string{"./..."}))
	assert.Equal(t, "6 passed, 2 failed, 2 skipped", counts(r.Passed, r.Failed, r.Skipped), out.String())
	assert.ElementsMatch(t, []string{"bad.TestLeafFails/two", "bad.TestParentFails"}, r.Failures)
	assert.Regexp(t, `^\s*Error Trace:\s+here\n\s*Error:\s+two is wrong\n`, r.Causes["bad.TestLeafFails/two"], "from where it tells of the failure on")
	assert.Contains(t, r.Causes["bad.TestParentFails"], "the sum is wrong")
	require.Len(t, r.Skips, 2)
	assert.Contains(t, strings.Join(r.Skips, "\n"), "good.TestMany/b/c: good_test.go:6: no moon tonight")
	assert.Contains(t, strings.Join(r.Skips, "\n"), "good.TestParentSkips: good_test.go:10: the rest needs a moon")
	for _, want := range []string{"two is wrong", "the sum is wrong", "ok    good", "FAIL  bad"} {
		assert.Contains(t, out.String(), want)
	}
	for _, not := range []string{"not shown", "none"} {
		assert.NotContains(t, out.String(), not)
	}
}

func TestGoTestNoticesWhatIsNoTest(t *testing.T) {
	for name, c := range map[string]struct{ source, says, failure string }{
		"does not build": {`package x
import "testing"
func TestA(t *testing.T) { undefined() }
`, "undefined: undefined", "x: did not build"},
		"panics": {`package x
import "testing"
func TestA(t *testing.T) { panic("at the disco") }
`, "at the disco", "x.TestA"},
		"exits": {`package x
import ("os"; "testing")
func TestA(t *testing.T) { t.Log("halfway"); os.Exit(3) }
`, "halfway", "x: ended during TestA"},
		"TestMain fails": {`package x
import ("fmt"; "os"; "testing")
func TestMain(m *testing.M) { m.Run(); fmt.Println("left a mess"); os.Exit(1) }
func TestA(t *testing.T) {}
`, "left a mess", "x: failed outside of a test"},
		"has no test":     {"package x\n", "", "go test ./x: there was no test"},
		"no such package": {"package y\n", "", "go test ./x ./z: exit status 1"},
	} {
		t.Run(name, func(t *testing.T) {
			module(t, map[string]string{"x/x_test.go": c.source})
			args := []string{"./x"}
			if name == "no such package" {
				args = append(args, "./z")
			}
			var out strings.Builder
			r := Result{Name: "go"}
			require.NoError(t, goTest(&r, &out, args))
			assert.GreaterOrEqual(t, r.Failed, 1, out.String())
			if name != "no such package" {
				assert.Contains(t, r.Failures, c.failure, out.String())
			}
			assert.Contains(t, out.String(), c.says)
		})
	}
}

func TestVitestReport(t *testing.T) {
	var r Result
	require.NoError(t, r.addVitest([]byte(`{"testResults":[
		{"name":"/a/one.test.ts","status":"failed","message":"","assertionResults":[
			{"fullName":"adds","status":"passed"},{"fullName":"divides","status":"failed"},
			{"fullName":"later","status":"todo"},{"fullName":"not here","status":"skipped"}]},
		{"name":"/a/two.test.ts","status":"failed","message":"cannot load","assertionResults":[]}]}`)))
	assert.Equal(t, Result{Passed: 1, Failed: 2, Skipped: 2,
		Failures: []string{"one.test.ts: divides", "two.test.ts: cannot load"},
		Skips:    []string{"one.test.ts: later: todo", "one.test.ts: not here: skipped"}}, r)
	require.Error(t, r.addVitest([]byte("not JSON")))
}

func TestNodesOwnRunner(t *testing.T) {
	present.Command(t, "node", "nodejs")
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte("import { before, describe, it, test } from 'node:test';\n"+text), 0o600))
		return path
	}
	all := file("all.test.mjs", `
describe('house', () => {
  it('stands', () => {});
  it('leans', () => { throw new Error('to the left'); });
  it('is not there', { skip: 'no house today' }, () => {});
});
describe('hook', () => { before(() => { throw new Error('no ground'); }); it('is never asked', () => {}); });
test('parent', async (t) => { await t.test('child', () => {}); });
test('last child fails', async (t) => {
  await t.test('good', () => {});
  throw new Error('after its children');
});
test('alone', () => {});
`)
	broken := file("broken.test.mjs", "throw new Error('cannot be loaded');\n")
	var out strings.Builder
	r := Result{Name: "node"}
	require.NoError(t, nodeTest(&r, &out, []string{all, broken}))
	assert.Equal(t, 4, r.Passed, out.String()) // stands, child, good, alone
	assert.Equal(t, []string{"is not there: skip no house today"}, r.Skips)
	require.Len(t, r.Failures, 4)
	assert.Equal(t, []string{"leans", "is never asked", "last child fails"}, r.Failures[:3])
	assert.Contains(t, r.Failures[3], "broken.test.mjs")
	assert.Contains(t, out.String(), "to the left")
	assert.Contains(t, r.Causes["leans"], "error: 'to the left'")
	assert.Contains(t, r.Causes["last child fails"], "after its children")
	assert.NotContains(t, r.Causes["leans"], "house today")
	dirs := t.TempDir()
	require.NoError(t, r.save(dirs))
	out.Reset()
	_, err := total(dirs, &out)
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^FAILED   leans\n( +\| .*\n)* +\| .*to the left`, out.String(), "what it said stands at the end once more")

	r = Result{Name: "node"}
	require.NoError(t, nodeTest(&r, &out, []string{filepath.Join(dir, "absent.test.mjs")}))
	assert.Equal(t, 1, r.Failed)
}

func TestStepsAddUp(t *testing.T) {
	dir := t.TempDir()
	var out strings.Builder
	step := func(args ...string) {
		t.Helper()
		failed, err := run(args, dir, &out)
		require.NoError(t, err)
		require.False(t, failed, "only the total says that something failed")
	}
	step("check", "well", "sh", "-c", "echo quiet")
	failed, err := run([]string{"total"}, dir, &out)
	require.NoError(t, err)
	assert.False(t, failed)
	assert.True(t, strings.HasSuffix(out.String(), "\n1 passed, 0 failed, 0 skipped\n"), out.String())
	assert.NotContains(t, out.String(), "quiet")

	step("check", "ill", "sh", "-c", "echo loud >&2; exit 3")
	step("check", "absent", "no-such-command-at-all")
	failed, err = run([]string{"total"}, dir, &out)
	require.NoError(t, err)
	assert.True(t, failed)
	assert.Contains(t, out.String(), "loud")
	assert.Contains(t, out.String(), "FAILED   ill")
	assert.True(t, strings.HasSuffix(out.String(), "\n1 passed, 2 failed, 0 skipped\n"), out.String())
	summary, err := os.ReadFile(filepath.Join(dir, "summary"))
	require.NoError(t, err)
	assert.Equal(t, "1 passed, 2 failed, 0 skipped\n", string(summary))
}

func TestNothingTestedIsAFailure(t *testing.T) {
	var out strings.Builder
	failed, err := run([]string{"total"}, t.TempDir(), &out)
	require.NoError(t, err)
	assert.True(t, failed)
	assert.True(t, strings.HasSuffix(out.String(), "\n0 passed, 1 failed, 0 skipped\n"), out.String())
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"total", "more"}, {"check", "name"}, {"vitest", "name"}, {"what", "name", "x"}} {
		_, err := run(args, t.TempDir(), &strings.Builder{})
		require.ErrorIs(t, err, errUsage, args)
	}
	_, err := run([]string{"total"}, "", &strings.Builder{})
	require.Error(t, err)
}

// failsFirst is a package with a test that does something the first time only.
const failsFirst = `package x
import ("os"; "testing")
func TestFine(t *testing.T) {}
func TestParent(t *testing.T) {
	t.Run("fine", func(t *testing.T) {})
	t.Run("first (of 2)", func(t *testing.T) {
		if _, err := os.Stat("seen"); err != nil {
			os.WriteFile("seen", nil, 0o600)
			%s
		}
	})
}
func TestAfter(t *testing.T) {}
`

func TestAgainRunsWhatFailedOnceMore(t *testing.T) {
	for name, c := range map[string]struct {
		does  string // the first time
		first string // what the step counts then
		total string
		said  string
	}{
		"a test":                {`t.Error("\n\tError Trace:\there\n\tError:\tonce")`, "3 passed, 1 failed, 0 skipped", "4 passed, 0 failed, 0 skipped", "UNSTEADY x.TestParent/first_(of_2)"},
		"a panic takes others":  {`panic("once")`, "2 passed, 1 failed, 0 skipped", "4 passed, 0 failed, 0 skipped", "UNSTEADY x.TestParent"},
		"an exit takes others":  {`os.Exit(3)`, "2 passed, 1 failed, 0 skipped", "4 passed, 0 failed, 0 skipped", "UNSTEADY x: ended during TestParent"},
		"a data race stays one": {`t.Error("WARNING: DATA RACE")`, "3 passed, 1 failed, 0 skipped", "3 passed, 1 failed, 0 skipped", "FAILED   x.TestParent/first_(of_2)"},
		"it fails again":        {`os.Remove("seen"); t.Error("always")`, "3 passed, 1 failed, 0 skipped", "3 passed, 1 failed, 0 skipped", "FAILED   x.TestParent/first_(of_2)"},
	} {
		t.Run(name, func(t *testing.T) {
			module(t, map[string]string{"x/x_test.go": fmt.Sprintf(failsFirst, c.does)})
			results := t.TempDir()
			var out strings.Builder
			_, err := run([]string{"go", "step", "-count=1", "./x"}, results, &out)
			require.NoError(t, err, out.String())
			all, err := load(results)
			require.NoError(t, err)
			require.Len(t, all, 1)
			require.Equal(t, c.first, counts(all[0].Passed, all[0].Failed, all[0].Skipped), out.String())
			_, err = run([]string{"again"}, results, &out)
			require.NoError(t, err, out.String())
			out.Reset()
			failed, err := run([]string{"total"}, results, &out)
			require.NoError(t, err)
			assert.Equal(t, strings.HasPrefix(c.said, "FAILED"), failed)
			assert.Contains(t, out.String(), c.said)
			assert.True(t, strings.HasSuffix(out.String(), "\n"+c.total+"\n"), out.String())
		})
	}
}

func TestAgainRunsANodeTestOnceMore(t *testing.T) {
	present.Command(t, "node", "nodejs")
	dir, results := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "x.test.mjs")
	require.NoError(t, os.WriteFile(file, []byte(`
import test from 'node:test'
import fs from 'node:fs'
const seen = new URL('seen', import.meta.url)
test('fine', () => {})
test('first', () => { if (!fs.existsSync(seen)) { fs.writeFileSync(seen, ''); throw new Error('once') } })
`), 0o600))
	launcher := filepath.Join(dir, "launcher")
	require.NoError(t, os.WriteFile(launcher, []byte("#!/bin/sh\necho started \"$1\"\nexec \"$@\"\n"), 0o700))
	t.Setenv(launcherEnv, launcher)
	var out strings.Builder
	_, err := run([]string{"node", "step", file}, results, &out)
	require.NoError(t, err)
	assert.NotContains(t, out.String(), "started node", "the step is in its place already")
	_, err = run([]string{"again"}, results, &out)
	require.NoError(t, err)
	assert.Contains(t, out.String(), "started node", "and so is what runs once more")
	out.Reset()
	failed, err := run([]string{"total"}, results, &out)
	require.NoError(t, err)
	assert.False(t, failed, out.String())
	assert.Contains(t, out.String(), "UNSTEADY first\n")
	assert.Contains(t, out.String(), "once")
	assert.True(t, strings.HasSuffix(out.String(), "\n2 passed, 0 failed, 0 skipped\n"), out.String())
}

func TestManyFailuresAreNoAccident(t *testing.T) {
	results := t.TempDir()
	r := Result{Name: "step", Passed: 1}
	for i := range mostAgain + 1 {
		name := fmt.Sprintf("x.Test%d", i)
		r.fail(name)
		r.Reruns = append(r.Reruns, Rerun{Names: []string{name}, Package: "none"})
	}
	require.NoError(t, r.save(results))
	var out strings.Builder
	_, err := run([]string{"again"}, results, &out)
	require.NoError(t, err)
	assert.Contains(t, out.String(), "7 tests failed")
	failed, err := run([]string{"total"}, results, &out)
	require.NoError(t, err)
	assert.True(t, failed)
}
