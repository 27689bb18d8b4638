package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Token is any secret that Slipway gave out, as its SHA-256: an API token, a
// session, a sign-in code, a machine's report token, a boot locator.
type Token struct{ ent.Schema }

// Annotations name the table.
func (Token) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "tokens"}}
}

// Fields of a token.
func (Token) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.String("kind").Comment("api, session, signin, report or locator"),
		field.String("hash").Comment("SHA-256 of the secret, hex"),
		field.String("name").Default(""),
		field.String("role").Default("").Comment("viewer, operator or admin"),
		field.Int64("node_id").Optional().Nillable(),
		field.Int64("deployment_id").Optional().Nillable(),
		field.Int("attempt").Optional().Nillable(),
		field.String("created_by").Default(""),
		timestamp("created_at"),
		moment("expires_at"),
		moment("first_used_at"),
		moment("last_used_at"),
		moment("revoked_at"),
	}
}

// Indexes of a token.
func (Token) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("hash").Unique(),
		index.Fields("kind", "created_at"),
		index.Fields("deployment_id", "kind"),
	}
}

// Replica is one running Slipway process on this database; its heartbeat
// tells the others whether its jobs are still being worked on.
type Replica struct{ ent.Schema }

// Annotations name the table.
func (Replica) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "replicas"}}
}

// Fields of a replica.
func (Replica) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Comment("also its River client id"),
		field.String("host").Default(""),
		timestamp("started_at"),
		timestamp("heartbeat_at"),
	}
}

// Indexes of a replica.
func (Replica) Indexes() []ent.Index {
	return []ent.Index{index.Fields("heartbeat_at")}
}

// Setting is a named value that all replicas share.
type Setting struct{ ent.Schema }

// Annotations name the table.
func (Setting) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "settings"}}
}

// Fields of a setting.
func (Setting) Fields() []ent.Field {
	return []ent.Field{
		field.String("id"),
		field.Text("value"),
		timestamp("updated_at"),
	}
}
