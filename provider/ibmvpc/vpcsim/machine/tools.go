package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The shells that can run the served scripts.
const (
	ShellDefault = ""        // the host's sh
	ShellDash    = "dash"    // Debian's
	ShellBusybox = "busybox" // busybox sh, with busybox's own tools wherever it has them
)

// tools are the commands that the install environment has for real: what a
// small Linux with curl has. A command that is in neither list does not exist
// in the cage.
var tools = []string{
	"sh", "curl", "ssh-keygen",
	"[", "awk", "base64", "basename", "cat", "chmod", "cmp", "cp", "cut", "date", "dd", "df", "dirname", "du", "echo",
	"env", "expr", "false", "find", "grep", "gunzip", "gzip", "head", "id", "kill", "ln", "ls", "mkdir", "mkfifo", "mktemp",
	"mv", "nohup", "od", "printf", "ps", "pwd", "readlink", "realpath", "rm", "rmdir", "sed", "seq", "setsid",
	"sha256sum", "sleep", "sort", "stat", "tail", "tar", "tee", "test", "timeout", "touch", "tr", "true", "truncate",
	"uname", "uniq", "uptime", "wc", "which", "xargs",
}

// optionalTools may be missing on the host: the scripts have ways without them.
var optionalTools = []string{"ssh-keygen", "nohup", "setsid", "which", "truncate", "ps", "uptime", "timeout"}

// recorded are the commands that would change a real system. In the cage they
// only write down how they were called, in var/log/commands.log.
var recorded = []string{
	"blkdiscard", "blockdev", "chgrp", "chown", "chroot", "efibootmgr", "halt", "hostname", "hostnamectl", "hwclock",
	"ifconfig", "ip", "mkfs.ext4", "mkfs.vfat", "mkfs.xfs", "mkswap", "modprobe", "mount", "partprobe", "parted",
	"poweroff", "reboot", "resolvconf", "route", "sfdisk", "sgdisk", "shutdown", "sync", "sysctl", "systemctl",
	"udevadm", "umount", "wipefs",
}

// toolbox is where the host has the tools.
type toolbox map[string]string

// findTools looks for every tool on the host. Without a PID namespace there is
// no setsid: what leaves the machine's process group would outlive its power.
func findTools(shell string, namespaces bool) (toolbox, error) {
	applets := map[string]bool{}
	busybox := ""
	switch shell {
	case ShellDefault, ShellDash:
	case ShellBusybox:
		var err error
		if busybox, err = exec.LookPath("busybox"); err != nil {
			return nil, fmt.Errorf("shell %q: %w", shell, err)
		}
		list, err := exec.Command(busybox, "--list").Output()
		if err != nil {
			return nil, fmt.Errorf("busybox --list: %w", err)
		}
		for name := range strings.FieldsSeq(string(list)) {
			applets[name] = true
		}
	default:
		return nil, fmt.Errorf("there is no shell %q", shell)
	}
	box := toolbox{}
	var missing []string
	for _, name := range tools {
		file := name
		if name == "sh" && shell == ShellDash {
			file = "dash"
		}
		if name == "setsid" && !namespaces {
			continue
		}
		if applets[name] {
			box[name] = busybox
			continue
		}
		path, err := exec.LookPath(file)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		switch {
		case err == nil:
			box[name] = path
		case !slices.Contains(optionalTools, name):
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("simulated machines need these commands on the host: %s", strings.Join(missing, ", "))
	}
	return box, nil
}

// bin is a machine's directory of commands, its whole PATH.
type bin struct {
	dir   string
	root  string // the machine's root directory, where calls are recorded
	tools toolbox
	pace  Pace
	disks []disk
	// resets is how often the machine has restarted by itself.
	resets int
	err    error
}

// build makes the directory anew, with the faults of this boot.
func (b *bin) build(fs faults) error {
	if err := errors.Join(os.RemoveAll(b.dir), os.MkdirAll(b.dir, 0o755), os.Chmod(b.dir, 0o755)); err != nil {
		return err
	}
	for name, path := range b.tools {
		b.add(name, "", path)
	}
	for _, name := range recorded {
		b.add(name, "", "")
	}
	for name, before := range b.toolFaults(fs) {
		b.add(name, before, b.tools[name])
	}
	for _, f := range fs {
		if f.Kind == FaultScriptLine && f.Missing {
			b.remove(f.Tool)
		}
	}
	return b.err
}

func (b *bin) remove(name string) {
	if err := os.Remove(filepath.Join(b.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.err = errors.Join(b.err, err)
	}
}

// add makes one command: a link to the real one, or, when there is none or
// something happens before it, a script.
func (b *bin) add(name, before, real string) {
	b.remove(name)
	path := filepath.Join(b.dir, name)
	if before == "" && real != "" {
		b.err = errors.Join(b.err, os.Symlink(real, path))
		return
	}
	script := "#!" + b.tools["sh"] + "\n"
	if filepath.Base(b.tools["sh"]) == "busybox" {
		script = "#!" + b.tools["sh"] + " sh\n"
	}
	script += "# What the simulated machine has in the place of " + name + ".\n"
	if real == "" {
		script += fmt.Sprintf("printf '%%s\\n' \"%s $*\" >>%s\n", name, quote(filepath.Join(b.root, "var/log/commands.log")))
		if b.pace.Command > 0 {
			script += fmt.Sprintf("sleep %.3f\n", b.pace.Command.Round(time.Millisecond).Seconds())
		}
	}
	script += before
	switch {
	case real != "":
		script += "exec " + quote(real) + " \"$@\"\n"
	case name == "ip":
		script += "root=" + quote(b.root) + "\n" + ipAnswers
	default:
		script += "exit 0\n"
	}
	b.err = errors.Join(b.err, os.WriteFile(path, []byte(script), 0o755), os.Chmod(path, 0o755))
}

// ipAnswers is the stand-in of ip after the call was recorded: it knows the
// machine's interfaces and remembers, in run/, links and addresses that were
// added to them. Nothing reaches the host.
const ipAnswers = `word() { # the word after $1 among the others
	want=$1
	shift
	while [ $# -gt 1 ]; do
		if [ "$1" = "$want" ]; then
			printf '%s' "$2"
			return
		fi
		shift
	done
}
while :; do
	case ${1:-} in
	-*) shift ;;
	*) break ;;
	esac
done
dev=$(word dev "$@")
case "$*" in
"link show"* | "addr show"* | "a show"* | "address show"*)
	if [ -n "$dev" ] && [ ! -e "$root/sys/class/net/$dev" ] && ! grep -qx "$dev" "$root/run/links"; then
		echo "Device \"$dev\" does not exist." >&2
		exit 1
	fi
	;;
esac
case "$*" in
"link add"*) word name "$@" >>"$root/run/links" && echo >>"$root/run/links" ;;
"addr add"* | "address add"*) printf '%s %s\n' "$dev" "$3" >>"$root/run/addresses" ;;
"addr show"* | "address show"*)
	index=1
	while read -r name cidr; do
		index=$((index + 1))
		if [ -z "$dev" ] || [ "$dev" = "$name" ]; then
			printf '%s: %s    inet %s scope global %s\\       valid_lft forever preferred_lft forever\n' "$index" "$name" "$cidr" "$name"
		fi
	done <"$root/run/addresses"
	;;
esac
exit 0
`

// quote makes one word of s for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
