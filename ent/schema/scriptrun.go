package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// activeRuns is the SQL of "this run has not ended"; at most one such run a
// host exists, by a partial unique index.
const activeRuns = "state IN ('storing', 'running')"

// ScriptRun is one execution of the deployment script on one host. It covers
// several nodes.
type ScriptRun struct{ ent.Schema }

// Annotations name the table.
func (ScriptRun) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "script_runs"}}
}

// Fields of a run.
func (ScriptRun) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.String("identity").Unique().Immutable().Comment("128 random bits, hexadecimal: numbers are given again by another database, and a host keeps what it knows of runs"),
		field.String("host"),
		field.String("state").Comment("storing, running, succeeded, failed, canceled or lost"),
		field.Int("nodes").Comment("how many it covers"),
		field.Int("pid").Optional().Nillable().Comment("of the script"),
		field.Int("exit_code").Optional().Nillable(),
		field.String("signal").Default("").Comment("that ended the script"),
		field.Text("problem").Default("").Comment("why it failed, or what was odd about its end"),
		field.Int64("log_bytes").Default(0).Comment("output written so far"),
		field.Bool("log_cut").Default(false).Comment("the output was longer than the log may be"),
		moment("cancel_at"),
		field.String("cancel_by").Default(""),
		field.String("cancel_reason").Default(""),
		field.String("requested_by_kind"),
		field.String("requested_by"),
		field.String("idempotency_key").Optional().Nillable(),
		field.String("request_hash").Default(""),
		timestamp("created_at"),
		moment("stored_at"),
		moment("started_at"),
		moment("ended_at"),
	}
}

// Edges of a run.
func (ScriptRun) Edges() []ent.Edge {
	return []ent.Edge{edge.To("documents", ScriptDocument.Type)}
}

// Indexes of a run.
func (ScriptRun) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("host").Unique().StorageKey("script_runs_one_active").Annotations(entsql.IndexWhere(activeRuns)),
		index.Fields("requested_by", "idempotency_key").Unique(),
	}
}

// ScriptDocument is the configuration document of one node as one run stored
// it: the history keeps every version.
type ScriptDocument struct{ ent.Schema }

// Annotations name the table.
func (ScriptDocument) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "script_documents"}}
}

// Fields of a document.
func (ScriptDocument) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.Int64("run_id"),
		field.Int64("deployment_id"),
		field.Int("attempt"),
		field.Int64("node_id"),
		field.String("file").Comment("name in the directory of node files"),
		field.Int("number").Comment("of the file"),
		field.Bytes("body").Comment("byte for byte as written"),
		field.String("sha256").Comment("of the body, hexadecimal"),
		field.String("boot_id_before").Default("").Comment("of the host before the script ran, if it answered"),
		timestamp("created_at"),
	}
}

// Edges of a document.
func (ScriptDocument) Edges() []ent.Edge {
	return []ent.Edge{edge.From("run", ScriptRun.Type).Ref("documents").Field("run_id").Unique().Required()}
}

// Indexes of a document.
func (ScriptDocument) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("run_id", "deployment_id").Unique(),
		index.Fields("deployment_id", "attempt"),
		index.Fields("node_id", "id"),
	}
}
