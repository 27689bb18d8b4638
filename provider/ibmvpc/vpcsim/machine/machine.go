package machine

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// machine is one simulated server. Its directory has
//
//	root/  what the scripts see as / and may write; root/dev are the disks
//	bin/   their PATH
//	home/  their HOME
//	init   the first program of the install environment
type machine struct {
	rack    *Rack
	id      string
	dir     string
	console *console
	log     *slog.Logger

	status Status      // guarded by rack.mu
	resets int         // restarts because of FaultBootsTwice; of the running cycle's goroutine
	cvm    *cvmsim.CVM // on its disks, nil if none; of the running cycle's goroutine, or under rack.power without one

	// Of the present power cycle; changed under rack.power only.
	cancel context.CancelCauseFunc
	done   chan struct{}
}

func newMachine(r *Rack, id string) *machine {
	log := r.log.With("server_id", id)
	return &machine{
		rack: r, id: id, dir: filepath.Join(r.dir, dirName(id)), log: log,
		console: &console{log: log, max: r.opts.ConsoleBytes},
		status:  Status{State: StateOff},
	}
}

// on starts the machine's goroutine.
func (m *machine) on(spec vpcsim.Spec) {
	ctx, cancel := context.WithCancelCause(context.Background())
	m.cancel, m.done = cancel, make(chan struct{})
	m.log = m.rack.log.With("server_id", m.id, "server", spec.Name, "ip", spec.IP)
	m.console.mu.Lock()
	m.console.log = m.log
	m.console.mu.Unlock()
	m.setState(StateFirmware) // before PowerOn returns: powered is powered
	go func() {
		defer close(m.done)
		c := &cycle{machine: m, spec: spec, clock: m.rack.opts.Clock, rewrite: spec.Reinitialized}
		if err := c.live(ctx); err != nil && ctx.Err() == nil {
			m.printf("\n*** The simulated machine broke: %v\n", err)
			m.log.Error("simulated machine broke", "error", err)
			m.setState(StateHalted)
			<-ctx.Done()
		}
	}()
}

// off ends the goroutine and everything it started.
func (m *machine) off() {
	if m.cancel == nil {
		return
	}
	m.cancel(errPowerOff)
	<-m.done
	m.cancel = nil
	m.printf("\n*** Power off\n")
	m.rack.setStatus(m, func(s *Status) { s.State, s.BootID, s.PID = StateOff, "", 0 })
}

func (m *machine) setState(state State) {
	m.rack.setStatus(m, func(s *Status) { s.State = state })
}

func (m *machine) printf(format string, args ...any) { fmt.Fprintf(m.console, format, args...) }

// cycle is one power cycle: from power-on to power-off, over any number of boots.
type cycle struct {
	*machine
	spec    vpcsim.Spec
	clock   Clock
	rewrite bool // the boot disk gets the provider's boot image

	// Of the present boot.
	disks  []disk
	faults faults
	pace   Pace
	bootID string
	root   *os.Root
	client *http.Client
}

// live boots until a boot says that it was the last.
func (c *cycle) live(ctx context.Context) error {
	ip := net.ParseIP(c.spec.IP)
	if ip == nil {
		return fmt.Errorf("it has no address (%q)", c.spec.IP)
	}
	c.client = newClient(ip)
	c.disks = inventory(c.spec)
	if err := c.openRoot(); err != nil {
		return err
	}
	defer c.root.Close()
	if c.rewrite {
		c.dropCVM() // nothing boots it any more, and the installer makes another one
	}
	for {
		again, err := c.boot(ctx)
		if err != nil {
			return err
		}
		if !again {
			<-ctx.Done()
			return nil
		}
	}
}

// openRoot makes the machine's directory and its disks.
func (c *cycle) openRoot() error {
	rootDir := c.rootDir()
	if err := errors.Join(os.MkdirAll(rootDir, 0o755), os.Chmod(c.dir, 0o755), os.Chmod(rootDir, 0o700)); err != nil {
		return err
	}
	var err error
	if c.root, err = os.OpenRoot(rootDir); err != nil {
		return err
	}
	l := c.layout()
	if err := l.own("."); err != nil {
		return err
	}
	return makeDisks(c.root, c.disks, c.rewrite, l.own)
}

func (c *cycle) rootDir() string { return filepath.Join(c.dir, "root") }

func (c *cycle) layout() *layout {
	return &layout{root: c.root, uid: c.rack.cage.uid, gid: c.rack.cage.gid}
}

// boot is one boot from the firmware on; again tells whether to restart.
func (c *cycle) boot(ctx context.Context) (again bool, err error) {
	c.faults = c.rack.faultsFor(c.spec.Name)
	c.pace = c.rack.opts.Pace
	if f, ok := c.faults.get(FaultSlow); ok {
		c.pace = c.pace.slower(f.Factor)
	}
	c.bootID = uuid.NewString()
	c.rack.setStatus(c.machine, func(s *Status) {
		s.State, s.BootID = StateFirmware, c.bootID
		s.Boots++
	})
	if c.faults.has(FaultNeverBoot) {
		c.log.Info("machine has power and stays dark", "fault", FaultNeverBoot)
		return false, nil
	}
	c.printf("\n*** Slipway simulated machine %s (%s), %s\n", c.spec.Name, c.spec.Profile, c.clock.Now().UTC().Format(time.RFC3339))
	if err := c.clock.Sleep(ctx, c.pace.Firmware); err != nil {
		return false, err
	}
	switch readBootRecord(c.root, c.disks) {
	case recordSystem:
		return false, c.runSystem(ctx)
	case recordIPXE:
		return c.networkBoot(ctx)
	default:
		c.halt("No bootable device")
		return false, nil
	}
}

func (c *cycle) halt(why string) {
	c.printf("%s. System halted.\n", why)
	c.setState(StateHalted)
}

// networkBoot runs the provider's boot image.
func (c *cycle) networkBoot(ctx context.Context) (again bool, err error) {
	c.setState(StateNetworkBoot)
	id := uuid.NewSHA1(uuid.NameSpaceOID, []byte(c.id)).String()
	settings := newSettings(c.spec, id)
	c.printf("iPXE initialising devices... ok\nnet0: %s address %s\n", settings["net0/mac"], c.spec.IP)
	script, base, err := c.userData(ctx, settings)
	if err != nil {
		return false, err
	}
	p := newPXE(c, settings)
	err = p.run(ctx, script, base, 0)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, errChecksum):
		c.halt("Boot stopped: " + err.Error())
		return false, nil
	case err != nil:
		// UEFI goes through its boot order again when every entry failed.
		c.printf("Boot failed: %v. Trying again.\n", err)
		return true, c.clock.Sleep(ctx, c.pace.Retry)
	case p.booted == nil:
		c.halt("iPXE ended and there is no other boot device")
		return false, nil
	}
	return c.runKernel(ctx, p.booted)
}

// userData gets the boot script: the user data itself or what its URL names.
// A server that is away is asked until it answers.
func (c *cycle) userData(ctx context.Context, s settings) ([]byte, *url.URL, error) {
	data := strings.TrimSpace(c.spec.UserData)
	if isScript([]byte(data)) {
		return []byte(data), nil, nil
	}
	for wait := c.pace.Retry; ; wait = min(2*wait, max(5*time.Second, c.pace.Retry)) {
		text, err := s.expand(data)
		if err != nil {
			return nil, nil, fmt.Errorf("user data: %w", err)
		}
		uri, err := url.Parse(text)
		if err != nil {
			return nil, nil, fmt.Errorf("user data: %w", err)
		}
		c.printf("%s...", uri.Redacted())
		img, err := c.fetch(ctx, uri)
		if err == nil && img.script == nil {
			err = fmt.Errorf("not an iPXE script: %w", errNoExec)
		}
		if err == nil {
			c.printf(" ok\n")
			return img.script, uri, nil
		}
		c.printf(" %v\n", err)
		if err := c.clock.Sleep(ctx, wait); err != nil {
			return nil, nil, err
		}
	}
}

// The machine as the interpreter sees it (pxeEnv).

func (c *cycle) fetch(ctx context.Context, uri *url.URL) (*pxeImage, error) {
	return download(ctx, c.client, c.clock, c.pace.LinkRate, uri)
}

func (c *cycle) sleep(ctx context.Context, d time.Duration) error { return c.clock.Sleep(ctx, d) }

func (c *cycle) print(text string) { c.printf("%s", text) }

func (c *cycle) prompt(string) { c.setState(StatePrompt) }

//go:embed init.sh
var initScript []byte

// runKernel starts the install environment and waits for its scripts.
func (c *cycle) runKernel(ctx context.Context, boot *pxeBoot) (again bool, err error) {
	c.setState(StateLoading)
	c.printf("Linux: %s (%d bytes), %d initial ramdisk(s)\n", boot.kernel.name, boot.kernel.size, len(boot.initrds))
	if len(boot.initrds) == 0 {
		c.halt("Kernel panic: no init found (no initial ramdisk was loaded)")
		return false, nil
	}
	if err := c.clock.Sleep(ctx, c.pace.Kernel); err != nil {
		return false, err
	}
	j, err := c.environment(boot.cmdline)
	if err != nil {
		return false, err
	}
	c.setState(StateInstalling)
	powered, reset := context.WithCancelCause(ctx)
	defer reset(nil)
	unwatch, err := c.watch(reset)
	if err != nil {
		return false, err
	}
	status, err := c.rack.cage.run(powered, j)
	unwatch()
	c.rack.setStatus(c.machine, func(s *Status) { s.PID = 0 })
	if errors.Is(context.Cause(powered), errReset) && ctx.Err() == nil {
		c.resets++
		c.setState(StateRestarting)
		c.printf("\n*** Reset\n")
		return true, c.clock.Sleep(ctx, c.pace.Restart)
	}
	if err != nil {
		return false, err
	}
	if status != 0 {
		c.printf("The install environment's init ended with status %d. It stays as it is.\n", status)
		c.setState(StateInstallFailed)
		return false, nil
	}
	c.setState(StateRestarting)
	c.printf("reboot: Restarting system\n")
	return true, c.clock.Sleep(ctx, c.pace.Restart)
}

// errReset ends an install environment that restarts by itself.
var errReset = errors.New("the machine restarted by itself")

// watch waits at the watchdog's pipe for a restart (FaultBootsTwice), until the
// function it returns is called.
func (c *cycle) watch(reset context.CancelCauseFunc) (unwatch func(), err error) {
	if !c.faults.has(FaultBootsTwice) {
		return func() {}, nil
	}
	path := filepath.Join(c.rootDir(), watchdog)
	if err := unix.Mkfifo(path, 0o666); err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	if err := errors.Join(os.Chmod(path, 0o666), c.layout().own(watchdog)); err != nil {
		return nil, err
	}
	// Open for both, so that neither side's open waits and closing ends the read.
	pipe, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if n, _ := pipe.Read(make([]byte, 1)); n > 0 { // an error is our own Close
			reset(errReset)
		}
	}()
	return func() { _ = pipe.Close(); <-ended }, nil
}

// environment prepares everything that the first program finds.
func (c *cycle) environment(cmdline string) (job, error) {
	if err := c.layout().build(c.spec, c.disks, cmdline, c.bootID); err != nil {
		return job{}, fmt.Errorf("root directory: %w", err)
	}
	b := bin{dir: filepath.Join(c.dir, "bin"), root: c.rootDir(), tools: c.rack.tools, pace: c.pace, disks: c.disks, resets: c.resets}
	if err := b.build(c.faults); err != nil {
		return job{}, fmt.Errorf("command directory: %w", err)
	}
	home := filepath.Join(c.dir, "home")
	curlrc := "interface = " + c.spec.IP + "\n"
	if c.pace.LinkRate > 0 {
		curlrc += fmt.Sprintf("limit-rate = %d\n", c.pace.LinkRate)
	}
	initPath := filepath.Join(c.dir, "init")
	err := errors.Join(
		os.MkdirAll(home, 0o755), os.Chmod(home, 0o755),
		replaceFile(filepath.Join(home, ".curlrc"), []byte(curlrc)),
		replaceFile(initPath, initScript),
	)
	if err != nil {
		return job{}, err
	}
	root := c.rootDir()
	return job{
		argv: []string{filepath.Join(b.dir, "sh"), initPath},
		env: []string{
			"PATH=" + b.dir, "HOME=" + home, "SLIPWAY_ROOT=" + root, "TMPDIR=" + filepath.Join(root, "tmp"), "LC_ALL=C",
		},
		dir: root, writable: root, out: c.console,
		started: func(pid int) { c.rack.setStatus(c.machine, func(s *Status) { s.PID = pid }) },
	}, nil
}

// replaceFile writes a file that everyone may read, whatever our umask.
func replaceFile(name string, data []byte) error {
	return errors.Join(os.WriteFile(name, data, 0o644), os.Chmod(name, 0o644))
}
