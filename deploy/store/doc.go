// Package store opens Slipway's database, SQLite or PostgreSQL, and brings its
// schema up to date. It hides what differs between the two: connection
// settings, locking, names of violated constraints, kinds of failure.
//
// SQL in this project is written once for both: placeholders are $1, $2, …;
// points in time are passed as time.Time in UTC, truncated to microseconds.
// A column that is declared as a point in time scans into time.Time on both,
// except in a RETURNING clause or an expression (max(created_at)) on SQLite,
// which loses the column's type: scan those through [Time] or [NullTime].
//
// It may import ent, its migrations, River's migrations and the drivers,
// nothing else of Slipway.
package store
