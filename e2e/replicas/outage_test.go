package replicas_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/deploy/store/storetest/pgtemp"
)

// postgres is a PostgreSQL of the test's own that it can stop, freeze and
// start again.
type postgres struct {
	t    *testing.T
	dir  string
	url  string
	main *process // nil while it is the one that pgtemp started
}

func ownPostgres(t *testing.T) *postgres {
	t.Helper()
	first, err := storetest.StartPostgres("")
	if errors.Is(err, pgtemp.ErrNotInstalled) && os.Getenv(storetest.RequireEnv) != "1" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(first.Stop)
	address, err := url.Parse(first.URL("postgres"))
	require.NoError(t, err)
	return &postgres{t: t, dir: address.Query().Get("host"), url: first.URL("postgres")}
}

func (p *postgres) pid() (int, error) {
	raw, err := os.ReadFile(filepath.Join(p.dir, "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	return strconv.Atoi(first)
}

// signal sends a signal to the server and, if all, to its children.
func (p *postgres) signal(sig syscall.Signal, all bool) {
	p.t.Helper()
	pid, err := p.pid()
	require.NoError(p.t, err)
	pids := []int{pid}
	if all {
		pids = append(pids, children(p.t, pid)...)
	}
	for _, one := range pids {
		if err := syscall.Kill(one, sig); !errors.Is(err, syscall.ESRCH) { // a child may be gone by now
			require.NoError(p.t, err)
		}
	}
}

func children(t *testing.T, pid int) (out []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	require.NoError(t, err)
	for _, task := range tasks {
		raw, err := os.ReadFile(task)
		require.NoError(t, err)
		for field := range strings.FieldsSeq(string(raw)) {
			child, err := strconv.Atoi(field)
			require.NoError(t, err)
			out = append(out, child)
		}
	}
	return out
}

// stop is `pg_ctl stop -m fast`: connections are ended, none is taken any more.
func (p *postgres) stop() {
	p.t.Helper()
	p.signal(syscall.SIGINT, false)
	eventually(p.t, "PostgreSQL has stopped", func() error {
		if _, err := p.pid(); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("its pid file is there: %w", err)
		}
		return nil
	})
}

func (p *postgres) start() {
	p.t.Helper()
	bin, err := pgtemp.Bin()
	require.NoError(p.t, err)
	data := filepath.Join(p.dir, "data")
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", p.dir)
	cmd.Dir, cmd.Env = p.dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=/"}
	if os.Getuid() == 0 { // which PostgreSQL refuses; the folder's owner will do
		info, err := os.Stat(data)
		require.NoError(p.t, err)
		owner, ok := info.Sys().(*syscall.Stat_t)
		require.True(p.t, ok)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid, NoSetGroups: true}}
	}
	p.main = start(p.t, cmd)
	p.main.printed("database system is ready|ending log output")
}

// trouble is a way to lose a database, and to get it back.
type trouble struct {
	begin, end func(t *testing.T)
}

// outage checks what a server does before, while and after its database
// cannot be used.
func outage(t *testing.T, s *slipway, way trouble) {
	t.Helper()
	s.token = mint(t, s.database, "operator")
	n := s.order(1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	page := follow(ctx, t, s.token, "", func() string { return s.URL })
	ws := dialEvents(ctx, t, s.URL, s.token, "")
	session := signIn(t, s)
	begun := time.Now() // what reads the message succeeds later than this
	s.must(n, "before")
	require.Equal(t, []string{"before"}, page.until("before"))
	require.Equal(t, []string{"before"}, ws.until("before"))

	open, err := openSocket(ctx, s.URL, s.token)
	require.NoError(t, err)
	defer open.Close()

	way.begin(t)
	outageOverGraphQL(ctx, t, s, open)
	silent := ws.beat(true)
	require.WithinRange(t, *silent.StaleSince, begun.Add(-time.Second), silent.At)
	require.Less(t, silent.At.Sub(*silent.StaleSince), patience)
	// A machine that keeps its reports and sends them strictly in order, as
	// report.sh does. Until it is over each of its attempts is a 503.
	sender := newSender(s, n)
	for i := range 30 {
		sender.add(fmt.Sprintf("buffered-%d", i))
	}
	sender.attempt(ctx)
	require.NotEmpty(t, sender.refusals, "a report was taken without a database")
	unavailable(t, s, http.MethodGet, "/api/status/summary", s.token)
	unavailable(t, s, http.MethodGet, "/api/status/events?limit=1", s.token)
	eventually(t, "/readyz says so", func() error {
		r, err := call(ctx, "", http.MethodGet, s.URL+"/readyz", nil)
		if err == nil && (r.status != http.StatusServiceUnavailable || !strings.Contains(string(r.body), `"stale_since":"20`) || r.header.Get("Retry-After") == "") {
			err = errors.New(r.String())
		}
		return err
	})
	later := ws.beat(true)
	require.Equal(t, *silent.StaleSince, *later.StaleSince, "the time goes on, what is known does not")
	require.True(t, silent.At.Before(later.At))
	r, err := call(ctx, "", http.MethodGet, s.URL+"/healthz", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.status, "the process itself is well: nobody should restart it")
	triesAgainLater(ctx, t, s)
	way.end(t)

	sender.send(ctx)
	last := sender.said[len(sender.said)-1]
	require.Equal(t, sender.said, page.until(last))
	require.Equal(t, sender.said, ws.until(last), "the socket is the one from before")
	require.Equal(t, append([]string{"before"}, sender.said...), messagesOf(s.table()), "buffered reports go in exactly once")
	for _, r := range sender.refusals {
		require.Equal(t, http.StatusServiceUnavailable, r.status, r.String())
		require.NotEmpty(t, r.header.Get("Retry-After"))
		require.Contains(t, string(r.body), `"code":"upstream_unavailable"`)
	}
	require.Nil(t, ws.beat(false).StaleSince)
	sequences(t, s, n)
	recovered(t, s, session)
}

// outageOverGraphQL checks that GraphQL says what is wrong: nothing with the
// request, and nothing inside.
func outageOverGraphQL(ctx context.Context, t *testing.T, s *slipway, open *websocket.Conn) {
	t.Helper()
	told := func(text string) {
		t.Helper()
		require.Contains(t, text, `"code":"UPSTREAM_UNAVAILABLE"`)
		require.Contains(t, text, `"retryable":true`)
	}
	// All at once: a database that hangs is waited for.
	query := map[string]string{"query": `{fleetSummary{total}}`}
	var text string
	var known, stranger reply
	var errs [3]error
	var asked sync.WaitGroup
	asked.Go(func() { text, errs[0] = ask(open, "during", query["query"]) })
	asked.Go(func() { known, errs[1] = call(ctx, s.token, http.MethodPost, s.URL+"/graphql", query) })
	asked.Go(func() {
		stranger, errs[2] = call(ctx, "slw_"+strings.Repeat("x", 43), http.MethodPost, s.URL+"/graphql", query)
	})
	asked.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	told(text) // the socket is the one from before
	// Whose token was looked up a moment ago is known still, and the operation is
	// begun: 200. Everybody else cannot be known: 503, and nothing was executed.
	require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, known.status, known.String())
	told(string(known.body))
	require.Equal(t, http.StatusServiceUnavailable, stranger.status, stranger.String())
	require.NotEmpty(t, stranger.header.Get("Retry-After"))
	require.NotContains(t, string(stranger.body), `"data"`)
	told(string(stranger.body))
}

// triesAgainLater checks what a socket is told whose token cannot be looked up:
// not that it is forbidden, which a client takes for the end of its sign-in.
func triesAgainLater(ctx context.Context, t *testing.T, s *slipway) {
	t.Helper()
	_, err := openSocket(ctx, s.URL, "slw_"+strings.Repeat("x", 43))
	require.True(t, websocket.IsCloseError(err, websocket.CloseTryAgainLater), "%v", err)
}

// unavailable checks that a call is refused for now.
func unavailable(t *testing.T, s *slipway, method, path, token string) {
	t.Helper()
	r, err := call(t.Context(), token, method, s.URL+path, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, r.status, r.String())
	require.NotEmpty(t, r.header.Get("Retry-After"))
}

// sequences checks that nothing is half-done: the deployment's events count
// from 1 without a gap.
func sequences(t *testing.T, s *slipway, n node) {
	t.Helper()
	var got, want []int
	for _, r := range s.table() {
		if r.DeploymentID == n.DeploymentID {
			got, want = append(got, r.Sequence), append(want, len(want)+1)
		}
	}
	require.Equal(t, want, got)
}

// recovered checks that the rest works again without a restart: readiness,
// sessions, new orders, and the workflow that takes them up.
func recovered(t *testing.T, s *slipway, session *http.Cookie) {
	t.Helper()
	if strings.HasPrefix(s.database, "postgres") {
		nothingIsLost(t, s)
	}
	eventually(t, "the server is ready again", func() error {
		r, err := call(t.Context(), "", http.MethodGet, s.URL+"/readyz", nil)
		if err == nil && r.status != http.StatusOK {
			err = errors.New(r.String())
		}
		return err
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/status/summary", nil)
	require.NoError(t, err)
	req.AddCookie(session)
	resp, err := web.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode, "the session has outlived the outage")
	n := s.order(2)
	eventually(t, "the workflow takes up the next order", func() error {
		r, err := call(t.Context(), s.token, http.MethodGet, fmt.Sprintf("%s/api/status/nodes/%d", s.URL, n.ID), nil)
		if err != nil {
			return err
		}
		var st struct {
			Phase string `json:"current_phase"`
		}
		if err := json.Unmarshal(r.body, &st); err != nil || st.Phase != "monitoring_start" {
			return fmt.Errorf("%s %w", r, err)
		}
		return nil
	})
	select {
	case <-s.ended:
		require.FailNow(t, "the server has ended")
	default:
	}
}

// nothingIsLost checks that soon after the outage no step is marked as running
// that is not: steps of a rack take milliseconds. River alone would find such a
// step 90 s after it was taken.
func nothingIsLost(t *testing.T, s *slipway) {
	t.Helper()
	db := admin(t, s.database)
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var lost int
		err := db.QueryRowContext(ctx, `SELECT count(*) FROM river_job WHERE state = 'running' AND attempted_at < now() - interval '5 seconds'`).Scan(&lost)
		if err == nil && lost == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			require.FailNow(t, "steps are lost", "%d, %v", lost, err)
		}
	}
}

// signIn makes a session as the app does it.
func signIn(t *testing.T, s *slipway) *http.Cookie {
	t.Helper()
	path, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(path, "token", "signin", "somebody", "--data-dir="+t.TempDir(), "--database="+s.database, "--server="+s.URL)
	cmd.Env = clean()
	out, err := cmd.Output()
	require.NoError(t, err)
	_, code, ok := strings.Cut(strings.TrimSpace(string(out)), "#signin=")
	require.True(t, ok, string(out))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/session", strings.NewReader(`{"code":"`+code+`"}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", s.URL)
	resp, err := web.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	i := slices.IndexFunc(resp.Cookies(), func(c *http.Cookie) bool { return c.Name == "slipway_session" })
	require.GreaterOrEqual(t, i, 0, "%d", resp.StatusCode)
	return resp.Cookies()[i]
}

// sender buffers reports and sends them first in, first out; one that was not
// answered with 200 is sent again, with the same key.
type sender struct {
	s        *slipway
	n        node
	waiting  []string
	said     []string
	refusals []reply
}

func newSender(s *slipway, n node) *sender { return &sender{s: s, n: n} }

func (q *sender) add(text string) { q.waiting, q.said = append(q.waiting, text), append(q.said, text) }

// attempt sends until one is not taken; it reports whether all are.
func (q *sender) attempt(ctx context.Context) bool {
	for len(q.waiting) > 0 {
		r, err := q.s.say(ctx, q.n, q.waiting[0])
		if err != nil {
			return false
		}
		if r.status != http.StatusOK {
			q.refusals = append(q.refusals, r)
			return false
		}
		q.waiting = q.waiting[1:]
	}
	return true
}

func (q *sender) send(ctx context.Context) {
	for !q.attempt(ctx) {
		if ctx.Err() != nil {
			require.FailNow(q.s.t, "the reports were never taken", "%v", q.refusals[len(q.refusals)-1])
		}
		pause(ctx)
	}
}

func TestTheDatabaseGoesAway(t *testing.T) {
	t.Run("postgres is stopped and started", func(t *testing.T) {
		p := ownPostgres(t)
		outage(t, serve(t, p.url), trouble{begin: func(*testing.T) { p.stop() }, end: func(*testing.T) { p.start() }})
	})
	t.Run("postgres refuses all connections", func(t *testing.T) {
		p := ownPostgres(t)
		db := admin(t, p.url)
		_, err := db.ExecContext(t.Context(), `CREATE DATABASE served`)
		require.NoError(t, err)
		set := func(allowed bool) func(*testing.T) {
			return func(t *testing.T) {
				_, err := db.ExecContext(t.Context(), fmt.Sprintf(`ALTER DATABASE served ALLOW_CONNECTIONS %v`, allowed))
				require.NoError(t, err)
				_, err = db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'served'`)
				require.NoError(t, err)
			}
		}
		outage(t, serve(t, strings.Replace(p.url, "/postgres?", "/served?", 1)), trouble{begin: set(false), end: set(true)})
	})
	t.Run("postgres hangs", func(t *testing.T) {
		p := ownPostgres(t)
		outage(t, serve(t, p.url), trouble{
			begin: func(*testing.T) { p.signal(syscall.SIGSTOP, true) },
			end:   func(*testing.T) { p.signal(syscall.SIGCONT, true) },
		})
	})
}

// TestTheFileIsLocked: another process holds SQLite's file for longer than
// the busy timeout.
func TestTheFileIsLocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slipway.db")
	s := serve(t, "sqlite:"+file)
	s.token = mint(t, s.database, "operator")
	n := s.order(1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	page := follow(ctx, t, s.token, "", func() string { return s.URL })
	s.must(n, "before")

	other, err := store.Open(ctx, s.database, store.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	tx, err := other.Write.BeginTx(ctx, nil) // BEGIN IMMEDIATE: it has the file's one lock for writers
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	sender := newSender(s, n)
	for i := range 10 {
		sender.add(fmt.Sprintf("buffered-%d", i))
	}
	require.False(t, sender.attempt(ctx))
	require.Len(t, sender.refusals, 1)
	r := sender.refusals[0]
	require.Equal(t, http.StatusServiceUnavailable, r.status, r.String())
	require.NotEmpty(t, r.header.Get("Retry-After"))
	// Readers need no lock.
	require.Equal(t, []string{"before"}, messagesOf(s.table()))
	require.NoError(t, tx.Rollback())
	sender.send(ctx)
	last := sender.said[len(sender.said)-1]
	require.Equal(t, append([]string{"before"}, sender.said...), page.until(last))
	require.Equal(t, append([]string{"before"}, sender.said...), messagesOf(s.table()))
	sequences(t, s, n)
}
