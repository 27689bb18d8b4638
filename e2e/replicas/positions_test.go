package replicas_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

// replica is the writing and telling half of a server, in this process.
type replica struct {
	*lifecycle.Writer
	feed *feed.Feed
	url  string
}

func open(t *testing.T, url string) (*store.Store, *replica) {
	t.Helper()
	st, err := store.Open(t.Context(), url, store.Options{})
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	f := feed.New(st, feed.Options{Page: 16, Logger: log})
	r := &replica{feed: f, Writer: lifecycle.New(st, lifecycle.Options{Logger: log, OnCommit: f.Wake})}
	srv, err := server.New(server.Parts{Settings: server.Settings{Heartbeat: 50 * time.Millisecond}, Store: st, Access: access.New(st), Lifecycle: r.Writer,
		Statuses: query.NewStatuses(st.Ent(), nil), Feed: f, Log: log})
	require.NoError(t, err)
	site := httptest.NewServer(srv)
	r.url = site.URL
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { r.Run(ctx) })
	parts.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		srv.Drain()
		site.Close()
		cancel()
		parts.Wait()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	<-f.Ready()
	return st, r
}

// The writers: how many a replica has, and what each of them reports.
const (
	writers   = 8
	eachSays  = 40
	streaming = 2 // readers of each kind
)

// TestEveryReaderSeesTheTable: positions are given out in commit order by
// concurrent writers in several processes, and readers that come back at
// random places of whichever replica see each row of the table once and in
// order. A number that is given out before its transaction commits would be
// passed by a reader and never seen.
func TestEveryReaderSeesTheTable(t *testing.T) {
	t.Run("two replicas on postgres", func(t *testing.T) {
		url := storetest.PostgresURL(t)
		st, one := open(t, url)
		_, two := open(t, url)
		everyReader(t, st, one, two)
	})
	t.Run("sqlite", func(t *testing.T) {
		st, one := open(t, storetest.SQLiteURL(t))
		everyReader(t, st, one)
	})
}

func everyReader(t *testing.T, st *store.Store, replicas ...*replica) {
	token, _, err := access.New(st).CreateToken(t.Context(), access.NewToken{Name: "reader", Role: access.RoleViewer})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last atomic.Int64 // the last position, once everything is written
	var wg sync.WaitGroup
	saw := map[string]*[]int64{}
	for i := range streaming {
		for kind, read := range map[string]func(*wanderer) []int64{"feed": (*wanderer).readFeed, "sse": (*wanderer).readSSE} {
			w := &wanderer{t: t, ctx: ctx, rand: rand.New(rand.NewPCG(1, uint64(i))), last: &last, replicas: replicas, token: token}
			got := new([]int64)
			saw[fmt.Sprint(kind, i)] = got
			wg.Go(func() { *got = read(w) })
		}
	}
	write(t, replicas)
	var newest int64
	require.NoError(t, st.Read.QueryRow(`SELECT MAX(position) FROM deployment_history`).Scan(&newest))
	last.Store(newest)
	wg.Wait()

	want, sequences := wholeTable(t, st)
	require.GreaterOrEqual(t, len(want), len(replicas)*writers*eachSays)
	for name, got := range saw {
		require.Equal(t, want, *got, name)
	}
	for id, s := range sequences {
		for i, n := range s {
			require.Equal(t, i+1, n, "deployment %d: its sequence has a gap", id)
		}
	}
}

// write has every writer of every replica report at once, on a deployment of
// its own and on one that all of them share.
func write(t *testing.T, replicas []*replica) {
	t.Helper()
	order := func(r *replica, name string) int64 {
		d, err := r.Deploy(context.Background(), lifecycle.NewDeployment{Name: name, Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "p"}, Actor: deploy.System})
		if err != nil {
			t.Error(err)
		}
		return d.DeploymentID
	}
	shared := order(replicas[0], "shared")
	var wg sync.WaitGroup
	for i, r := range replicas {
		for j := range writers {
			wg.Go(func() {
				own := order(r, fmt.Sprintf("own-%d-%d", i, j))
				for k := range eachSays {
					id := own
					if k%4 == 0 {
						id = shared
					}
					_, err := r.Report(context.Background(), lifecycle.Report{DeploymentID: id, Phase: "note", Status: phase.InProgress, As: phase.ByMachine,
						Message: fmt.Sprint(i, j, k), Source: deploy.SourceInstallerScript})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
}

// wanderer is a reader that breaks off at random and goes on at another
// replica, or the same.
type wanderer struct {
	t        *testing.T
	ctx      context.Context
	rand     *rand.Rand
	last     *atomic.Int64
	replicas []*replica
	token    string
	at       int64 // the cursor it would come back with
	saw      []int64
}

func (w *wanderer) done() bool {
	last := w.last.Load()
	return last > 0 && w.at >= last || w.ctx.Err() != nil
}

func (w *wanderer) replica() *replica { return w.replicas[w.rand.IntN(len(w.replicas))] }

// readFeed breaks off inside of batches as well: what comes behind is as if it
// had been lost.
func (w *wanderer) readFeed() []int64 {
	for !w.done() {
		f := w.replica().feed
		at := f.Cursor(w.at)
		s := f.Events(feed.Filter{IncludeRefused: true}, &at, 20*time.Millisecond)
		for left := 1 + w.rand.IntN(60); left > 0 && !w.done(); {
			b, err := s.Next(w.ctx)
			if err != nil || b.Reset != feed.ResetNone {
				w.t.Errorf("a stream broke: %v %s", err, b.Reset)
				s.Close()
				return w.saw
			}
			for _, e := range b.Events[:min(left, len(b.Events))] {
				w.saw, w.at = append(w.saw, e.Position), e.Position
			}
			if left >= len(b.Events) {
				w.at = b.Cursor.Position
			}
			left -= max(1, len(b.Events))
		}
		s.Close()
	}
	return w.saw
}

func (w *wanderer) readSSE() []int64 {
	for !w.done() {
		r := w.replica()
		s, err := openSSE(w.ctx, r.url, "?include=refused", w.token, r.feed.Cursor(w.at).String())
		if err != nil {
			w.t.Error(err)
			return w.saw
		}
		for left := 1 + w.rand.IntN(60); left > 0 && !w.done(); left-- {
			m, err := s.next()
			if err != nil || m.event == "reset" {
				w.t.Errorf("a stream broke: %v %v", err, m)
				s.close()
				return w.saw
			}
			c, err := feed.ParseCursor(m.id)
			if err != nil {
				w.t.Error(err)
			}
			if w.at = c.Position; m.event == "phase" {
				w.saw = append(w.saw, c.Position)
			}
		}
		s.close()
	}
	return w.saw
}

// wholeTable is every event's position, and each deployment's sequence.
func wholeTable(t *testing.T, st *store.Store) (positions []int64, sequences map[int64][]int) {
	t.Helper()
	rows, err := st.Read.Query(`SELECT position, deployment_id, sequence FROM deployment_history ORDER BY position`)
	require.NoError(t, err)
	defer rows.Close()
	sequences = map[int64][]int{}
	for rows.Next() {
		var p, id int64
		var n int
		require.NoError(t, rows.Scan(&p, &id, &n))
		positions, sequences[id] = append(positions, p), append(sequences[id], n)
	}
	require.NoError(t, rows.Err())
	return positions, sequences
}
