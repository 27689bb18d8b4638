package machine

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// FaultKind is what is wrong with a machine.
type FaultKind string

// The faults.
const (
	// FaultNeverBoot: the machine has power and does nothing, not even fetch its
	// user data.
	FaultNeverBoot FaultKind = "never_boot"
	// FaultWrongHostKey: the installed system's SSH server shows another key
	// than the one on its disk.
	FaultWrongHostKey FaultKind = "wrong_host_key"
	// FaultScriptLine: a tool of the install environment fails with Exit, or is
	// not there at all (Missing), so that the line of a script that uses it fails.
	FaultScriptLine FaultKind = "script_line_fails"
	// FaultHangInInstaller: writing to a disk never returns.
	FaultHangInInstaller FaultKind = "hang_in_installer"
	// FaultSlow: everything takes Factor times as long.
	FaultSlow FaultKind = "slow"
	// FaultBootsTwice: the machine restarts by itself when the installer first
	// writes on a disk, Times times in its life.
	FaultBootsTwice FaultKind = "boots_twice"
	// FaultReportsTwice: every report is posted twice, as by a network that
	// loses answers.
	FaultReportsTwice FaultKind = "reports_twice"
	// FaultClockSkew: the install environment's clock is Skew seconds ahead, or
	// behind if negative.
	FaultClockSkew FaultKind = "clock_skew"
	// FaultDiskFails: every write on the disks that Disk names ends with an
	// input/output error.
	FaultDiskFails FaultKind = "disk_fails"
	// FaultDownloadCut: the connection of an image's download breaks in the
	// middle, Times times a boot.
	FaultDownloadCut FaultKind = "download_cut"
	// FaultWrongBytes: a downloaded image has other bytes, Times times a boot.
	FaultWrongBytes FaultKind = "wrong_bytes"
	// FaultRandom: with the probability Rate, the machine has one of Kinds, as
	// Seed and its name decide.
	FaultRandom FaultKind = "random"
)

// FaultCVM is what the kinds of faults of a machine's controller VM begin with:
// "cvm_down" is cvmsim.FaultDown. They strike at once.
const FaultCVM = "cvm_"

// randomKinds are those of a FaultRandom that names none: with all of them an
// installation succeeds in the end.
var randomKinds = []FaultKind{FaultBootsTwice, FaultReportsTwice, FaultClockSkew, FaultDownloadCut, FaultWrongBytes}

// Fault makes machines misbehave. As JSON, for instance:
//
//	{"match": "node-2", "fault": "script_line_fails", "tool": "ip", "exit": 1}
type Fault struct {
	// ID is given by AddFault.
	ID string `json:"id,omitempty"`
	// Match is a pattern of server names as in path.Match ("node-*").
	Match string    `json:"match"`
	Kind  FaultKind `json:"fault"`

	// Tool is the command of FaultScriptLine; "ip" if empty.
	Tool string `json:"tool,omitempty"`
	// Missing takes the tool away instead of letting it fail.
	Missing bool `json:"missing,omitempty"`
	// Exit is the failing tool's status, 1 to 255; 1 if 0.
	Exit int `json:"exit,omitempty"`
	// Args is a shell pattern of the arguments that fail ("link set *"); others
	// work. All fail if empty.
	Args string `json:"args,omitempty"`
	// Factor of FaultSlow; 10 if 0.
	Factor float64 `json:"factor,omitempty"`
	// Times of FaultBootsTwice, FaultDownloadCut and FaultWrongBytes; 1 if 0. Of a
	// controller VM's fault, how often it strikes; 0 means always.
	Times int `json:"times,omitempty"`
	// Skew of FaultClockSkew in seconds; an hour if 0.
	Skew int `json:"skew_seconds,omitempty"`
	// Disk of FaultDiskFails: "boot" or "data"; all if empty.
	Disk string `json:"disk,omitempty"`
	// Artifact limits FaultDownloadCut and FaultWrongBytes to one.
	Artifact string `json:"artifact,omitempty"`
	// Steps of FaultCVM+"slow", beats that every stage takes more; 10 if 0.
	Steps int `json:"steps,omitempty"`
	// Stage of FaultCVM+"die", one of cvmsim.Stages; any if empty.
	Stage string `json:"stage,omitempty"`
	// Text of FaultCVM+"answer".
	Text string `json:"text,omitempty"`
	// Bytes of FaultCVM+"cut" and FaultCVM+"cut_exit".
	Bytes int `json:"bytes,omitempty"`
	// Seed, Rate (0 to 1; 0.2 if 0) and Kinds of FaultRandom.
	Seed  uint64      `json:"seed,omitempty"`
	Rate  float64     `json:"rate,omitempty"`
	Kinds []FaultKind `json:"kinds,omitempty"`
}

// simple are the kinds that have nothing to check beside their numbers.
var simple = []FaultKind{
	FaultNeverBoot, FaultWrongHostKey, FaultHangInInstaller, FaultBootsTwice, FaultReportsTwice, FaultClockSkew, FaultDownloadCut, FaultWrongBytes,
}

var (
	toolForm = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z`)
	// What may stand in a case pattern of a generated script without quotes.
	argsForm = regexp.MustCompile(`\A[A-Za-z0-9 ._=/:*?,@%+-]{0,256}\z`)
)

// ParseFaults reads a JSON list of faults, or one fault, and checks them.
func ParseFaults(data []byte) ([]Fault, error) {
	data = bytes.TrimSpace(data)
	if len(data) > 0 && data[0] == '{' {
		data = append(append([]byte{'['}, data...), ']')
	}
	var faults []Fault
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&faults); err != nil {
		return nil, fmt.Errorf("machine faults: %w", err)
	}
	if dec.More() {
		return nil, errors.New("machine faults: something follows the list")
	}
	for i, f := range faults {
		if err := f.Check(); err != nil {
			return nil, fmt.Errorf("machine faults: number %d: %w", i+1, err)
		}
	}
	return faults, nil
}

// Check reports what is wrong with a fault's own fields.
func (f Fault) Check() error {
	if f.Match == "" {
		return errors.New(`match is required ("*" is every machine)`)
	}
	if _, err := path.Match(f.Match, ""); err != nil {
		return fmt.Errorf("match %q: %w", f.Match, err)
	}
	switch f.Kind {
	case FaultScriptLine:
		if f.Tool != "" && !toolForm.MatchString(f.Tool) {
			return fmt.Errorf("tool %q is not a command's name", f.Tool)
		}
		if f.Exit < 0 || f.Exit > 255 {
			return fmt.Errorf("exit %d is not 1 to 255", f.Exit)
		}
		if !argsForm.MatchString(f.Args) {
			return fmt.Errorf("args %q has characters that a pattern may not have", f.Args)
		}
	case FaultSlow:
		if f.Factor != 0 && (f.Factor < 1 || f.Factor > 1000) {
			return fmt.Errorf("factor %v is not 1 to 1000", f.Factor)
		}
	case FaultDiskFails:
		if f.Disk != "" && f.Disk != "boot" && f.Disk != "data" {
			return fmt.Errorf("disk %q is neither boot nor data", f.Disk)
		}
	case FaultRandom:
		return f.checkRandom()
	default:
		if strings.HasPrefix(string(f.Kind), FaultCVM) {
			return f.checkCVM()
		}
		if !slices.Contains(simple, f.Kind) {
			return fmt.Errorf("there is no fault %q", f.Kind)
		}
	}
	return f.checkNumbers()
}

func (f Fault) checkNumbers() error {
	if f.Times < 0 {
		return fmt.Errorf("times %d is negative", f.Times)
	}
	if f.Artifact != "" && !toolForm.MatchString(f.Artifact) {
		return fmt.Errorf("artifact %q is not a file's name", f.Artifact)
	}
	return nil
}

func (f Fault) checkRandom() error {
	if f.Rate < 0 || f.Rate > 1 {
		return fmt.Errorf("rate %v is not 0 to 1", f.Rate)
	}
	for _, kind := range f.Kinds {
		if kind == FaultRandom {
			return errors.New("a random fault cannot choose a random fault")
		}
		if strings.HasPrefix(string(kind), FaultCVM) {
			return errors.New("a random fault cannot choose a controller VM's")
		}
		one := f
		one.Kind = kind
		if err := one.Check(); err != nil {
			return err
		}
	}
	return nil
}

// choose gives the fault that a random one is for a machine; none most times.
func (f Fault) choose(name string) (Fault, bool) {
	rate, kinds := f.Rate, f.Kinds
	if rate == 0 {
		rate = 0.2
	}
	if len(kinds) == 0 {
		kinds = randomKinds
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s", f.Seed, name))
	if float64(binary.BigEndian.Uint64(sum[:])>>11)/(1<<53) >= rate {
		return f, false
	}
	f.Kind = kinds[int(sum[8])%len(kinds)]
	return f, true
}

// withDefaults fills what may be left out.
func (f Fault) withDefaults() Fault {
	if f.Tool == "" {
		f.Tool = "ip"
	}
	if f.Exit == 0 {
		f.Exit = 1
	}
	if f.Factor == 0 {
		f.Factor = 10
	}
	if f.Times == 0 {
		f.Times = 1
	}
	if f.Skew == 0 {
		f.Skew = 3600
	}
	return f
}

// faults are those of one machine.
type faults []Fault

// faultsFor are the faults whose pattern matches a server's name.
func faultsFor(all []Fault, name string) faults {
	var out faults
	for _, f := range all {
		ok, _ := path.Match(f.Match, name)
		if ok && f.Kind == FaultRandom {
			f, ok = f.choose(name)
		}
		if ok {
			out = append(out, f.withDefaults())
		}
	}
	return out
}

func (fs faults) get(kind FaultKind) (Fault, bool) {
	for _, f := range fs {
		if f.Kind == kind {
			return f, true
		}
	}
	return Fault{}, false
}

func (fs faults) has(kind FaultKind) bool {
	_, ok := fs.get(kind)
	return ok
}
