package fanoutbench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/graph"
	"github.com/slipwayhq/slipway/graph/generated"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// serverEnv makes the test binary the server; its value is the database file.
const serverEnv = "SLIPWAY_FANOUT_SERVER"

func TestMain(m *testing.M) {
	if file := os.Getenv(serverEnv); file != "" {
		if err := serve(file); err != nil {
			fmt.Fprintln(os.Stderr, "server:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// order is a line on the server's standard input.
type order struct {
	Cmd     string // usage, pace, produce, log
	N       int    // of produce: how many reports to make at once
	Rate    int    // of pace: reports a second
	Seconds float64
}

// state is the server's answer to every order.
type state struct {
	Addr       string
	CPU        time.Duration // user and system, of the process
	RSS        int64         // bytes, after what is free was given back
	Heap       int64         // bytes in use, stacks included
	Goroutines int
	Made       int // reports that are committed
	Sharing    wstransport.Sharing
	Sockets    int
	Commits    []int64  `json:",omitempty"` // of log: when report i was committed, Unix time in ns
	Cursors    []string `json:",omitempty"` // of log: the reports' places in the stream, in order
}

// site is the server: a real feed and writer on SQLite, and both transports.
type site struct {
	feed    *feed.Feed
	writer  *lifecycle.Writer
	handler *graph.Handler
	deps    []lifecycle.Deployed
	work    chan int

	mu        sync.Mutex
	issued    int
	made      int
	positions []int64 // of report i
	commits   []commit
}

type commit struct{ position, at int64 }

func serve(file string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	st, err := store.Open(ctx, "sqlite:"+file, store.Options{})
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.Migrate(ctx); err != nil {
		return err
	}
	s := &site{feed: feed.New(st, feed.Options{Logger: log}), work: make(chan int, 1<<16)}
	s.writer = lifecycle.New(st, lifecycle.Options{Logger: log, OnCommit: s.committed})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.writer.Run(ctx) })
	wg.Go(func() { _ = s.feed.Run(ctx) })
	<-s.feed.Ready()
	for i := range 50 {
		d, err := s.writer.Deploy(ctx, lifecycle.NewDeployment{Name: fmt.Sprint("n", i),
			Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}, Actor: deploy.Actor{Kind: deploy.ActorToken, Name: "bench"}})
		if err != nil {
			return err
		}
		s.deps = append(s.deps, d)
	}
	for range 64 {
		wg.Go(func() { s.report(ctx) })
	}
	read := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.SQLite, st.Read)))
	api := graph.Deps{Fleet: query.NewFleet(read, query.NewStatuses(read, nil), nil), Feed: s.feed, Commands: s.writer, Version: "bench", Logger: log,
		// Neither side pings: the baseline does not by default.
		Sockets: wstransport.Config{PingInterval: time.Hour}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: s.routes(api), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(listener) }()
	defer srv.Close()
	return s.obey(ctx, listener.Addr().String())
}

// routes serves the same resolvers with the shared transport and with gqlgen's.
func (s *site) routes(api graph.Deps) http.Handler {
	s.handler = graph.NewHandler(api)
	base := handler.New(generated.NewExecutableSchema(generated.Config{Resolvers: &graph.Resolver{Deps: api}}))
	base.AddTransport(transport.Websocket{})
	base.SetQueryCache(lru.New[*ast.QueryDocument](500))
	as := &access.Principal{Kind: access.KindToken, Role: access.RoleViewer, Name: "bench"}
	signed := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(access.NewContext(r.Context(), as)))
		})
	}
	mux := http.NewServeMux()
	mux.Handle("/shared", signed(s.handler))
	mux.Handle("/gqlgen", signed(base))
	return mux
}

func (s *site) committed(position int64) {
	s.mu.Lock()
	s.commits = append(s.commits, commit{position, time.Now().UnixNano()})
	s.mu.Unlock()
	s.feed.Wake(position)
}

// report makes the reports that are asked for, as a machine's script does.
func (s *site) report(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-s.work:
			r, err := s.writer.Report(ctx, lifecycle.Report{DeploymentID: s.deps[n%len(s.deps)].DeploymentID, Phase: "note", Status: phase.InProgress,
				Message: fmt.Sprintf("~%d| of the installation goes on", n), As: phase.ByMachine, Source: deploy.SourceInstallerScript})
			if err != nil {
				continue // the bench notices: the count stays behind
			}
			s.mu.Lock()
			s.positions[n] = r.Position
			s.made++
			s.mu.Unlock()
		}
	}
}

func (s *site) issue(n int) {
	s.mu.Lock()
	first := s.issued
	s.issued += n
	s.positions = append(s.positions, make([]int64, n)...)
	s.mu.Unlock()
	for i := range n {
		s.work <- first + i
	}
}

func (s *site) pace(rate int, d time.Duration) {
	t := time.NewTicker(time.Second / time.Duration(rate))
	defer t.Stop()
	for range int(d.Seconds() * float64(rate)) {
		<-t.C
		s.issue(1)
	}
}

// obey answers orders until standard input ends.
func (s *site) obey(_ context.Context, addr string) error {
	enc := json.NewEncoder(os.Stdout)
	if err := enc.Encode(state{Addr: addr}); err != nil {
		return err
	}
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		var st state
		switch o.Cmd {
		case "produce":
			s.issue(o.N)
		case "pace":
			s.pace(o.Rate, time.Duration(o.Seconds*float64(time.Second)))
		case "free":
			debug.FreeOSMemory()
			st.RSS = rss()
		case "log":
			st.Commits, st.Cursors = s.history()
		}
		s.usage(&st)
		if err := enc.Encode(st); err != nil {
			return err
		}
	}
}

func (s *site) usage(st *state) {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	st.CPU = time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	st.Heap = int64(ms.HeapInuse + ms.StackInuse)
	st.Goroutines = runtime.NumGoroutine()
	st.Sharing, st.Sockets = s.handler.Sharing(), s.handler.Stats().Sockets
	s.mu.Lock()
	st.Made = s.made
	s.mu.Unlock()
}

// history tells when and where each report was committed.
func (s *site) history() (at []int64, cursors []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.positions {
		i := 0
		for lo, hi := 0, len(s.commits); lo < hi; {
			mid := (lo + hi) / 2
			if s.commits[mid].position >= p {
				hi = mid
			} else {
				lo = mid + 1
			}
			i = lo
		}
		when := int64(0)
		if i < len(s.commits) {
			when = s.commits[i].at
		}
		at = append(at, when)
	}
	for _, p := range slices.Sorted(slices.Values(s.positions)) {
		cursors = append(cursors, s.feed.Cursor(p).String())
	}
	return at, cursors
}

// rss reads the resident memory of the process (proc(5), statm).
func rss() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	_, _ = fmt.Fscan(strings.NewReader(string(b)), &size, &resident)
	return resident * int64(os.Getpagesize())
}
