package pgtemp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// ErrNotInstalled says that no PostgreSQL binaries were found.
var ErrNotInstalled = errors.New("no PostgreSQL found: set PGBIN to the folder of initdb and postgres, or install the server package (looked in $PGBIN and /usr/lib/postgresql/*/bin)")

// superuser is the database role that owns everything in the cluster.
const superuser = "slipway"

// supervise runs postgres and outlives us by a moment: when its input ends,
// because Stop closed it or because our process is gone, it stops the server
// and removes the folder. Arguments: binary folder, cluster folder.
const supervise = `
"$1/postgres" -D "$2/data" -k "$2" >"$2/log" 2>&1 </dev/null &
pid=$!
read -r _
kill -QUIT "$pid" 2>/dev/null
wait "$pid"
cd /
rm -rf "$2"
`

// configuration trades durability for speed: nothing here outlives a test.
const configuration = `
listen_addresses = ''
unix_socket_permissions = 0777
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_connections = 400
shared_buffers = 64MB
autovacuum = off
jit = off
timezone = 'Europe/Berlin'
log_timezone = 'UTC'
log_min_messages = warning
`

// Server is a running throw-away cluster.
type Server struct {
	dir   string
	cmd   *exec.Cmd
	stdin io.Closer
	stop  sync.Once
}

// Bin is the folder with PostgreSQL's server binaries: $PGBIN, or the highest
// version below /usr/lib/postgresql.
func Bin() (string, error) {
	if bin := os.Getenv("PGBIN"); bin != "" {
		if _, err := os.Stat(filepath.Join(bin, "initdb")); err != nil {
			return "", fmt.Errorf("PGBIN has no initdb: %w", err)
		}
		return bin, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", ErrNotInstalled
	}
	version := func(path string) float64 {
		v, err := strconv.ParseFloat(filepath.Base(filepath.Dir(filepath.Dir(path))), 64)
		if err != nil {
			return 0
		}
		return v
	}
	sort.Slice(found, func(i, j int) bool { return version(found[i]) > version(found[j]) })
	return filepath.Dir(found[0]), nil
}

// Start makes a cluster in a new folder below dir (empty: the system's
// temporary folder; keep it short, a socket's path has at most 107 bytes) and
// returns when it answers. Root runs it as user postgres or nobody, which must
// be able to reach dir. The error is ErrNotInstalled without binaries.
//
// The server's own time zone is not UTC on purpose: Slipway must set it.
func Start(dir string) (*Server, error) {
	bin, err := Bin()
	if err != nil {
		return nil, err
	}
	if dir, err = os.MkdirTemp(dir, "slipway-pg-"); err != nil {
		return nil, fmt.Errorf("making the cluster's folder: %w", err)
	}
	s := &Server{dir: dir}
	if err := s.start(bin); err != nil {
		s.Stop()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *Server) start(bin string) error {
	attr, err := s.unprivileged()
	if err != nil {
		return err
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(s.dir, "data"),
		"-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr, initdb.Env = s.dir, attr, environment()
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, bytes.TrimSpace(out))
	}
	conf, err := os.OpenFile(filepath.Join(s.dir, "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configuring PostgreSQL: %w", err)
	}
	_, err = conf.WriteString(configuration)
	if err := errors.Join(err, conf.Close()); err != nil {
		return fmt.Errorf("configuring PostgreSQL: %w", err)
	}

	s.cmd = exec.Command("/bin/sh", "-c", supervise, "sh", bin, s.dir)
	s.cmd.Dir, s.cmd.Env = s.dir, environment()
	// Its own group, so that an interrupt at the terminal reaches it as the end
	// of our process and not as a signal that would skip the clean-up.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: attr.Credential}
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return s.await()
}

// unprivileged hands the folder to a user that PostgreSQL accepts.
func (s *Server) unprivileged() (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	var u *user.User
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		if u, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL refuses root, and there is no other user: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", u.Username, err)
	}
	if err := os.Chown(s.dir, int(uid), int(gid)); err != nil {
		return nil, fmt.Errorf("giving the cluster's folder to %s: %w", u.Username, err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}}, nil
}

// environment keeps PG* variables of the machine away from the cluster.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=/"}
}

// await returns when the server accepts connections. PostgreSQL writes
// "ready" into the eighth line of its pid file; it has no other signal that a
// parent could wait for.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		pid, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
		if err == nil {
			lines := bytes.Split(pid, []byte("\n"))
			if len(lines) > 7 && string(bytes.TrimSpace(lines[7])) == "ready" {
				return s.dial(ctx)
			}
		}
		select {
		case <-ctx.Done():
			out, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("PostgreSQL did not start: %s", bytes.TrimSpace(out))
		case <-tick.C:
		}
	}
}

func (s *Server) dial(ctx context.Context) error {
	c, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.dir, ".s.PGSQL.5432"))
	if err != nil {
		return fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	return c.Close()
}

// URL is the connection URL of a database in this cluster. "postgres" always
// exists.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/" + database}
	u.RawQuery = url.Values{"host": {s.dir}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

// Stop ends the server and removes its folder. It may be called again.
func (s *Server) Stop() {
	s.stop.Do(func() {
		if s.stdin != nil {
			_ = s.stdin.Close() // its end is the message; a supervisor that is gone has got it
		}
		if s.cmd != nil && s.cmd.Process != nil {
			// The supervisor's exit status is that of a killed server.
			_ = s.cmd.Wait()
		}
	})
}
