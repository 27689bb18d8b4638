package schema

import (
	"encoding/json"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// succeededRuns is the SQL of "this run counts in statistics".
const succeededRuns = "status = 'success'"

// brokenRuns is the SQL of "this run ended its attempt without success".
const brokenRuns = "status IN ('failed', 'timed_out', 'canceled')"

// PhaseRun is one visit of a phase: entered, left, duration, deadline,
// outcome. A deployment that is not final has exactly one open. It is also
// the row of the workflow's step: what is awaited, since when, until when.
type PhaseRun struct{ ent.Schema }

// Annotations name the table.
func (PhaseRun) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "phase_runs"}}
}

// Fields of a phase run.
func (PhaseRun) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.Int64("deployment_id"),
		field.Int("attempt"),
		field.String("phase"),
		field.Int("ordinal"),
		field.String("provider").Default("").Comment("of the deployment, for statistics"),
		field.String("server_profile").Default("").Comment("of the node when the phase was entered, for statistics"),
		field.String("status"),
		field.Int("tries").Default(1).Comment("1 + automatic retries after a deadline"),
		field.Time("admitted_at").Optional().Nillable().Comment("image_download: when a download slot was given"),
		field.Int64("admitted_bytes").Default(0).Comment("image_download: what the slot counts for in the byte budget"),
		field.Int("progress").Optional().Nillable().Comment("0-100, as reported"),
		field.Text("message").Default(""),
		field.String("last_hash").Default("").Comment("identity of the last accepted report"),
		field.Int("last_sequence").Default(0).Comment("event of the last accepted report"),
		field.String("awaiting").Default("").Comment("what the phase waits for, a stable code"),
		field.Text("evidence").Default("").Comment("last thing learnt about what it waits for"),
		moment("awaiting_since"),
		field.JSON("probe", json.RawMessage{}).Optional().Comment("reboot_wait, ssh_polling: where the polling of the host stands"),
		timestamp("entered_at"),
		moment("started_at"),
		moment("finished_at"),
		moment("deadline_at"),
		moment("clock_stopped_at"),
		field.Int64("stopped_ms").Default(0).Comment("how long the clock stood, milliseconds"),
	}
}

// Edges of a phase run.
func (PhaseRun) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("deployment", Deployment.Type).Ref("phase_runs").Field("deployment_id").Unique().Required(),
	}
}

// Indexes of a phase run.
func (PhaseRun) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("deployment_id", "attempt", "phase").Unique(),
		index.Fields("deployment_id").Unique().StorageKey("phase_runs_one_open").Annotations(entsql.IndexWhere("finished_at IS NULL")),
		index.Fields("deadline_at").StorageKey("phase_runs_due").Annotations(entsql.IndexWhere("finished_at IS NULL")),
		// What statistics read: the newest runs of a phase, of one profile and of all.
		index.Fields("provider", "phase", "finished_at").StorageKey("phase_runs_stats").Annotations(entsql.IndexWhere(succeededRuns)),
		index.Fields("provider", "server_profile", "phase", "finished_at").StorageKey("phase_runs_profile_stats").Annotations(entsql.IndexWhere(succeededRuns)),
		// The runs that ended an attempt before its end, by time: what went wrong when.
		index.Fields("finished_at").StorageKey("phase_runs_broken").Annotations(entsql.IndexWhere(brokenRuns)),
	}
}
