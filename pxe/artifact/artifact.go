package artifact

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Kind says what an artifact is for. Other kinds than the ones named here are
// kept and served as they are: the catalogue gives them no meaning.
type Kind string

// The kinds that Slipway itself asks for.
const (
	KindKernel     Kind = "kernel"     // the install environment's kernel
	KindInitrd     Kind = "initrd"     // its initial ramdisk
	KindHypervisor Kind = "hypervisor" // image written on the boot disk
	KindCVM        Kind = "cvm"        // image of the controller virtual machine
	KindInstaller  Kind = "installer"  // program that the install environment runs
	KindImage      Kind = "image"      // any other disk image
)

// Artifact is one row of the catalogue.
type Artifact struct {
	Name    string `json:"name"`    // what machines ask for, unique in the catalogue
	Version string `json:"version"` // free text of whoever registered it
	Size    int64  `json:"size"`    // bytes
	SHA256  string `json:"sha256"`  // 64 lower-case hex digits, of the whole file
	Kind    Kind   `json:"kind"`

	// File is where the bytes are: a path relative to the catalogue's directory
	// for a copy, an absolute path for a referenced file.
	File string `json:"file"`
	// Modified is the modification time a referenced file had when its SHA-256
	// was taken; zero for copies, whose name is their content.
	Modified time.Time `json:"modified,omitzero"`
	// Registered is when the row was written (UTC, microseconds).
	Registered time.Time `json:"registered"`

	// Broken is empty for an artifact that can be served, else the reason why
	// it is not: its file is missing or is not the one that was registered.
	Broken string `json:"-"`
}

var (
	// ErrNotFound: no artifact has this name.
	ErrNotFound = errors.New("artifact not found")
	// ErrBroken: the artifact is registered, but its file is missing or changed.
	ErrBroken = errors.New("artifact is broken")
	// ErrName: the name is not of the allowed form.
	ErrName = errors.New("artifact name must be 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or digit")
	// ErrKind: the kind or the version is not of the allowed form.
	ErrKind = errors.New("artifact kind must be 1 to 32 of a-z 0-9 _ - and begin with a letter; its version at most 128 printable characters")
	// ErrChecksum: the bytes are not those that were announced.
	ErrChecksum = errors.New("artifact has another SHA-256 than was announced")
	// ErrTooLarge: there are more bytes than are accepted.
	ErrTooLarge = errors.New("artifact is too large")
	// ErrFile: what was to be registered is not a readable regular file.
	ErrFile = errors.New("artifact file cannot be used")
)

var nameForm = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\z`)

// ValidName reports whether name may be registered. The form has no slash and
// cannot begin with a dot, so a valid name is never a path.
func ValidName(name string) bool { return nameForm.MatchString(name) }

var (
	kindForm    = regexp.MustCompile(`\A[a-z][a-z0-9_-]{0,31}\z`)
	versionForm = regexp.MustCompile(`\A[[:print:]]{0,128}\z`)
	sumForm     = regexp.MustCompile(`\A[0-9a-f]{64}\z`)
)

func checkName(name string) error {
	if !ValidName(name) {
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	return nil
}
