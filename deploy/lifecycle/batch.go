package lifecycle

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy/store"
)

// column is a column of a batch and its type on PostgreSQL.
type column struct {
	name, pgType string
	// moved: the value is a stream position. On PostgreSQL it is relative to the
	// counter, which the same statement moves.
	moved bool
	// seldom: most rows have NULL here. Without a value in any row it is left out.
	seldom bool
}

// batch gathers rows for one statement: a group of reports costs a handful,
// not a handful each.
type batch struct {
	columns []column
	args    []any
	rows    int
}

func (b *batch) add(values ...any) {
	if len(values) != len(b.columns) {
		panic(fmt.Sprintf("lifecycle: a row of %d values for %d columns", len(values), len(b.columns)))
	}
	b.args = append(b.args, values...)
	b.rows++
}

// narrow drops the columns that seldom have a value, if no row has one.
func (b *batch) narrow() {
	keep := make([]column, 0, len(b.columns))
	for _, c := range b.columns {
		if !c.seldom {
			keep = append(keep, c)
		}
	}
	args := make([]any, 0, b.rows*len(keep))
	for i, v := range b.args {
		switch {
		case !b.columns[i%len(b.columns)].seldom:
			args = append(args, v)
		case v != nil:
			return
		}
	}
	b.columns, b.args = keep, args
}

// values renders "(?,?),(?,?)": SQLite looks named parameters up one by one.
func (b *batch) values(sql *strings.Builder, rows int) {
	row := "(" + strings.Repeat("?,", len(b.columns)-1) + "?)"
	sql.WriteString(strings.Repeat(row+",", rows-1) + row)
}

// chunks calls write for rows and their arguments, in steps of which there are
// few: each is a statement of its own that is kept prepared.
func (b *batch) chunks(write func(rows int, args []any) error) error {
	args := b.args
	for left := b.rows; left > 0; {
		rows := step(left)
		cut := rows * len(b.columns)
		if err := write(rows, args[:cut]); err != nil {
			return err
		}
		args, left = args[cut:], left-rows
	}
	return nil
}

// names are the columns' names.
func (b *batch) names() string {
	names := make([]string, len(b.columns))
	for i, c := range b.columns {
		names[i] = c.name
	}
	return strings.Join(names, ",")
}

// from renders the batch as a table v with the columns column1, column2 … for
// PostgreSQL, each column an array: so the text does not depend on the number
// of rows. counter says that the statement needs the stream counter too.
func (b *batch) from(s *staged) (table string, counter bool, err error) {
	var arrays, names strings.Builder
	for c, col := range b.columns {
		array, err := pgArray(b.args, c, len(b.columns))
		if err != nil {
			return "", false, err
		}
		if c > 0 {
			arrays.WriteByte(',')
			names.WriteByte(',')
		}
		s.args = append(s.args, array)
		arrays.WriteString("$" + strconv.Itoa(len(s.args)) + "::" + col.pgType + "[]")
		names.WriteString("column" + strconv.Itoa(c+1))
		counter = counter || col.moved
	}
	table = "unnest(" + arrays.String() + ") AS v(" + names.String() + ")"
	if counter {
		table += ", counter"
	}
	return table, counter, nil
}

// value is column c of the table v.
func (b *batch) value(c int, counter bool) string {
	v := "v.column" + strconv.Itoa(c+1)
	if counter && b.columns[c].moved {
		return "counter.position+" + v
	}
	return v
}

// assignments renders "a=v.column1,b=v.column2" for all columns but the last,
// which is the id. SQLite calls the columns of a VALUES list so by itself.
func (b *batch) assignments(counter bool) string {
	out := make([]string, len(b.columns)-1)
	for c := range out {
		out[c] = b.columns[c].name + "=" + b.value(c, counter)
	}
	return strings.Join(out, ",")
}

// update sets every column but the last, which is the id.
func (b *batch) update(tx *Tx, what, table, also string) error {
	if b.rows == 0 {
		return nil
	}
	id := strconv.Itoa(len(b.columns))
	if tx.w.store.Dialect == store.PostgreSQL {
		from, counter, err := b.from(&tx.staged)
		if err != nil {
			return fmt.Errorf("lifecycle: %s: %w", what, err)
		}
		tx.staged.add(what, "UPDATE "+table+" SET "+b.assignments(counter)+also+" FROM "+from+" WHERE "+table+".id = v.column"+id)
		return nil
	}
	return b.chunks(func(rows int, args []any) error {
		var sql strings.Builder
		sql.WriteString("UPDATE " + table + " SET " + b.assignments(false) + also + " FROM (VALUES ")
		b.values(&sql, rows)
		sql.WriteString(") AS v WHERE " + table + ".id = v.column" + id)
		return tx.exec(what, sql.String(), args...)
	})
}

// insert writes all rows.
func (b *batch) insert(tx *Tx, what, table string) error {
	if b.rows == 0 {
		return nil
	}
	if tx.w.store.Dialect == store.PostgreSQL {
		from, counter, err := b.from(&tx.staged)
		if err != nil {
			return fmt.Errorf("lifecycle: %s: %w", what, err)
		}
		values := make([]string, len(b.columns))
		for c := range values {
			values[c] = b.value(c, counter)
		}
		tx.staged.add(what, "INSERT INTO "+table+" ("+b.names()+") SELECT "+strings.Join(values, ",")+" FROM "+from)
		return nil
	}
	b.narrow()
	return b.chunks(func(rows int, args []any) error {
		var sql strings.Builder
		sql.WriteString("INSERT INTO " + table + " (" + b.names() + ") VALUES ")
		b.values(&sql, rows)
		return tx.exec(what, sql.String(), args...)
	})
}

var runUpdate = []column{
	{name: "status", pgType: "text"}, {name: "tries", pgType: "bigint"}, {name: "progress", pgType: "bigint"}, {name: "message", pgType: "text"},
	{name: "last_hash", pgType: "text"}, {name: "last_sequence", pgType: "bigint"}, {name: "awaiting", pgType: "text"}, {name: "evidence", pgType: "text"},
	{name: "awaiting_since", pgType: "timestamptz"}, {name: "started_at", pgType: "timestamptz"}, {name: "finished_at", pgType: "timestamptz"},
	{name: "deadline_at", pgType: "timestamptz"}, {name: "clock_stopped_at", pgType: "timestamptz"}, {name: "stopped_ms", pgType: "bigint"}, {name: "id", pgType: "bigint"},
}

var runInsert = []column{
	{name: "deployment_id", pgType: "bigint"}, {name: "attempt", pgType: "bigint"}, {name: "phase", pgType: "text"}, {name: "ordinal", pgType: "bigint"},
	{name: "provider", pgType: "text"}, {name: "server_profile", pgType: "text"}, {name: "status", pgType: "text"}, {name: "tries", pgType: "bigint"},
	{name: "progress", pgType: "bigint"}, {name: "message", pgType: "text"}, {name: "last_hash", pgType: "text"}, {name: "last_sequence", pgType: "bigint"},
	{name: "awaiting", pgType: "text"}, {name: "evidence", pgType: "text"}, {name: "awaiting_since", pgType: "timestamptz"}, {name: "entered_at", pgType: "timestamptz"},
	{name: "started_at", pgType: "timestamptz"}, {name: "finished_at", pgType: "timestamptz"}, {name: "deadline_at", pgType: "timestamptz"},
	{name: "clock_stopped_at", pgType: "timestamptz"}, {name: "stopped_ms", pgType: "bigint"},
}

var deploymentUpdate = []column{
	{name: "attempt", pgType: "bigint"}, {name: "state", pgType: "text"}, {name: "phase", pgType: "text"}, {name: "phase_status", pgType: "text"},
	{name: "maintenance", pgType: "boolean"}, {name: "sequence", pgType: "bigint"}, {name: "boots", pgType: "bigint"}, {name: "reboots", pgType: "bigint"},
	{name: "resume_phase", pgType: "text"}, {name: "failure_phase", pgType: "text"}, {name: "failure_code", pgType: "text"}, {name: "failure_message", pgType: "text"}, {name: "failure_hint", pgType: "text"},
	{name: "failure_retryable", pgType: "boolean"}, {name: "failure_sequence", pgType: "bigint"}, {name: "failed_at", pgType: "timestamptz"},
	{name: "started_at", pgType: "timestamptz"}, {name: "finished_at", pgType: "timestamptz"}, {name: "updated_at", pgType: "timestamptz"}, {name: "id", pgType: "bigint"},
}

var nodeUpdate = []column{
	{name: "name", pgType: "text"}, {name: "server_profile", pgType: "text"}, {name: "management_ip", pgType: "text"}, {name: "workload_ip", pgType: "text"},
	{name: "mac", pgType: "text"}, {name: "mac_addresses", pgType: "jsonb"}, {name: "labels", pgType: "jsonb"}, {name: "deployment_status", pgType: "text"},
	{name: "state", pgType: "text"}, {name: "current_deployment_id", pgType: "bigint"}, {name: "server_id", pgType: "text"}, {name: "server_status", pgType: "text"},
	{name: "ssh_host_key", pgType: "text"}, {name: "boot_id", pgType: "text"}, {name: "ssh_port", pgType: "bigint"}, {name: "stale", pgType: "boolean"},
	{name: "late", pgType: "boolean"}, {name: "last_seen_at", pgType: "timestamptz"}, {name: "updated_at", pgType: "timestamptz"},
	{name: "changed_position", pgType: "bigint", moved: true}, {name: "id", pgType: "bigint"},
}

// What nearly every report changes. No column of these but changed_position
// and updated_at of nodes is in an index: SQLite writes an index anew for every
// column that is set, whether its value is another or not.
var (
	runOften = []column{
		{name: "progress", pgType: "bigint"}, {name: "message", pgType: "text"}, {name: "last_hash", pgType: "text"}, {name: "last_sequence", pgType: "bigint"}, {name: "id", pgType: "bigint"},
	}
	deploymentOften = []column{{name: "sequence", pgType: "bigint"}, {name: "updated_at", pgType: "timestamptz"}, {name: "id", pgType: "bigint"}}
	nodeOften       = []column{{name: "last_seen_at", pgType: "timestamptz"}, {name: "updated_at", pgType: "timestamptz"}, {name: "changed_position", pgType: "bigint", moved: true}, {name: "id", pgType: "bigint"}}
)

var nodeTouch = []column{{name: "last_seen_at", pgType: "timestamptz"}, {name: "id", pgType: "bigint"}}

var eventInsert = []column{
	{name: "id", pgType: "bigint", moved: true}, {name: "position", pgType: "bigint", moved: true}, {name: "deployment_id", pgType: "bigint"}, {name: "node_id", pgType: "bigint"},
	{name: "batch_id", pgType: "bigint", seldom: true}, {name: "sequence", pgType: "bigint"}, {name: "attempt", pgType: "bigint"}, {name: "phase", pgType: "text"},
	{name: "status", pgType: "text"}, {name: "message", pgType: "text"}, {name: "outcome", pgType: "text"}, {name: "refused_code", pgType: "text", seldom: true},
	{name: "source", pgType: "text"}, {name: "actor", pgType: "text"}, {name: "progress", pgType: "bigint"}, {name: "server_status", pgType: "text", seldom: true},
	{name: "details", pgType: "jsonb", seldom: true}, {name: "log_tail", pgType: "text", seldom: true}, {name: "idempotency_key", pgType: "text", seldom: true},
	{name: "hash", pgType: "text"}, {name: "state", pgType: "text"}, {name: "occurred_at", pgType: "timestamptz"}, {name: "recorded_at", pgType: "timestamptz"},
}
