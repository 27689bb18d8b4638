package machine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
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
)

// Fault makes machines misbehave. As JSON, for instance:
//
//	{"match": "node-2", "fault": "script_line_fails", "tool": "ip", "exit": 1}
type Fault struct {
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
	case FaultNeverBoot, FaultWrongHostKey, FaultHangInInstaller:
	default:
		return fmt.Errorf("there is no fault %q", f.Kind)
	}
	return nil
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
	return f
}

// faults are those of one machine.
type faults []Fault

// faultsFor are the faults whose pattern matches a server's name.
func faultsFor(all []Fault, name string) faults {
	var out faults
	for _, f := range all {
		if ok, _ := path.Match(f.Match, name); ok {
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
