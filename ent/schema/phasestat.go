package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// PhaseStat is how long a phase usually takes: percentiles over the succeeded
// runs of the last 30 days. The row of the phase "deployed" is about whole
// deployments, from the queue's end to the final phase.
type PhaseStat struct{ ent.Schema }

// Annotations name the table.
func (PhaseStat) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "phase_stats"}}
}

// Fields of a phase's statistics.
func (PhaseStat) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.String("phase"),
		field.String("provider").Comment("* = all providers"),
		field.String("server_profile").Comment("* = all profiles of the provider"),
		field.Int64("p50_ms").Optional().Nillable().Comment("median, milliseconds; NULL with fewer than five samples"),
		field.Int64("p95_ms").Optional().Nillable().Comment("95th percentile, milliseconds; NULL with fewer than five samples"),
		field.Int("samples"),
		timestamp("computed_at"),
	}
}

// Indexes of phase statistics.
func (PhaseStat) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("provider", "server_profile", "phase").Unique(),
		index.Fields("computed_at"),
	}
}
