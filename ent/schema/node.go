package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Node is one bare metal machine that Slipway manages.
type Node struct{ ent.Schema }

// Annotations name the table that scripts and operators already know.
func (Node) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "nodes"}}
}

// Fields of a node.
func (Node) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.String("name").MaxLen(40).Comment("RFC 1123 label, lower case, with a letter"),
		field.String("provider").Comment("ibm_vpc, rack or script"),
		field.String("server_profile").Default(""),
		field.String("management_ip").Optional().Nillable().Comment("held until cleanup clears it"),
		field.String("workload_ip").Optional().Nillable(),
		field.String("ahv_ip").Optional().Nillable().Comment("hypervisor address, bound to the management interface"),
		field.String("cvm_ip").Optional().Nillable().Comment("controller VM address, bound to the management interface"),
		field.String("mac").Optional().Nillable().Comment("boot interface, lower case with colons; identifies a rack machine"),
		field.JSON("mac_addresses", []string{}).Optional(),
		field.String("serial").MaxLen(64).Optional().Nillable().Comment("SMBIOS serial number, upper case; a rack machine may be registered by it"),
		field.String("cluster_name").Optional().Nillable(),
		field.JSON("labels", map[string]string{}).Optional(),
		field.String("deployment_status").Default("pending").Comment("phase key of the current deployment, or failed, canceled, cleanup_completed"),
		field.String("state").Default("").Comment("state of the current deployment, empty if never deployed"),
		field.Int64("current_deployment_id").Optional().Nillable(),
		field.String("server_id").Optional().Nillable().Comment("the provider's id of the machine"),
		field.String("server_status").Optional().Nillable().Comment("the provider's own status, never mixed with the phase"),
		field.String("ssh_host_key").Optional().Nillable().Comment("as the machine reported it: type and base64"),
		field.String("cvm_host_key").Optional().Nillable().Comment("of the controller VM's SSH server, as the machine reported it: type and base64"),
		field.String("boot_id").Optional().Nillable(),
		field.Int("ssh_port").Optional().Nillable(),
		field.Bool("protected").Default(false).Comment("refuses to be released or reinitialized while set"),
		field.String("protect_note").Default("").Comment("why, and by whom, it is protected"),
		field.Bool("clustered").Default(false).Comment("is a member of a cluster that was formed: it is neither released nor installed anew by itself"),
		field.Bool("stale").Default(false).Comment("no sign of life for longer than the phase allows"),
		field.Bool("late").Default(false).Comment("the open phase, or the whole deployment, takes longer than 95 in 100 did"),
		field.Int("version").Default(1).Comment("grows by one on every change that the stream shows"),
		field.Int64("changed_position").Default(0).Comment("stream position of the last change"),
		moment("last_seen_at"),
		timestamp("created_at"),
		timestamp("updated_at"),
	}
}

// Edges of a node.
func (Node) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("deployments", Deployment.Type),
		edge.To("resources", Resource.Type),
	}
}

// Indexes of a node; names and held addresses are unique in the database.
func (Node) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("name").Unique(),
		index.Fields("management_ip").Unique(),
		index.Fields("mac").Unique(),
		index.Fields("serial").Unique(),
		index.Fields("changed_position"),
		index.Fields("created_at", "id"),
		index.Fields("updated_at", "id"),
		index.Fields("state"),
		index.Fields("cluster_name"),
	}
}

// NodeTombstone remembers where in the stream a node was removed, so that a
// resumed fleet stream can tell its reader.
type NodeTombstone struct{ ent.Schema }

// Annotations name the table.
func (NodeTombstone) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "node_tombstones"}}
}

// Fields of a tombstone.
func (NodeTombstone) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Comment("the removed node's id"),
		field.String("name"),
		field.Int64("changed_position"),
		timestamp("removed_at"),
	}
}

// Indexes of a tombstone.
func (NodeTombstone) Indexes() []ent.Index {
	return []ent.Index{index.Fields("changed_position")}
}
