package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

// TestDocumentedCommands holds the README and the pages of docs to the commands
// as they are: each line that begins with slipway is split by a real shell and
// must be one that the parser takes, with what stands in brackets and without.
func TestDocumentedCommands(t *testing.T) {
	for _, name := range []string{"SLIPWAY_TOKEN", "SLIPWAY_SERVER", "SLIPWAY_DATA_DIR"} {
		t.Setenv(name, "set")
	}
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	seen := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, line := range documentedCommands(string(text)) {
			seen++
			t.Run(filepath.Base(page)+": "+line, func(t *testing.T) {
				forms := []string{line}
				if bracketed.MatchString(line) {
					forms = []string{bracketed.ReplaceAllString(line, ""), strings.NewReplacer("[", "", "]", "").Replace(line)}
				}
				for _, form := range forms {
					var c cli
					parser, err := kong.New(&c, kong.Name("slipway"), kong.Exit(func(int) {}), kong.NamedMapper("existingfile", anyFile))
					require.NoError(t, err)
					_, err = parser.Parse(words(t, form))
					require.NoError(t, err, form)
				}
			})
		}
	}
	require.Greater(t, seen, 80, "the pages have commands")
}

// anyFile takes a file that need not exist.
var anyFile = kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
	var path string
	if err := ctx.Scan.PopValueInto("file", &path); err != nil {
		return err
	}
	target.SetString(path)
	return nil
})

// command is a line that runs slipway, in a block or on its own.
var command = regexp.MustCompile(`(?m)^ *(?:bin/)?slipway ((?:[^\n]*\\\n)*[^\n]*)$`)

// documentedCommands finds the arguments of each command in a page.
func documentedCommands(page string) []string {
	var out []string
	for i, block := range strings.Split(page, "```") {
		for _, m := range command.FindAllStringSubmatch(block, -1) {
			// Outside of fences only what is indented is a command.
			if i%2 == 1 || strings.HasPrefix(m[0], "    ") {
				out = append(out, m[1])
			}
		}
	}
	return out
}

// bracketed is what may be left out.
var bracketed = regexp.MustCompile(` \[[^\]]*\]`)

// words are a command's arguments as a shell splits them; it runs in an empty
// directory, and files that it names need not exist.
func words(t *testing.T, line string) []string {
	t.Helper()
	sh := exec.Command("sh", "-c", `slipway() { for word; do printf '%s\0' "$word"; done; }; slipway `+line)
	sh.Dir = t.TempDir()
	out, err := sh.Output()
	require.NoError(t, err, line)
	var args []string
	for word := range bytes.SplitSeq(bytes.TrimSuffix(out, []byte{0}), []byte{0}) {
		args = append(args, string(word))
	}
	return args
}

// TestDocumentedConfiguration: what the page of the deployment script shows as a
// file of configurations is one.
func TestDocumentedConfiguration(t *testing.T) {
	page, err := os.ReadFile("../../docs/script.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(page), "```json\n")
	require.True(t, found)
	file, _, _ := strings.Cut(after, "```")
	cards, bad := hostconfig.Validate([]byte(file), hostconfig.Inventory{})
	require.Empty(t, bad)
	require.Len(t, cards, 1)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s#:]*)(?:#([^)\s]+))?\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestDocumentedLinks follows the links between the pages, to their headings.
func TestDocumentedLinks(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	seen := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			seen++
			target := page
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(page), m[1])
				require.FileExists(t, existing(target), "%s links to %s", page, m[1])
			}
			if m[2] == "" {
				continue
			}
			there, err := os.ReadFile(target)
			require.NoError(t, err)
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(string(there), -1) {
				anchors = append(anchors, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
			}
			require.Contains(t, anchors, m[2], "%s links to %s", page, m[0])
		}
	}
	require.Greater(t, seen, 40, "the pages link to each other")
}

// existing is the file that stands for a path: a directory's is its doc.go, or
// any file of it.
func existing(path string) string {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return path
	}
	files, _ := filepath.Glob(filepath.Join(path, "*.*"))
	if len(files) == 0 {
		return path
	}
	return files[0]
}
