package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/slipwayhq/slipway/deploy/cluster/cvmsim"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// Where controller VMs listen if the Options do not say. Real ones have SSH on
// port 22, which an ordinary user may not bind.
const (
	DefaultCVMSSHPort   = 2222
	DefaultCVMPrismPort = 9440
)

// cvmRoot is where the stand-in installer lays out the controller VM, below the
// installed system's root.
const cvmRoot = "var/lib/cvm"

// installedCVM is what the disks say about the controller VM on them.
type installedCVM struct {
	addr    netip.Addr
	hostKey ssh.Signer
	keys    []ssh.PublicKey // of user nutanix
}

// readCVM reads the controller VM of an installed system; none is no error.
func readCVM(target *os.Root) (*installedCVM, error) {
	root, err := target.OpenRoot(cvmRoot)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	text, err := readRegular(root, "etc/address")
	if err != nil {
		return nil, err
	}
	out := &installedCVM{}
	if out.addr, err = netip.ParseAddr(strings.TrimSpace(string(text))); err != nil {
		return nil, err
	}
	key, err := readRegular(root, "etc/ssh/ssh_host_ed25519_key")
	if err != nil {
		return nil, fmt.Errorf("SSH host key: %w", err)
	}
	if out.hostKey, err = ssh.ParsePrivateKey(key); err != nil {
		return nil, fmt.Errorf("SSH host key: %w", err)
	}
	if list, err := readRegular(root, "home/nutanix/.ssh/authorized_keys2"); err == nil { // without one nobody logs in
		out.keys = authorizedKeys(list)
	}
	return out, nil
}

// runCVM runs the controller VM of the installed system until the power goes.
func (c *cycle) runCVM(ctx context.Context, sys *installed) {
	if sys.cvmFault != nil {
		c.printf("The controller VM does not start: %v\n", sys.cvmFault)
	}
	if sys.cvm == nil {
		return
	}
	if c.clock.Sleep(ctx, c.pace.System) != nil {
		return
	}
	for {
		err := c.startCVM(sys.cvm)
		if err == nil {
			break
		}
		c.printf("The controller VM does not start: %v\n", err)
		// A call that somebody has just made may still have the port as its own end.
		if !errors.Is(err, syscall.EADDRINUSE) || c.clock.Sleep(ctx, c.pace.Retry) != nil {
			return
		}
	}
	c.printf("Controller VM on %s (SSH on port %d, host key %s)\n", c.cvm.Addr(), c.cvm.SSHPort(), ssh.FingerprintSHA256(sys.cvm.hostKey.PublicKey()))
	<-ctx.Done()
	c.cvm.PowerOff()
}

// Clusters tells how often a cluster was created, and what each controller VM is.
func (r *Rack) Clusters() (created int, vms []vpcsim.ControllerVM) {
	for _, s := range r.cvms.State() {
		vm := vpcsim.ControllerVM{Address: s.Addr.String(), Cluster: s.Cluster, State: s.State, Up: s.Services, Of: s.Of}
		for _, m := range s.Members {
			vm.Members = append(vm.Members, m.String())
		}
		vms = append(vms, vm)
	}
	return r.cvms.Formed(), vms
}

// startCVM gives power to the controller VM that is on the disks. Another one
// than before, by its host key, begins without a cluster.
func (c *cycle) startCVM(disk *installedCVM) error {
	if c.cvm != nil && c.cvm.Addr() == disk.addr && c.cvm.HostKey() == strings.TrimSpace(string(ssh.MarshalAuthorizedKey(disk.hostKey.PublicKey()))) {
		return c.cvm.PowerOn()
	}
	c.dropCVM()
	opts := c.rack.opts
	cvm, err := c.rack.cvms.Add(disk.addr, cvmsim.Place{
		Name: c.spec.Name, Keys: slices.Concat([]ssh.PublicKey{}, disk.keys), HostKey: disk.hostKey,
		SSHPort: opts.CVMSSHPort, PrismPort: opts.CVMPrismPort,
	})
	if err != nil {
		return err
	}
	c.cvm = cvm
	return nil
}

// dropCVM destroys the machine's controller VM, if it has one.
func (m *machine) dropCVM() {
	if m.cvm != nil {
		m.cvm.Destroy()
		m.cvm = nil
	}
}

// ofCVM gives the fault as the controller VMs know it; false if it is another sort.
func (f Fault) ofCVM() (cvmsim.Fault, bool) {
	kind, ok := strings.CutPrefix(string(f.Kind), FaultCVM)
	return cvmsim.Fault{
		ID: f.ID, Kind: cvmsim.FaultKind(kind), Match: f.Match, Stage: f.Stage, Steps: cmp.Or(f.Steps, 10), Text: f.Text, Bytes: f.Bytes, Times: f.Times,
	}, ok
}

// checkCVM is Check for a controller VM's fault.
func (f Fault) checkCVM() error {
	c, _ := f.ofCVM()
	if !slices.Contains(cvmsim.FaultKinds(), c.Kind) {
		return fmt.Errorf("there is no fault %q", f.Kind)
	}
	if f.Stage != "" && !slices.Contains(cvmsim.Stages(), f.Stage) {
		return fmt.Errorf("there is no stage %q; there are %s", f.Stage, strings.Join(cvmsim.Stages(), ", "))
	}
	if f.Stage != "" && c.Kind != cvmsim.FaultDie {
		return fmt.Errorf("stage is of the fault %q only", FaultCVM+string(cvmsim.FaultDie))
	}
	if f.Steps < 0 || f.Bytes < 0 {
		return errors.New("steps and bytes are not negative")
	}
	return f.checkNumbers()
}
