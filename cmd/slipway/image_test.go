package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/pxe/program"
)

// tree is the root of the repository.
const tree = "../.."

// instructions are those of the Dockerfile, continued lines in one.
func instructions(t *testing.T) (out []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(tree, "Dockerfile"))
	require.NoError(t, err)
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(raw), "")
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// What the image is made of is in the tree, and not kept from the build.
func TestTheImageIsMadeOfWhatIsThere(t *testing.T) {
	ignored, err := os.ReadFile(filepath.Join(tree, ".dockerignore"))
	require.NoError(t, err)
	from, copies, stages := map[string]string{}, 0, map[string]bool{}
	for _, line := range instructions(t) {
		f := strings.Fields(line)
		switch f[0] {
		case "FROM":
			image, version, _ := strings.Cut(f[1], ":")
			from[image] = version
			if len(f) == 4 {
				stages[f[3]] = true
			}
		case "COPY":
			args := slices.DeleteFunc(f[1:], func(a string) bool { return strings.HasPrefix(a, "--chown=") })
			if stage, ok := strings.CutPrefix(args[0], "--from="); ok {
				require.True(t, stages[stage], line)
				continue
			}
			for _, source := range args[:len(args)-1] {
				_, err := os.Stat(filepath.Join(tree, source))
				require.NoError(t, err, line)
				require.NotContains(t, strings.Split(string(ignored), "\n"), strings.TrimSuffix(source, "/"), line)
				copies++
			}
		}
	}
	require.GreaterOrEqual(t, copies, 7)
	module, err := os.ReadFile(filepath.Join(tree, "go.mod"))
	require.NoError(t, err)
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)[1]
	require.True(t, strings.HasPrefix(from["golang"], string(wanted)), "go.mod wants Go %s, the image has %s", wanted, from["golang"])
	require.True(t, strings.HasPrefix(from["node"], "20"), from["node"])
}

// What the Dockerfile says of the program is so: the command, the variable, the
// name of the version, the port, and a boot program for each kind of machine that
// Debian has one for.
func TestTheImageRunsThisProgram(t *testing.T) {
	all := strings.Join(instructions(t), "\n")
	require.Contains(t, all, `CMD ["serve"]`)
	serve, err := os.ReadFile("serve.go")
	require.NoError(t, err)
	require.Contains(t, all, "EXPOSE 8080")
	require.Contains(t, string(serve), `default:":8080"`)
	settings, err := os.ReadFile("settings.go")
	require.NoError(t, err)
	for _, set := range regexp.MustCompile(`(?m)^ENV (\w+)=`).FindAllStringSubmatch(all, -1) {
		require.Contains(t, string(settings), `env:"`+set[1]+`"`)
	}
	require.Contains(t, all, "-X main.version=")
	require.NotEmpty(t, version)
	require.Regexp(t, `(?m)^USER nonroot$`, all)
	require.Contains(t, all, "/out/ipxe "+program.Debian().Package)
	for _, name := range []string{"undionly.kpxe", "snponly.efi", "ipxe.efi"} {
		require.Contains(t, all, "/usr/lib/ipxe/"+name)
	}
}
