package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// stat is what the kernel says of a process (proc_pid_stat(5)).
type stat struct {
	pid, parent, group, session int
	state                       byte
	start                       uint64          // in clock ticks since the boot
	status                      unix.WaitStatus // of one that is dead
}

// dead tells whether the process only waits for somebody to ask how it ended.
func (s stat) dead() bool { return s.state == 'Z' || s.state == 'X' }

// statOf reads a process; false if there is none.
func statOf(pid int) (stat, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, false
	}
	// The name in brackets may have any characters in it.
	_, after, ok := bytes.Cut(b[max(bytes.LastIndexByte(b, ')'), 0):], []byte(") "))
	f := strings.Fields(string(after))
	if !ok || len(f) < 20 {
		return stat{}, false
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(f[i-3]) // the kernel writes numbers; i as the manual page counts
		return n
	}
	start, err := strconv.ParseUint(f[22-3], 10, 64)
	s := stat{pid: pid, state: f[0][0], parent: number(4), group: number(5), session: number(6), start: start}
	if len(f) > 52-3 {
		s.status = unix.WaitStatus(number(52)) //nolint:gosec // the kernel's own bits
	}
	return s, err == nil
}

// processes lists those for which choose says so.
func processes(choose func(stat) bool) []stat {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []stat
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, ok := statOf(pid); ok && choose(s) {
			found = append(found, s)
		}
	}
	return found
}

// descendants lists all that hang under the roots, in any generation, and all
// of the sessions and groups that they lead.
func descendants(roots ...int) []stat {
	all := processes(func(s stat) bool { return !s.dead() })
	var found []stat
	for grown := true; grown; {
		grown = false
		all = slices.DeleteFunc(all, func(s stat) bool {
			if !slices.Contains(roots, s.parent) && !slices.Contains(roots, s.session) && !slices.Contains(roots, s.group) || slices.Contains(roots, s.pid) {
				return false
			}
			found, roots, grown = append(found, s), append(roots, s.pid), true
			return true
		})
	}
	return found
}

func processOf(pid int) (Process, error) {
	s, ok := statOf(pid)
	if !ok {
		return Process{}, fmt.Errorf("supervisor: there is no process %d", pid)
	}
	boot, space, err := here()
	return Process{PID: pid, Start: s.start, Boot: boot, Space: space}, err
}

// here is this boot and this PID name space.
func here() (boot, space string, err error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", "", fmt.Errorf("supervisor: %w", err)
	}
	space, err = os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", "", fmt.Errorf("supervisor: %w", err)
	}
	return strings.TrimSpace(string(b)), space, nil
}

// there reads the process, dead or alive; false if it is gone, and another may
// have its PID.
func (p Process) there() (stat, bool) {
	boot, space, err := here()
	if err != nil || p.PID <= 1 || boot != p.Boot || space != p.Space {
		return stat{}, false
	}
	s, ok := statOf(p.PID)
	return s, ok && s.start == p.Start
}

func (p Process) alive() bool {
	s, ok := p.there()
	return ok && !s.dead()
}

// signal sends a signal to the process and to nobody who has its PID since.
func (s stat) signal(sig unix.Signal) error {
	fd, err := unix.PidfdOpen(s.pid, 0)
	if err != nil {
		return gone(err)
	}
	defer unix.Close(fd)
	if now, ok := statOf(s.pid); !ok || now.start != s.start {
		return nil
	}
	return gone(unix.PidfdSendSignal(fd, sig, nil, 0))
}

func gone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) { // EINVAL: a thread of somebody else's has the number
		return nil
	}
	return err
}

// comm is a process's short name.
func comm(pid int) string {
	b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm")) // it may have ended meanwhile
	return strings.TrimSpace(string(b))
}
