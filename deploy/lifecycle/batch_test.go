package lifecycle

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// TestArrays has PostgreSQL read what the writer renders.
func TestArrays(t *testing.T) {
	st := storetest.Postgres(t)
	at := time.Date(2026, 11, 22, 10, 0, 0, 123456000, time.FixedZone("east", 3600))
	progress := 7
	var none *time.Time
	texts := []string{`plain`, ``, `NULL`, `null`, `a "quoted" \ back\\slash`, `{1,2},"x"`, "line\nnext\ttab", " lead and trail ", `ünï ✓`, `'; DROP TABLE nodes; --`}
	args := []any{}
	for _, s := range texts {
		args = append(args, s, at, &progress, sql.NullInt64{Int64: -1, Valid: true}, true, phase.Success)
	}
	args = append(args, nil, none, (*int)(nil), sql.NullInt64{}, nil, sql.NullString{})
	types := []string{"text", "timestamptz", "bigint", "bigint", "boolean", "text"}
	arrays := make([]any, len(types))
	for c := range types {
		array, err := pgArray(args, c, len(types))
		require.NoError(t, err)
		arrays[c] = array
	}
	rows, err := st.Read.Query(`SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::boolean[], $6::text[])`, arrays...)
	require.NoError(t, err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var text, status sql.NullString
		var when sql.NullTime
		var p, n sql.NullInt64
		var yes sql.NullBool
		require.NoError(t, rows.Scan(&text, &when, &p, &n, &yes, &status))
		if !text.Valid {
			require.False(t, when.Valid || p.Valid || n.Valid || yes.Valid || status.Valid, "all of the last row is NULL")
			continue
		}
		got = append(got, text.String)
		require.True(t, at.Equal(when.Time), when.Time)
		require.Equal(t, []any{int64(7), int64(-1), true, "success"}, []any{p.Int64, n.Int64, yes.Bool, status.String})
	}
	require.NoError(t, rows.Err())
	require.Equal(t, texts, got)

	_, err = pgArray([]any{struct{}{}}, 0, 1)
	require.Error(t, err, "what has no form on the database is refused, not guessed")
}

func TestNarrow(t *testing.T) {
	columns := []column{{name: "a"}, {name: "b", seldom: true}, {name: "c"}, {name: "d", seldom: true}}
	b := batch{columns: columns}
	b.add(1, nil, 2, nil)
	b.add(3, nil, 4, nil)
	b.narrow()
	require.Equal(t, "a,c", b.names())
	require.Equal(t, []any{1, 2, 3, 4}, b.args)

	b = batch{columns: columns}
	b.add(1, nil, 2, nil)
	b.add(3, nil, 4, "rare")
	b.narrow()
	require.Equal(t, "a,b,c,d", b.names(), "one value keeps all columns, so that texts of statements are few")
	require.Equal(t, []any{1, nil, 2, nil, 3, nil, 4, "rare"}, b.args)
}

// TestSteps: any group is written by two statements a table at most, and the
// texts of statements stay few.
func TestSteps(t *testing.T) {
	texts := map[int]bool{}
	for n := 1; n <= MaxGroup; n++ {
		statements := 0
		for left := n; left > 0; statements++ {
			texts[step(left)] = true
			left -= step(left)
		}
		require.LessOrEqual(t, statements, 2, n)
	}
	require.LessOrEqual(t, len(texts), 15)
}

// TestStaged: what PostgreSQL gets in one round trip is one statement.
func TestStaged(t *testing.T) {
	var s staged
	s.add("one", "UPDATE a")
	what, query, args := s.take()
	require.Equal(t, []any{"one", "UPDATE a", 0}, []any{what, query, len(args)})
	s.add("one", "UPDATE a")
	s.counter(3)
	s.add("last", "SELECT position FROM counter")
	what, query, args = s.take()
	require.Equal(t, "one, taking stream positions, last", what)
	require.Equal(t, "WITH part1 AS (UPDATE a), counter AS (UPDATE stream_counter SET position = position + $1::bigint WHERE id = 1 RETURNING position) SELECT position FROM counter", query)
	require.Equal(t, []any{3}, args)
	require.Empty(t, s.parts, "it begins anew")
}
