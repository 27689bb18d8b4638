package lifecycle

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy/store"
)

// column is a column of a batch and its type on PostgreSQL, which cannot
// infer the type of a parameter in a VALUES list.
type column struct{ name, pgType string }

// batch gathers rows for few statements: a group of reports costs a handful,
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

// values renders "($1,$2),($3,$4)"; typed, the first row names the types that
// PostgreSQL cannot infer.
func (b *batch) values(sql *strings.Builder, rows int, postgres, typed bool) {
	for r := range rows {
		if r > 0 {
			sql.WriteByte(',')
		}
		sql.WriteByte('(')
		for c, col := range b.columns {
			if c > 0 {
				sql.WriteByte(',')
			}
			if !postgres {
				sql.WriteByte('?') // SQLite looks named parameters up one by one
				continue
			}
			sql.WriteByte('$')
			sql.WriteString(strconv.Itoa(r*len(b.columns) + c + 1))
			if typed && r == 0 {
				sql.WriteString("::" + col.pgType)
			}
		}
		sql.WriteByte(')')
	}
}

// chunks calls write for steps of rows, with their arguments.
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

// update sets every column but the last, which is the id. Both databases call
// the columns of a VALUES list column1, column2 …
func (b *batch) update(tx *Tx, what, table, also string) error {
	return b.chunks(func(rows int, args []any) error {
		var sql strings.Builder
		sql.WriteString("UPDATE " + table + " SET ")
		last := len(b.columns) - 1
		for c, col := range b.columns[:last] {
			if c > 0 {
				sql.WriteByte(',')
			}
			sql.WriteString(col.name + "=v.column" + strconv.Itoa(c+1))
		}
		sql.WriteString(also + " FROM (VALUES ")
		b.values(&sql, rows, tx.w.store.Dialect == store.PostgreSQL, true)
		sql.WriteString(") AS v WHERE " + table + ".id = v.column" + strconv.Itoa(last+1))
		return tx.exec(what, sql.String(), args...)
	})
}

// insert writes all rows.
func (b *batch) insert(tx *Tx, what, table string) error {
	return b.chunks(func(rows int, args []any) error {
		var sql strings.Builder
		sql.WriteString("INSERT INTO " + table + " (")
		for c, col := range b.columns {
			if c > 0 {
				sql.WriteByte(',')
			}
			sql.WriteString(col.name)
		}
		sql.WriteString(") VALUES ")
		b.values(&sql, rows, tx.w.store.Dialect == store.PostgreSQL, false)
		return tx.exec(what, sql.String(), args...)
	})
}

var runUpdate = []column{
	{"status", "text"}, {"tries", "bigint"}, {"progress", "bigint"}, {"message", "text"}, {"last_hash", "text"}, {"last_sequence", "bigint"},
	{"awaiting", "text"}, {"evidence", "text"}, {"awaiting_since", "timestamptz"}, {"started_at", "timestamptz"}, {"finished_at", "timestamptz"},
	{"deadline_at", "timestamptz"}, {"clock_stopped_at", "timestamptz"}, {"stopped_ms", "bigint"}, {"id", "bigint"},
}

var runInsert = []column{
	{name: "deployment_id"}, {name: "attempt"}, {name: "phase"}, {name: "ordinal"}, {name: "provider"}, {name: "server_profile"}, {name: "status"}, {name: "tries"}, {name: "progress"}, {name: "message"},
	{name: "last_hash"}, {name: "last_sequence"}, {name: "awaiting"}, {name: "evidence"}, {name: "awaiting_since"}, {name: "entered_at"}, {name: "started_at"},
	{name: "finished_at"}, {name: "deadline_at"}, {name: "clock_stopped_at"}, {name: "stopped_ms"},
}

var deploymentUpdate = []column{
	{"attempt", "bigint"}, {"state", "text"}, {"phase", "text"}, {"phase_status", "text"}, {"maintenance", "boolean"}, {"sequence", "bigint"},
	{"boots", "bigint"}, {"reboots", "bigint"}, {"failure_phase", "text"}, {"failure_code", "text"}, {"failure_message", "text"}, {"failure_hint", "text"},
	{"failure_retryable", "boolean"}, {"failure_sequence", "bigint"}, {"failed_at", "timestamptz"}, {"started_at", "timestamptz"},
	{"finished_at", "timestamptz"}, {"updated_at", "timestamptz"}, {"id", "bigint"},
}

var nodeUpdate = []column{
	{"name", "text"}, {"server_profile", "text"}, {"management_ip", "text"}, {"workload_ip", "text"}, {"mac", "text"}, {"mac_addresses", "jsonb"}, {"labels", "jsonb"},
	{"deployment_status", "text"}, {"state", "text"}, {"current_deployment_id", "bigint"}, {"server_id", "text"}, {"server_status", "text"},
	{"ssh_host_key", "text"}, {"boot_id", "text"}, {"ssh_port", "bigint"}, {"stale", "boolean"}, {"late", "boolean"}, {"version", "bigint"}, {"last_seen_at", "timestamptz"},
	{"updated_at", "timestamptz"}, {"changed_position", "bigint"}, {"id", "bigint"},
}

// What nearly every report changes.
var (
	runOften        = []column{{"status", "text"}, {"progress", "bigint"}, {"message", "text"}, {"last_hash", "text"}, {"last_sequence", "bigint"}, {"started_at", "timestamptz"}, {"id", "bigint"}}
	deploymentOften = []column{{"phase", "text"}, {"phase_status", "text"}, {"sequence", "bigint"}, {"updated_at", "timestamptz"}, {"id", "bigint"}}
	nodeOften       = []column{{"deployment_status", "text"}, {"state", "text"}, {"stale", "boolean"}, {"late", "boolean"}, {"version", "bigint"}, {"last_seen_at", "timestamptz"}, {"updated_at", "timestamptz"}, {"changed_position", "bigint"}, {"id", "bigint"}}
)

var nodeTouch = []column{{"last_seen_at", "timestamptz"}, {"id", "bigint"}}

var eventInsert = []column{
	{name: "id"}, {name: "position"}, {name: "deployment_id"}, {name: "node_id"}, {name: "batch_id"}, {name: "sequence"}, {name: "attempt"}, {name: "phase"}, {name: "status"},
	{name: "message"}, {name: "outcome"}, {name: "refused_code"}, {name: "source"}, {name: "actor"}, {name: "progress"}, {name: "server_status"}, {name: "details"},
	{name: "log_tail"}, {name: "idempotency_key"}, {name: "hash"}, {name: "state"}, {name: "occurred_at"}, {name: "recorded_at"},
}
