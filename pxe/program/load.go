package program

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sources say where programs are read from.
type Sources struct {
	// Package is the directory of Debian's ipxe package; it may be missing.
	Package string
	// Dpkg is the package manager's own directory, for the version; it may be
	// missing.
	Dpkg string
	// Directory is the operator's, "" = none. Its programs replace those of the
	// package with the same name.
	Directory string
}

// Debian is where Debian keeps the programs of its ipxe package and what it
// knows of packages.
func Debian() Sources { return Sources{Package: "/usr/lib/ipxe", Dpkg: "/var/lib/dpkg"} }

const (
	packageName = "ipxe"
	versionFile = "VERSION"
	// maxSize bounds what is kept in memory for a program; iPXE's are below 2 MB.
	maxSize = 16 << 20
)

// suffixes are the boot programs among what iPXE's build makes: not its ISO
// images, not its Linux kernel.
var suffixes = []string{".efi", ".kpxe", ".kkpxe", ".pxe"}

// Load reads all programs. That the package is missing or damaged is a note: it
// may be there for somebody else. That the operator's directory cannot be read,
// or holds what is no boot program, is an error.
func Load(from Sources) (*Set, error) {
	s := NewSet()
	if from.Package != "" {
		version, owned := debianVersion(from.Dpkg)
		err := s.add(from.Package, func(path string) string {
			if owned[path] {
				return version
			}
			return ""
		})
		if errors.Is(err, fs.ErrNotExist) {
			s.notes = append(s.notes, fmt.Sprintf("%s is not there: install Debian's package %s", from.Package, packageName))
		} else if err != nil {
			s.notes = append(s.notes, "the programs of Debian's package cannot all be used: "+err.Error())
		}
	}
	if from.Directory != "" {
		if err := s.add(from.Directory, func(string) string { return "" }); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// add reads the programs of a directory. A file VERSION there says what all of
// them are; else they are what version says of each path.
func (s *Set) add(dir string, version func(path string) string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("directory of boot programs: %w", err)
	}
	stated, err := firstLine(filepath.Join(dir, versionFile))
	if err != nil {
		return fmt.Errorf("version of the boot programs in %s: %w", dir, err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !slices.Contains(suffixes, filepath.Ext(e.Name())) {
			continue
		}
		of := stated
		if of == "" {
			of = version(path)
		}
		p, err := read(path, of)
		if errors.Is(err, fs.ErrNotExist) { // a link: Debian's ipxe.efi is one to /boot
			s.notes = append(s.notes, path+" leads nowhere and is left out")
			continue
		}
		if err != nil {
			return err
		}
		s.programs[p.Name] = p
	}
	return nil
}

func read(path, version string) (Program, error) {
	f, err := os.Open(path)
	if err != nil {
		return Program{}, fmt.Errorf("boot program: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Program{}, fmt.Errorf("boot program: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Program{}, fmt.Errorf("boot program %s is no regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return Program{}, fmt.Errorf("boot program: %w", err)
	}
	if len(content) > maxSize {
		return Program{}, fmt.Errorf("boot program %s is larger than %d MiB", path, maxSize>>20)
	}
	p, err := New(filepath.Base(path), version, info.ModTime(), content)
	if err != nil {
		return Program{}, fmt.Errorf("boot program in %s: %w", filepath.Dir(path), err)
	}
	p.Path = path
	return p, nil
}

// firstLine gives a file's first line, "" if there is no such file.
func firstLine(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	return strings.TrimSpace(line), err
}

// debianVersion reads the installed version of the ipxe package and the paths
// that belong to it. Both are empty where there is no package manager.
func debianVersion(dpkg string) (version string, owned map[string]bool) {
	status, err := os.Open(filepath.Join(dpkg, "status"))
	if err != nil {
		return "", nil
	}
	defer status.Close()
	list, err := os.ReadFile(filepath.Join(dpkg, "info", packageName+".list"))
	if err != nil {
		return "", nil
	}
	owned = map[string]bool{}
	for path := range strings.Lines(string(list)) {
		owned[strings.TrimSpace(path)] = true
	}
	return stanza(status)[packageName], owned
}

// stanza gives the version of every installed package in dpkg's status file
// (deb822: fields in paragraphs).
func stanza(r io.Reader) map[string]string {
	out := map[string]string{}
	var name, version string
	installed := false
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	end := func() {
		if installed && name != "" {
			out[name] = version
		}
		name, version, installed = "", "", false
	}
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			end()
			continue
		}
		field, value, ok := strings.Cut(line, ": ")
		if !ok {
			continue
		}
		switch field {
		case "Package":
			name = value
		case "Version":
			version = value
		case "Status":
			installed = strings.HasSuffix(value, " installed")
		}
	}
	end()
	return out
}
