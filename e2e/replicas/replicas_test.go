package replicas_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// pair is two servers on one PostgreSQL.
func pair(t *testing.T) (database string, one, two *slipway) {
	t.Helper()
	database = storetest.EmptyPostgresURL(t)
	one = serve(t, database)
	two = serve(t, database)
	one.token = mint(t, database, "operator")
	two.token = one.token
	return database, one, two
}

func admin(t *testing.T, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", database)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// listeners are the connections that wait for other replicas' commits: all they
// ever ask is to listen, and, for a sign of life, nothing.
const listeners = `FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'slipway' AND (query LIKE 'LISTEN%' OR query = '') AND pid <> pg_backend_pid()`

func countListeners(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) `+listeners).Scan(&n))
	return n
}

func TestAReportToOneReplicaIsSeenAtTheOther(t *testing.T) {
	database, one, two := pair(t)
	db := admin(t, database)
	eventually(t, "both replicas listen", func() error {
		if n := countListeners(t, db); n != 2 {
			return fmt.Errorf("%d listen", n)
		}
		return nil
	})
	n := one.order(1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	page := follow(ctx, t, two.token, "", func() string { return two.URL })
	ws := dialEvents(ctx, t, two.URL, two.token, "")
	// A poll alone repairs within a second: of many, one after another, the
	// fastest would still wait for most of it. A busy machine needs more of them.
	fastest := time.Hour
	for i := 0; i < 20 || fastest >= 300*time.Millisecond && i < 100 && ctx.Err() == nil; i++ {
		text := fmt.Sprintf("across-%d", i)
		begun := time.Now()
		one.must(n, text)
		page.until(text)
		ws.until(text)
		fastest = min(fastest, time.Since(begun))
	}
	require.Less(t, fastest, 300*time.Millisecond, "nobody was woken; only polling shows what other replicas write")

	t.Run("the listeners are killed", func(t *testing.T) {
		before := len(messagesOf(two.table()))
		_, err := db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) `+listeners)
		require.NoError(t, err)
		one.must(n, "while nobody listens")
		require.Equal(t, []string{"while nobody listens"}, page.until("while nobody listens"))
		require.Equal(t, []string{"while nobody listens"}, ws.until("while nobody listens"))
		eventually(t, "both replicas listen again", func() error {
			if n := countListeners(t, db); n != 2 {
				return fmt.Errorf("%d listen", n)
			}
			return nil
		})
		one.must(n, "heard again")
		require.Equal(t, []string{"heard again"}, page.until("heard again"))
		require.Len(t, messagesOf(two.table()), before+2)
	})
}

// TestAReplicaIsKilled: its clients go on at the other one with their cursor
// and miss nothing.
func TestAReplicaIsKilled(t *testing.T) {
	_, one, two := pair(t)
	n := one.order(1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var at atomic.Pointer[slipway]
	at.Store(two)
	place := func() string { return at.Load().URL }
	page := follow(ctx, t, one.token, "", place)
	socket := followSocket(ctx, t, one.token, place)
	var said []string
	say := func(s *slipway, count int) {
		for range count {
			text := fmt.Sprintf("said-%d", len(said))
			said = append(said, text)
			s.must(n, text)
		}
	}
	say(two, 20)
	// What the dying replica has just confirmed is the part that could be lost.
	at.Store(one)
	two.kill()
	say(one, 20)
	require.Equal(t, said, page.until(said[len(said)-1]))
	require.Equal(t, said, socket.until(said[len(said)-1]))
	require.Equal(t, said, messagesOf(one.table()))
}
