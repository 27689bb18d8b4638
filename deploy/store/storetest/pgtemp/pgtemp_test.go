package pgtemp_test

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"github.com/slipwayhq/slipway/deploy/store/storetest/pgtemp"
)

// holdEnv turns the test binary into a process that starts a server, says
// where, and waits to be killed.
const holdEnv = "PGTEMP_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdEnv) == "" {
		os.Exit(m.Run())
	}
	s, err := pgtemp.Start("")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.URL("postgres"))
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

func folder(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("host")
}

func query(t *testing.T, address string) {
	t.Helper()
	db, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var version string
	if err := db.QueryRowContext(t.Context(), `SHOW server_version`).Scan(&version); err != nil || version == "" {
		t.Fatalf("the server answers %q, %v", version, err)
	}
}

func needBinaries(t *testing.T) {
	t.Helper()
	if _, err := pgtemp.Bin(); errors.Is(err, pgtemp.ErrNotInstalled) && os.Getenv("SLIPWAY_REQUIRE_POSTGRES") != "1" {
		t.Skip(err)
	}
}

func TestStartAndStop(t *testing.T) {
	needBinaries(t)
	s, err := pgtemp.Start("")
	if err != nil {
		t.Fatal(err)
	}
	query(t, s.URL("postgres"))
	s.Stop()
	s.Stop()
	if _, err := os.Stat(folder(t, s.URL("postgres"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left behind: %v", err)
	}
}

func TestServerEndsWithAKilledProcess(t *testing.T) {
	needBinaries(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), holdEnv+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSpace(line)
	query(t, address)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	gone(t, folder(t, address))
}

// gone waits for another process, the supervisor, to remove the folder, which
// is the last thing it does.
func gone(t *testing.T, dir string) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s is still there after its process was killed", dir)
		case <-tick.C:
		}
	}
}

func TestPGBINIsBelieved(t *testing.T) {
	t.Setenv("PGBIN", t.TempDir())
	if _, err := pgtemp.Start(""); err == nil || errors.Is(err, pgtemp.ErrNotInstalled) {
		t.Errorf("a wrong PGBIN: %v, want an error that is not a reason to skip", err)
	}
}
