package machine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// State is what a machine is doing.
type State string

// The states.
const (
	StateOff           State = "off"            // no power, or no such machine
	StateFirmware      State = "firmware"       // powered, before the boot device
	StateNetworkBoot   State = "network_boot"   // fetching and interpreting boot scripts
	StatePrompt        State = "prompt"         // a boot script waits for a person, for good
	StateLoading       State = "loading"        // kernel and ramdisk start
	StateInstalling    State = "installing"     // the served scripts run
	StateInstallFailed State = "install_failed" // they ended with an error; nothing more happens
	StateRestarting    State = "restarting"     // they succeeded
	StateRunning       State = "running"        // the installed system is up, with SSH
	StateHalted        State = "halted"         // nothing to boot, or told to stop; see the console
)

// DefaultUID is the user (and group) that scripts run as when the simulator is
// root: nobody, in Debian and most others.
const DefaultUID = 65534

// Options say how machines are simulated. The zero value works.
type Options struct {
	// Dir is where machines keep their disks; a temporary directory, removed by
	// Close, if empty. Unprivileged users must be able to reach it.
	Dir string
	// Pace is how long things take.
	Pace Pace
	// Faults are what is wrong with which machine; see SetFaults.
	Faults []Fault
	// Shell runs the served scripts: ShellDefault, ShellDash or ShellBusybox.
	// busybox prefers its built-in commands to the PATH, so that with it calls are
	// recorded and tools fail (FaultScriptLine, FaultHangInInstaller, FaultSlow's
	// disks) only where a script looks the command up in PATH.
	Shell string
	// UID and GID are what scripts run as when we are root; DefaultUID if 0. The
	// user needs an entry in the host's passwd: ssh-keygen insists.
	UID, GID int
	// CVMSSHPort and CVMPrismPort are where controller VMs listen; 2222 and 9440 if 0.
	CVMSSHPort, CVMPrismPort int
	// ConsoleBytes is how much of each console is kept; 256 KiB if 0.
	ConsoleBytes int
	// Clock is the machines' time; the host's if nil.
	Clock Clock
	// Logger gets consoles and changes of state; slog's default if nil.
	Logger *slog.Logger
	// OnState, if set, is told every change of state. It must not block and not
	// call the Rack.
	OnState func(serverID string, s Status)
}

// Status is one moment of a machine.
type Status struct {
	State  State
	BootID string    // of the running kernel; changes with every boot
	Boots  int       // how often it has booted since it was first powered on
	Since  time.Time // when State was entered
	PID    int       // of the running scripts' process group as we see it; 0 if none run
}

// Rack is a set of simulated machines. It implements vpcsim.Hardware.
type Rack struct {
	opts    Options
	dir     string
	tempDir bool
	cage    *cage
	cvms    *cvmsim.Site
	tools   toolbox
	log     *slog.Logger

	power sync.Mutex // one change of power at a time

	mu       sync.Mutex // guards what follows
	faults   []Fault
	machines map[string]*machine
	closed   bool
	changed  chan struct{} // closed and replaced at every change of a state
}

var (
	_ vpcsim.Hardware       = (*Rack)(nil)
	_ vpcsim.Scrapper       = (*Rack)(nil)
	_ vpcsim.FaultyHardware = (*Rack)(nil)
)

// NewRack prepares a rack without machines. It fails when the host lacks what
// machines need, or when the scripts could not be confined.
func NewRack(opts Options) (*Rack, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Clock == nil {
		opts.Clock = systemClock{}
	}
	if opts.UID == 0 {
		opts.UID = DefaultUID
	}
	if opts.GID == 0 {
		opts.GID = opts.UID
	}
	if opts.ConsoleBytes <= 0 {
		opts.ConsoleBytes = 256 << 10
	}
	opts.CVMSSHPort, opts.CVMPrismPort = cmp.Or(opts.CVMSSHPort, DefaultCVMSSHPort), cmp.Or(opts.CVMPrismPort, DefaultCVMPrismPort)
	opts.Pace.Retry = max(opts.Pace.Retry, 100*time.Millisecond)
	r := &Rack{opts: opts, log: opts.Logger, machines: map[string]*machine{}, changed: make(chan struct{})}
	var err error
	if r.cage, err = newCage(opts.UID, opts.GID, opts.Logger); err != nil {
		return nil, err
	}
	if r.tools, err = findTools(opts.Shell, r.cage.kind == CageNamespaces); err != nil {
		return nil, err
	}
	if r.cage.uid < 0 {
		opts.UID = os.Geteuid()
	}
	if _, err := user.LookupId(strconv.Itoa(opts.UID)); err != nil {
		r.log.Warn("the user that scripts run as has no entry in passwd; ssh-keygen refuses to run as such", "uid", opts.UID, "error", err)
	}
	if err := r.openDir(); err != nil {
		return nil, fmt.Errorf("directory of simulated machines: %w", err)
	}
	if r.cvms, err = cvmsim.New(cvmsim.Options{Pace: cmp.Or(opts.Pace.CVMBeat, 10*time.Millisecond)}); err != nil {
		return nil, fmt.Errorf("controller VMs: %w", err)
	}
	if err := r.SetFaults(opts.Faults); err != nil {
		r.cvms.Close()
		return nil, err
	}
	return r, nil
}

// openDir makes the rack's directory and checks that scripts can reach it.
func (r *Rack) openDir() error {
	var err error
	if r.dir = r.opts.Dir; r.dir == "" {
		r.dir, err = os.MkdirTemp("", "slipway-machines-")
		r.tempDir = true
	} else {
		err = os.MkdirAll(r.dir, 0o755)
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(r.dir, 0o711); err != nil {
		return err
	}
	if r.dir, err = filepath.Abs(r.dir); err != nil || r.cage.uid < 0 {
		return err
	}
	for d := r.dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("uid %d, which scripts run as, cannot enter %s: choose another directory or open it (chmod o+x)", r.cage.uid, d)
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

// Cage says how scripts are confined here.
func (r *Rack) Cage() CageKind { return r.cage.kind }

// SetFaults replaces the faults. A machine takes them up at its next boot, its
// controller VM at once.
func (r *Rack) SetFaults(all []Fault) error {
	for i, f := range all {
		if err := f.Check(); err != nil {
			return fmt.Errorf("machine faults: number %d: %w", i+1, err)
		}
	}
	r.ClearFaults()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range all {
		r.add(f)
	}
	return nil
}

// add takes one more fault, which has been checked. The caller holds the lock.
func (r *Rack) add(f Fault) {
	if f.ID == "" {
		f.ID = uuid.NewString()
	}
	r.faults = append(slices.Clip(r.faults), f)
	if c, ok := f.ofCVM(); ok {
		r.cvms.Inject(c)
	}
}

// AddFault sets one more fault, given as JSON, and returns its id.
func (r *Rack) AddFault(rule json.RawMessage) (id string, err error) {
	list, err := ParseFaults(rule)
	if err != nil {
		return "", err
	}
	if len(list) != 1 {
		return "", errors.New("machine faults: one at a time")
	}
	list[0].ID = uuid.NewString()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(list[0])
	return list[0].ID, nil
}

// FaultRules are the faults that are set, as JSON.
func (r *Rack) FaultRules() []json.RawMessage {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]json.RawMessage, 0, len(r.faults))
	for _, f := range r.faults {
		rule, err := json.Marshal(f)
		if err != nil { // only numbers that JSON has not, which Check refuses
			continue
		}
		out = append(out, rule)
	}
	return out
}

// ClearFaults removes the faults with these ids, or all when none is given.
func (r *Rack) ClearFaults(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kept []Fault
	for _, f := range r.faults {
		if len(ids) == 0 || slices.Contains(ids, f.ID) {
			r.cvms.Remove(f.ID)
		} else {
			kept = append(kept, f)
		}
	}
	r.faults = kept
}

// CVMs is the network of the machines' controller VMs, which run on those that
// were installed with an address for one. They are the Rack's to close.
func (r *Rack) CVMs() *cvmsim.Site { return r.cvms }

func (r *Rack) faultsFor(name string) faults {
	r.mu.Lock()
	defer r.mu.Unlock()
	return faultsFor(r.faults, name)
}

// PowerOn starts a machine and returns at once. A machine with the same id that
// is on already loses power first; its disks stay as they are, unless the
// provider has rewritten the boot disk (Spec.Reinitialized).
func (r *Rack) PowerOn(spec vpcsim.Spec) {
	r.power.Lock()
	defer r.power.Unlock()
	r.mu.Lock()
	m := r.machines[spec.ServerID]
	if r.closed {
		r.mu.Unlock()
		return
	}
	if m == nil {
		m = newMachine(r, spec.ServerID)
		r.machines[spec.ServerID] = m
	}
	r.mu.Unlock()
	m.off()
	m.on(spec)
}

// PowerOff takes a machine's power away: when it returns, everything that ran
// on it is gone. Its disks keep what was written.
func (r *Rack) PowerOff(serverID string) {
	r.power.Lock()
	defer r.power.Unlock()
	if m := r.machine(serverID); m != nil {
		m.off()
	}
}

// Scrap takes a machine's power away and throws the machine away with its disks
// and its console.
func (r *Rack) Scrap(serverID string) error {
	r.power.Lock()
	defer r.power.Unlock()
	m := r.machine(serverID)
	if m == nil {
		return nil
	}
	m.off()
	m.dropCVM()
	r.mu.Lock()
	delete(r.machines, serverID)
	r.mu.Unlock()
	return os.RemoveAll(m.dir)
}

// Close powers everything off. The rack cannot be used after that.
func (r *Rack) Close() error {
	r.power.Lock()
	defer r.power.Unlock()
	r.mu.Lock()
	r.closed = true
	machines := make([]*machine, 0, len(r.machines))
	for _, m := range r.machines {
		machines = append(machines, m)
	}
	r.mu.Unlock()
	var wg sync.WaitGroup
	for _, m := range machines {
		wg.Go(m.off)
	}
	wg.Wait()
	r.cvms.Close()
	if r.tempDir {
		return os.RemoveAll(r.dir)
	}
	return nil
}

func (r *Rack) machine(serverID string) *machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machines[serverID]
}

// Console is the end of what a machine has printed since it was first powered
// on; empty for a machine that does not exist.
func (r *Rack) Console(serverID string) string {
	if m := r.machine(serverID); m != nil {
		return m.console.tail()
	}
	return ""
}

// State is what a machine is doing; StateOff for one that does not exist.
func (r *Rack) State(serverID string) State { return r.Status(serverID).State }

// Status is State with more about it.
func (r *Rack) Status(serverID string) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.machines[serverID]; m != nil {
		return m.status
	}
	return Status{State: StateOff}
}

// Wait blocks until ok says yes to a machine's status, and returns that status.
// It sees the newest status, not every one on the way.
func (r *Rack) Wait(ctx context.Context, serverID string, ok func(Status) bool) (Status, error) {
	for {
		r.mu.Lock()
		s := Status{State: StateOff}
		if m := r.machines[serverID]; m != nil {
			s = m.status
		}
		changed := r.changed
		r.mu.Unlock()
		if ok(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, fmt.Errorf("machine %s is %s: %w", serverID, s.State, ctx.Err())
		}
	}
}

// setStatus changes a machine's status and wakes who waits for it.
func (r *Rack) setStatus(m *machine, change func(*Status)) {
	r.mu.Lock()
	before := m.status.State
	change(&m.status)
	if m.status.State != before {
		m.status.Since = r.opts.Clock.Now()
	}
	after := m.status
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	if after.State == before {
		return
	}
	m.log.Info("machine", "state", after.State, "boots", after.Boots)
	if r.opts.OnState != nil {
		r.opts.OnState(m.id, after)
	}
}

// dirName makes a directory's name of a server id.
func dirName(serverID string) string { return "machine-" + url.PathEscape(serverID) }

var errPowerOff = errors.New("power off")
