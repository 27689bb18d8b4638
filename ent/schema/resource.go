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

// Resource is one thing made in a cloud for a node. Its row, with the name it
// will have, is committed before the cloud is asked for it.
type Resource struct{ ent.Schema }

// Annotations name the table.
func (Resource) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "resources"}}
}

// Fields of a resource.
func (Resource) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.Int64("node_id"),
		field.Int64("created_by").Comment("deployment that made it"),
		field.Int64("held_by").Comment("deployment that holds it now"),
		field.String("provider"),
		field.String("kind").Comment("reserved_ip, vni, server, dns_a, dns_ptr, power"),
		field.String("role").Default("").Comment("which of its kind: management, workload, ahv, cvm"),
		field.String("name").Comment("deterministic, with a generation suffix"),
		field.Int("generation").Default(1),
		field.String("state").Comment("intent, doubtful, present, releasing or gone"),
		field.String("cloud_id").Optional().Nillable(),
		field.JSON("details", json.RawMessage{}).Optional(),
		field.Text("last_error").Default(""),
		timestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of a resource.
func (Resource) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("node", Node.Type).Ref("resources").Field("node_id").Unique().Required(),
	}
}

// Indexes of a resource.
func (Resource) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("provider", "kind", "name").Unique(),
		index.Fields("node_id", "kind"),
		index.Fields("held_by"),
	}
}
