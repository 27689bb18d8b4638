package pxe

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/slipwayhq/slipway/pxe/artifact"
)

//go:embed templates/*.ipxe
var templateFiles embed.FS

var templates = template.Must(template.ParseFS(templateFiles, "templates/*.ipxe"))

// Screen is what every boot script says to a person at the console.
type Screen struct {
	Who   string   // which machine, as far as known
	Lines []string // what happens and why
}

// Install is the content of the script that loads the install environment.
type Install struct {
	Screen
	Base           string // URL without a slash at its end
	IP             string // management address
	Token          string // report token
	Kernel, Initrd artifact.Artifact
	KernelArgs     []string // what follows on the kernel's command line
}

// Script renders the install script. Everything that becomes a word of a
// command must be free of space and of iPXE's own signs; an error says which is
// not.
func (s Install) Script() (string, error) {
	words := append([]string{s.Base, s.IP, s.Token, s.Kernel.Name, s.Initrd.Name}, s.KernelArgs...)
	for _, w := range words {
		if !isWord(w) {
			return "", fmt.Errorf("%q cannot be a word of a boot script", w)
		}
	}
	s.Screen = s.Screen.clean()
	return render("install.ipxe", s)
}

// WaitScript says why and asks again at the URL.
func WaitScript(s Screen, again string) (string, error) {
	if !isWord(again) {
		return "", fmt.Errorf("%q cannot be a word of a boot script", again)
	}
	return render("wait.ipxe", struct {
		Screen
		Again string
	}{s.clean(), again})
}

// DiskScript says why and boots the machine's disk.
func DiskScript(s Screen) (string, error) { return render("disk.ipxe", s.clean()) }

// StopScript says why and stops; it has no command that loads anything.
func StopScript(s Screen) (string, error) { return render("stop.ipxe", s.clean()) }

func render(name string, data any) (string, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return "", fmt.Errorf("render %s: %w", name, err)
	}
	return b.String(), nil
}

// clean makes the texts safe for iPXE's echo.
func (s Screen) clean() Screen {
	out := Screen{Who: echoText(s.Who), Lines: make([]string, 0, len(s.Lines))}
	for _, l := range s.Lines {
		if t := echoText(l); t != "" {
			out.Lines = append(out.Lines, t)
		}
	}
	return out
}

// echoMax keeps a line of the console readable.
const echoMax = 240

// echoText makes a text that iPXE prints as it is: one line of printable
// ASCII, without what its shell acts on. That shell knows no quotes; it expands
// ${…}, splits commands at the words ; && and ||, and takes a word that begins
// with # for a comment (iPXE src/core/exec.c).
func echoText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '$', r == ';', r == '&', r == '|', r == '#', r == '\\', r == '`':
			return '_'
		case r == '"':
			return '\''
		case r < ' ', r == 0x7f:
			return ' '
		case r > 0x7e:
			return '?'
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > echoMax {
		s = s[:echoMax] + "..."
	}
	return s
}

// isWord reports whether s is one word to iPXE and to a kernel command line,
// free of expansions.
func isWord(s string) bool {
	if s == "" || s[0] == '#' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~:/?=&%+,@[]", c) >= 0:
		default:
			return false
		}
	}
	return s != "&&"
}
