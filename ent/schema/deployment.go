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

// activeStates is the SQL of "this deployment is active"; at most one such
// deployment a node exists, by a partial unique index.
const activeStates = "state IN ('queued', 'running', 'canceling', 'cleaning_up')"

// Deployment is one run that takes a node from pending to deployed, failed or
// canceled.
type Deployment struct{ ent.Schema }

// Annotations name the table.
func (Deployment) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "deployments"}}
}

// Fields of a deployment.
func (Deployment) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.Int64("node_id"),
		field.Int64("batch_id").Optional().Nillable(),
		field.Int64("cluster_id").Optional().Nillable().Comment("of the cluster that the node was to belong to"),
		field.Int("number").Comment("1, 2, 3 ... per node"),
		field.Int("attempt").Default(1),
		field.String("kind").Default("install").Comment("install, reinitialize or adopt"),
		field.String("state"),
		field.String("phase").Comment("key of the open phase, or the final one"),
		field.String("phase_status"),
		field.String("provider"),
		field.JSON("skip_phases", []string{}).Optional().Comment("phases this deployment does not need"),
		field.Bool("maintenance").Default(false).Comment("clocks stand still while set"),
		field.JSON("config", json.RawMessage{}).Comment("the request as accepted, secrets redacted"),
		field.Int("sequence").Default(0).Comment("last sequence given to an event of this deployment"),
		field.String("resume_phase").Default("").Comment("queued for another attempt: the phase that it begins with once it has a slot"),
		field.Int("boots").Default(0).Comment("boot requests seen in this attempt"),
		field.Int("reboots").Default(0).Comment("attempts that a reboot in the middle opened"),
		field.String("requested_by_kind"),
		field.String("requested_by"),
		field.String("idempotency_key").Optional().Nillable(),
		field.String("request_hash").Default(""),
		field.String("failure_phase").Optional().Nillable(),
		field.String("failure_code").Optional().Nillable(),
		field.String("failure_message").Optional().Nillable(),
		field.String("failure_hint").Optional().Nillable(),
		field.Bool("failure_retryable").Optional().Nillable(),
		field.Int("failure_sequence").Optional().Nillable().Comment("sequence of the event that failed it"),
		moment("failed_at"),
		field.Int("version").Default(1),
		timestamp("created_at"),
		timestamp("updated_at"),
		moment("started_at"),
		moment("finished_at"),
	}
}

// Edges of a deployment.
func (Deployment) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("node", Node.Type).Ref("deployments").Field("node_id").Unique().Required(),
		edge.From("batch", DeploymentBatch.Type).Ref("deployments").Field("batch_id").Unique(),
		edge.To("phase_runs", PhaseRun.Type),
		edge.To("events", DeploymentEvent.Type),
	}
}

// Indexes of a deployment.
func (Deployment) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("node_id", "number").Unique(),
		index.Fields("node_id").Unique().StorageKey("deployments_one_active").Annotations(entsql.IndexWhere(activeStates)),
		index.Fields("requested_by", "idempotency_key").Unique(),
		index.Fields("created_at", "id"),
		index.Fields("state", "finished_at"), // which have ended since when, without looking at all that ever have
		index.Fields("cluster_id", "id"),
		index.Fields("batch_id", "state"), // how many of a batch run, and how many have failed
		// The queue in its order: each that waits counts who is before it.
		index.Fields("id").StorageKey("deployments_queued").Annotations(entsql.IndexWhere("state = 'queued'")),
	}
}

// DeploymentBatch is a set of deployments that were asked for together.
type DeploymentBatch struct{ ent.Schema }

// Annotations name the table.
func (DeploymentBatch) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "deployment_batches"}}
}

// Fields of a batch.
func (DeploymentBatch) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.String("name").Optional().Nillable(),
		field.Int("total").Default(0),
		field.Int("max_parallel").Default(10),
		field.Int("stop_on_failure_count").Optional().Nillable(),
		field.String("requested_by_kind"),
		field.String("requested_by"),
		field.String("idempotency_key").Optional().Nillable(),
		field.String("request_hash").Default(""),
		timestamp("created_at"),
	}
}

// Edges of a batch.
func (DeploymentBatch) Edges() []ent.Edge {
	return []ent.Edge{edge.To("deployments", Deployment.Type)}
}

// Indexes of a batch.
func (DeploymentBatch) Indexes() []ent.Index {
	return []ent.Index{index.Fields("requested_by", "idempotency_key").Unique()}
}
