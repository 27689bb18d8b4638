package bmcsim

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// The states of power (Redfish Resource.PowerState).
const (
	On          = "On"
	Off         = "Off"
	PoweringOn  = "PoweringOn"
	PoweringOff = "PoweringOff"
)

// Fault is a way in which a controller misbehaves.
type Fault string

// The faults.
const (
	Unavailable  Fault = "unavailable"   // 503 to everything
	Throttled    Fault = "throttled"     // 429 to everything
	Forbidden    Fault = "forbidden"     // 403 to everything behind the login
	NoSessions   Fault = "no_sessions"   // 503 to a login: all sessions are taken
	DeafOverride Fault = "deaf_override" // a boot override is answered with OK and ignored
	DeafReset    Fault = "deaf_reset"    // a reset likewise
	Silent       Fault = "silent"        // requests are taken and never answered
	Hidden       Fault = "hidden"        // systems list no network interfaces
	Elsewhere    Fault = "elsewhere"     // links lead to another host
)

// Boot is one start of a machine.
type Boot struct {
	Target string // of the override that it followed; empty: the usual order
	Mode   string
	At     time.Time
}

// Options say how a controller is.
type Options struct {
	Username, Password string
	// Switching is how long a change of power takes.
	Switching time.Duration
	Now       func() time.Time // nil = the system's clock
	// Sessions is how many there may be at once; 0 = any number.
	Sessions int
	// Resets are the types that are offered; nil = On, ForceOff, ForceRestart.
	Resets []string
}

// Simulator is a controller. It may be used concurrently.
type Simulator struct {
	opts Options

	mu       sync.Mutex
	systems  map[string]*system
	removed  map[string]*system // what became of them can still be read
	sessions map[string]string  // token by id
	logins   int
	faults   map[Fault]bool
	done     chan struct{} // closed by Close
}

type system struct {
	id, name string
	serial   string
	macs     []string
	power    string
	next     string    // what it is switching to; empty: nothing
	at       time.Time // when it is there
	enabled  string    // BootSourceOverrideEnabled
	target   string
	mode     string
	boots    []Boot
	resets   []string
}

// New makes a controller without machines.
func New(o Options) *Simulator {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Resets == nil {
		o.Resets = []string{"On", "ForceOff", "ForceRestart"}
	}
	return &Simulator{opts: o, systems: map[string]*system{}, removed: map[string]*system{}, sessions: map[string]string{}, faults: map[Fault]bool{}, done: make(chan struct{})}
}

// Close ends the requests that a silent controller holds.
func (s *Simulator) Close() { close(s.done) }

// Add puts a machine in, switched off.
func (s *Simulator) Add(id, name string, macs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.systems[id] = &system{id: id, name: name, macs: macs, power: Off, enabled: "Disabled", target: "None", mode: "UEFI"}
}

// SetSerial gives a machine its serial number.
func (s *Simulator) SetSerial(id, serial string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.systems[id].serial = serial
}

// Remove takes a machine away.
func (s *Simulator) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.systems[id]; m != nil {
		s.removed[id] = m
		delete(s.systems, id)
	}
}

// SetFaults makes the controller misbehave in these ways, and in no other.
func (s *Simulator) SetFaults(all ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = map[Fault]bool{}
	for _, f := range all {
		s.faults[f] = true
	}
}

// Press is a person at the power button: on at once, or off at once.
func (s *Simulator) Press(id, power string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.systems[id]
	if m == nil {
		return
	}
	m.next = ""
	if power == On && m.power != On {
		m.start(s.opts.Now())
	}
	m.power = power
}

// Power is the state of a machine's power; empty if there is no such machine.
func (s *Simulator) Power(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.systems[id]; m != nil {
		m.pass(s.opts.Now())
		return m.power
	}
	return ""
}

// Boots are the starts of a machine, oldest first, also of one that was removed.
func (s *Simulator) Boots(id string) []Boot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.systems[id]; m != nil {
		m.pass(s.opts.Now())
		return slices.Clone(m.boots)
	}
	if m := s.removed[id]; m != nil {
		return slices.Clone(m.boots)
	}
	return nil
}

// Resets are the reset types that took effect on a machine, in order.
func (s *Simulator) Resets(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.systems[id]; m != nil {
		return slices.Clone(m.resets)
	}
	return nil
}

// Systems are the ids of the machines.
func (s *Simulator) Systems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.systems))
}

// Open is how many sessions there are; Logins how many there ever were.
func (s *Simulator) Open() (open, logins int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions), s.logins
}

// pass lets what is due happen.
func (m *system) pass(now time.Time) {
	if m.next == "" || now.Before(m.at) {
		return
	}
	if m.next == On {
		m.start(m.at)
	}
	m.power, m.next = m.next, ""
}

// start boots the machine; a one-time override is used up (Redfish
// ComputerSystem, BootSourceOverrideEnabled Once).
func (m *system) start(at time.Time) {
	b := Boot{At: at}
	if m.enabled != "Disabled" {
		b.Target, b.Mode = m.target, m.mode
	}
	if m.enabled == "Once" {
		m.enabled, m.target = "Disabled", "None"
	}
	m.boots = append(m.boots, b)
}

// reset begins a change of power. One that changes nothing is no error.
func (m *system) reset(kind string, now time.Time, takes time.Duration) {
	m.pass(now)
	switch {
	case kind == "On" && m.power == Off:
		m.power, m.next = PoweringOn, On
	case kind == "ForceOff" && (m.power == On || m.power == PoweringOn):
		m.power, m.next = PoweringOff, Off
	case kind == "ForceRestart" && m.power == On:
		m.start(now)
		m.resets = append(m.resets, kind)
		return
	default:
		return
	}
	m.resets = append(m.resets, kind)
	m.at = now.Add(takes)
	m.pass(now)
}

// login opens a session; the token is empty if it is refused.
func (s *Simulator) login(user, password string) (id, token string, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if subtle.ConstantTimeCompare([]byte(user), []byte(s.opts.Username))&subtle.ConstantTimeCompare([]byte(password), []byte(s.opts.Password)) != 1 {
		return "", "", false
	}
	if s.faults[NoSessions] || s.opts.Sessions > 0 && len(s.sessions) >= s.opts.Sessions {
		return "", "", true
	}
	s.logins++
	id, token = fmt.Sprint(s.logins), rand.Text()
	s.sessions[id] = token
	return id, token, false
}

// known reports whether a token is of a session.
func (s *Simulator) known(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.sessions {
		if token != "" && t == token {
			return true
		}
	}
	return false
}

func (s *Simulator) has(f Fault) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults[f]
}
