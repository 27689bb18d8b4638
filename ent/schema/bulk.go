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

// openBulk is the SQL of "this bulk operation is not over".
const openBulk = "finished_at IS NULL"

// BulkOperation is one verb that was asked for of many deployments at once.
type BulkOperation struct{ ent.Schema }

// Annotations name the table.
func (BulkOperation) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "bulk_operations"}}
}

// Fields of a bulk operation.
func (BulkOperation) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.String("action").Comment("cancel, retry, cleanup or reinitialize"),
		field.Bool("immediate").Default(false).Comment("cancel: now, not when the open phase ends"),
		field.String("reason").Default(""),
		field.JSON("selection", json.RawMessage{}).Optional().Comment("the filter that chose, as it was asked for"),
		field.Int("total"),
		field.Int("max_parallel"),
		field.Int("stop_after_failures").Optional().Nillable(),
		field.String("state").Comment("running, stopping, canceling, done, stopped or canceled"),
		field.String("canceled_by").Default(""),
		field.String("requested_by_kind"),
		field.String("requested_by"),
		field.String("idempotency_key").Optional().Nillable(),
		field.String("request_hash").Default(""),
		field.Int("version").Default(1).Comment("grows with every change of it or its items"),
		timestamp("created_at"),
		timestamp("updated_at"),
		moment("finished_at"),
	}
}

// Edges of a bulk operation.
func (BulkOperation) Edges() []ent.Edge {
	return []ent.Edge{edge.To("items", BulkItem.Type)}
}

// Indexes of a bulk operation.
func (BulkOperation) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("requested_by", "idempotency_key").Unique(),
		// Those that are to be driven, without looking at all that ever were.
		index.Fields("id").StorageKey("bulk_operations_open").Annotations(entsql.IndexWhere(openBulk)),
	}
}

// BulkItem is one deployment of a bulk operation.
type BulkItem struct{ ent.Schema }

// Annotations name the table.
func (BulkItem) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "bulk_items"}}
}

// Fields of an item.
func (BulkItem) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.Int64("operation_id"),
		field.Int("number").Comment("1, 2, 3 ... within the operation, the order in which they are begun"),
		field.Int64("deployment_id").Comment("what the verb is asked of"),
		field.Int64("node_id"),
		field.Int64("result_id").Optional().Nillable().Comment("deployment whose end is awaited: a new one after reinitialize, else the same; NULL before it was asked"),
		field.String("state").Default("waiting").Comment("waiting, running, succeeded, failed, refused or skipped"),
		field.String("code").Default("").Comment("why it was refused or failed, a stable code"),
		field.Text("message").Default(""),
		moment("started_at"),
		moment("finished_at"),
	}
}

// Edges of an item.
func (BulkItem) Edges() []ent.Edge {
	return []ent.Edge{edge.From("operation", BulkOperation.Type).Ref("items").Field("operation_id").Unique().Required()}
}

// Indexes of an item.
func (BulkItem) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("operation_id", "number").Unique(),
		index.Fields("operation_id", "state", "number"), // the next to begin, those under way, and counts
	}
}
