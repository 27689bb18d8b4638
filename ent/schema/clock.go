package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// now is the default of every timestamp column: UTC and whole microseconds,
// because PostgreSQL keeps no more and a re-read row must equal the written one.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// timestamp is a NOT NULL point in time that defaults to now.
func timestamp(name string) ent.Field {
	return field.Time(name).Default(now)
}

// moment is a point in time that may not have come yet.
func moment(name string) ent.Field {
	return field.Time(name).Optional().Nillable()
}
