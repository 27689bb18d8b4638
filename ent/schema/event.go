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

// DeploymentEvent is one accepted or refused report or transition: a row of
// deployment_history, never changed after it was written (triggers refuse it).
type DeploymentEvent struct{ ent.Schema }

// Annotations name the table that scripts and operators already know.
func (DeploymentEvent) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "deployment_history"}}
}

// Fields of an event.
func (DeploymentEvent) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.Int64("position").Comment("commit-ordered place in the fleet-wide stream"),
		field.Int64("deployment_id"),
		field.Int64("node_id"),
		field.Int64("batch_id").Optional().Nillable(),
		field.Int("sequence").Comment("1, 2, 3 ... within the deployment"),
		field.Int("attempt"),
		field.String("phase"),
		field.String("status"),
		field.Text("message").Default(""),
		field.String("outcome").Comment("accepted, step or refused"),
		field.String("refused_code").Optional().Nillable(),
		field.String("source").Comment("orchestrator, cloud_api, boot_service, installer_script or user"),
		field.String("actor").Default(""),
		field.Int("progress").Optional().Nillable(),
		field.String("server_status").Optional().Nillable(),
		field.JSON("details", json.RawMessage{}).Optional(),
		field.Text("log_tail").Optional().Nillable(),
		field.String("idempotency_key").Optional().Nillable(),
		field.String("hash").Default("").Comment("identity of the report's body"),
		field.String("state").Comment("state of the deployment after this event"),
		timestamp("occurred_at"),
		timestamp("recorded_at"),
	}
}

// Edges of an event.
func (DeploymentEvent) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("deployment", Deployment.Type).Ref("events").Field("deployment_id").Unique().Required(),
	}
}

// Indexes of an event.
func (DeploymentEvent) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("position").Unique(),
		index.Fields("deployment_id", "sequence").Unique(),
		index.Fields("deployment_id", "idempotency_key").Unique().
			StorageKey("deployment_history_idempotency").
			Annotations(entsql.IndexWhere("idempotency_key IS NOT NULL AND outcome <> 'refused'")),
		index.Fields("node_id", "position"),
		index.Fields("recorded_at"),
	}
}

// StreamCounter is the one row that gives out stream positions. It is locked
// last in every writing transaction and held until commit, so positions are
// in commit order.
type StreamCounter struct{ ent.Schema }

// Annotations name the table.
func (StreamCounter) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "stream_counter"}}
}

// Fields of the counter.
func (StreamCounter) Fields() []ent.Field {
	return []ent.Field{
		field.Int("id"),
		field.Int64("position").Default(0),
		field.String("epoch").Comment("random, made with the database: a cursor of another database is unknown here"),
	}
}

// StrangerReport is what somebody without a right to report sent: counted,
// and the newest kept in a bounded log.
type StrangerReport struct{ ent.Schema }

// Annotations name the table.
func (StrangerReport) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "stranger_reports"}}
}

// Fields of a stranger's report.
func (StrangerReport) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.String("code"),
		field.String("remote"),
		field.String("path"),
		field.Text("summary").Default(""),
		timestamp("recorded_at"),
	}
}
