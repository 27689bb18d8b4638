package machine

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
)

// CageKind is how scripts are confined.
type CageKind string

const (
	// CageNamespaces: an unprivileged user without capabilities, in PID, IPC, UTS
	// and mount namespaces of its own; everything but the machine's directory is
	// read-only. Needs root.
	CageNamespaces CageKind = "namespaces"
	// CageUser: an unprivileged user without capabilities, no namespaces. What a
	// root without CAP_SYS_ADMIN (a container) gets.
	CageUser CageKind = "user"
	// CagePlain: the user that runs the simulator, who is not root, without a way
	// to gain privileges.
	CagePlain CageKind = "plain"
)

// cage starts programs confined.
type cage struct {
	kind     CageKind
	uid, gid int    // what scripts run as; -1: as we
	setpriv  string // path of util-linux's setpriv
	sh       string // path of the host's shell
}

// job is one confined program.
type job struct {
	argv     []string // argv[0] is a path
	env      []string
	dir      string // working directory
	writable string // the only directory it may write to
	out      io.Writer
	started  func(pid int) // called once it runs; pid is also its process group
}

// newCage chooses the strongest kind that works here.
func newCage(uid, gid int, log *slog.Logger) (*cage, error) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return nil, fmt.Errorf("simulated machines need setpriv (util-linux) to run scripts without privileges: %w", err)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		return nil, fmt.Errorf("simulated machines need a shell: %w", err)
	}
	c := &cage{kind: CagePlain, uid: -1, gid: -1, setpriv: setpriv, sh: sh}
	if os.Geteuid() != 0 {
		return c, c.probe()
	}
	if uid <= 0 || gid <= 0 {
		return nil, fmt.Errorf("scripts may not run as uid %d, gid %d", uid, gid)
	}
	c.kind, c.uid, c.gid = CageNamespaces, uid, gid
	if err := c.probe(); err != nil {
		log.Warn("no namespaces for simulated machines, scripts are confined by user only", "error", err)
		c.kind = CageUser
	}
	return c, c.probe()
}

// probe runs a program that does nothing.
func (c *cage) probe() error {
	dir, err := os.MkdirTemp("", "slipway-cage-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	status, err := c.run(context.Background(), job{argv: []string{c.sh, "-c", ":"}, dir: "/", writable: dir})
	if err == nil && status != 0 {
		err = fmt.Errorf("the probe ended with status %d", status)
	}
	return err
}

// wrap puts setpriv in front of a command. It sets no_new_privs, drops the
// user, all groups and every capability set, and asks for SIGKILL when the
// parent dies: the kernel clears that request when the user changes, so that
// SysProcAttr.Pdeathsig alone does not last (prctl(2), PR_SET_PDEATHSIG).
func (c *cage) wrap(argv []string) []string {
	args := []string{c.setpriv, "--no-new-privs", "--pdeathsig", "KILL"}
	if c.uid >= 0 {
		args = append(args, "--reuid", strconv.Itoa(c.uid), "--regid", strconv.Itoa(c.gid), "--clear-groups",
			"--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")
	}
	args = append(args, "--")
	if c.kind != CageNamespaces {
		args = append(args, c.sh, "-c", watcher, "lifeline")
	}
	return append(args, argv...)
}
