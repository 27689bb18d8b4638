package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sshd finds OpenSSH's server; tests without it are skipped.
func sshd(t testing.TB) string {
	t.Helper()
	path := "/usr/sbin/sshd"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("there is no %s here: scripts/setup.sh test installs it", path)
	}
	if os.Getuid() == 0 { // what its start script does
		require.NoError(t, os.MkdirAll("/run/sshd", 0o755))
	}
	return path
}

// answering is the ForceCommand of a host: it answers for the kernel of a
// machine of its own, and can be told to hold the n-th login since its boot. Its
// argument counts boots: a login may outlive the one that it came in.
const answering = `#!/bin/bash
cd %q || exit 1
echo "$SSH_ORIGINAL_COMMAND" >> "logins-$1"
if [ -e hold ] && [ "$(wc -l < "logins-$1")" = "$(cat hold)" ]; then
	read -r _ < gate
fi
case "$SSH_ORIGINAL_COMMAND" in
"cat /proc/sys/kernel/random/boot_id") exec cat boot_id ;;
*) exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" ;;
esac
`

// machine is a host: an SSH server at an address of its own, that boots again
// when somebody ends it.
type machine struct {
	t    testing.TB
	sshd string
	dir  string
	ip   string
	port int
	name string
	gate *os.File // held open, so that a login that is held waits

	mu     sync.Mutex
	proc   *exec.Cmd
	silent net.Listener
	fate   func() error   // what happens after its SSH server has ended
	boots  int            // how often it has booted
	gone   bool           // the test is over
	ends   sync.WaitGroup // who waits for SSH servers
}

// install makes a machine that is off. key is the public key that may log in.
func install(t testing.TB, dir, ip, name string, port int, key string) *machine {
	t.Helper()
	m := &machine{t: t, sshd: sshd(t), dir: dir, ip: ip, port: port, name: name}
	m.fate = m.boot
	require.NoError(t, os.MkdirAll(dir, 0o755))
	m.write("authorized_keys", key)
	m.write("run", fmt.Sprintf(answering, dir))
	require.NoError(t, os.Chmod(m.file("run"), 0o755))
	m.newHostKey()
	require.NoError(t, syscall.Mkfifo(m.file("gate"), 0o600))
	var err error
	m.gate, err = os.OpenFile(m.file("gate"), os.O_RDWR, 0)
	require.NoError(t, err)
	return m
}

func (m *machine) file(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) write(name, content string) {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile(m.file(name), []byte(content), 0o600))
}

func (m *machine) read(name string) string {
	b, err := os.ReadFile(m.file(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// newHostKey gives it another host key, at its next boot.
func (m *machine) newHostKey() {
	m.t.Helper()
	for _, name := range []string{"host_key", "host_key.pub"} {
		_ = os.Remove(m.file(name)) // it may have none
	}
	keygen(m.t, m.file("host_key"))
}

// hostKey is what it is known by, type and base64.
func (m *machine) hostKey() string {
	return strings.Join(strings.Fields(m.read("host_key.pub"))[:2], " ")
}

// fingerprint is that of its host key as OpenSSH tells it.
func (m *machine) fingerprint() string {
	m.t.Helper()
	out, err := exec.Command("ssh-keygen", "-l", "-f", m.file("host_key.pub")).Output()
	require.NoError(m.t, err)
	return strings.Fields(string(out))[1]
}

func keygen(t testing.TB, path string) {
	t.Helper()
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// boot starts its SSH server with a boot id that it never had.
func (m *machine) boot() error {
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", rand.Uint32(), rand.Uint64()>>16)
	return errors.Join(os.WriteFile(m.file("boot_id"), []byte(id+"\n"), 0o600), m.serve())
}

// sshdConfig is that of a machine: port, address, directory and the number of
// its boot.
const sshdConfig = `Port %d
ListenAddress %s
HostKey %[3]s/host_key
PidFile %[3]s/sshd.pid
AuthorizedKeysFile %[3]s/authorized_keys
ForceCommand %[3]s/run %[4]d
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
MaxStartups 200
`

// serve starts its SSH server; without boot before, it has not restarted.
func (m *machine) serve() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return nil
	}
	if m.silent != nil {
		_ = m.silent.Close() // nobody talks to it
		m.silent = nil
	}
	m.boots++
	if err := os.WriteFile(m.file("sshd_config"), fmt.Appendf(nil, sshdConfig, m.port, m.ip, m.dir, m.boots), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(m.sshd, "-D", "-f", m.file("sshd_config"), "-E", m.file("sshd.log"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.proc = cmd
	m.ends.Go(func() { m.ended(cmd) })
	return nil
}

// ended waits for the end of an SSH server, and has come what then comes.
func (m *machine) ended(cmd *exec.Cmd) {
	_ = cmd.Wait() // it is ended by a signal
	m.mu.Lock()
	fate, gone := m.fate, m.gone
	m.proc = nil
	m.mu.Unlock()
	if gone {
		return
	}
	if err := fate(); err != nil {
		m.t.Errorf("%s: %v", m.name, err)
	}
}

// then says what becomes of it when its SSH server has ended.
func (m *machine) then(fate func() error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fate = fate
}

// stayDown is the fate of a machine that nothing is heard of: its address
// refuses connections.
func (m *machine) stayDown() error { return nil }

// turnSilent is the fate of one that accepts connections and says nothing.
func (m *machine) turnSilent() error {
	l, err := net.Listen("tcp", m.address())
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = l
	m.ends.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			m.ends.Go(func() {
				_, _ = io.Copy(io.Discard, conn) // until the other one gives up
				_ = conn.Close()
			})
		}
	})
	return nil
}

func (m *machine) address() string { return net.JoinHostPort(m.ip, strconv.Itoa(m.port)) }

// up boots it and waits until it can be connected to.
func (m *machine) up(ctx context.Context) *machine {
	m.t.Helper()
	require.NoError(m.t, m.boot())
	m.ready(ctx)
	return m
}

// ready waits until it can be connected to.
func (m *machine) ready(ctx context.Context) {
	m.t.Helper()
	eventually(ctx, m.t, m.name+" can be connected to", func() bool {
		conn, err := net.DialTimeout("tcp", m.address(), time.Second)
		if err != nil {
			return false
		}
		_ = conn.Close() // it was only to see
		return true
	})
}

// booted counts its boots.
func (m *machine) booted() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boots
}

// down ends it for now.
func (m *machine) down(ctx context.Context) {
	m.t.Helper()
	m.then(m.stayDown)
	m.mu.Lock()
	if m.proc != nil {
		_ = m.proc.Process.Signal(syscall.SIGTERM) // it may end at this moment
	}
	m.mu.Unlock()
	eventually(ctx, m.t, m.name+" is down", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.proc == nil
	})
}

// remove ends it for good, with everybody who is logged in.
func (m *machine) remove() {
	m.mu.Lock()
	m.gone = true
	if m.proc != nil {
		_ = m.proc.Process.Kill() // it may have ended
	}
	if m.silent != nil {
		_ = m.silent.Close()
	}
	m.mu.Unlock()
	_ = m.gate.Close() // a login that is held goes on
	m.ends.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	eventually(ctx, m.t, "all who were logged in to "+m.name+" are gone", func() bool { return !inUse(m.dir) })
	if m.t.Failed() {
		if raw, err := os.ReadFile(m.file("sshd.log")); err == nil && len(raw) > 0 {
			m.t.Logf("the last of %s:\n%s", m.name, raw[max(0, len(raw)-1500):])
		}
	}
}

// inUse tells whether a process has a file open below a directory, or is there.
func inUse(dir string) bool {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
	at, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, l := range append(links, at...) {
		if to, err := os.Readlink(l); err == nil && (to == dir || strings.HasPrefix(to, dir+"/")) {
			return true
		}
	}
	return false
}

// holdLogin has its n-th login after its next boot wait until goOn.
func (m *machine) holdLogin(n int) { m.write("hold", strconv.Itoa(n)) }

// goOn lets a login go on that is held, and all that come.
func (m *machine) goOn() {
	m.t.Helper()
	require.NoError(m.t, os.Remove(m.file("hold")))
	_, err := m.gate.WriteString("\n")
	require.NoError(m.t, err)
}

// logins counts those since its boot.
func (m *machine) logins() int {
	b, err := os.ReadFile(m.file(fmt.Sprintf("logins-%d", m.booted())))
	if err != nil {
		return 0
	}
	return strings.Count(string(b), "\n")
}

// me is whom to log in as: an SSH server that is not root's serves nobody else.
func me(t testing.TB) string {
	t.Helper()
	u, err := user.Current()
	require.NoError(t, err)
	return u.Username
}
