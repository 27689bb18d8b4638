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

// openClusters is the SQL of "nobody has asked for this cluster to be cleaned
// up"; at most one such cluster of a name exists, by a partial unique index.
const openClusters = "cleanup_at IS NULL"

// Cluster is several nodes that are to become one Nutanix cluster. How far it
// is follows from its members, so no column says it.
type Cluster struct{ ent.Schema }

// Annotations name the table.
func (Cluster) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "clusters"}}
}

// Fields of a cluster.
func (Cluster) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.String("identity").Unique().Immutable().Comment("128 random bits, hexadecimal: part of what names a formation on a controller VM"),
		field.String("name"),
		field.String("type").Comment("single_node or multi_node"),
		field.Int("redundancy_factor"),
		field.String("vip").Optional().Nillable().Comment("the cluster's own address"),
		field.JSON("dns_servers", []string{}).Optional(),
		field.JSON("ntp_servers", []string{}).Optional(),
		field.Bool("skip_discovery").Default(false).Comment("do not search the controller VMs by multicast"),
		field.JSON("formation", json.RawMessage{}).Optional().Comment("how the last formation, or joining, stands"),
		field.JSON("health", json.RawMessage{}).Optional().Comment("the last checks with their evidence"),
		field.String("requested_by_kind"),
		field.String("requested_by"),
		field.String("idempotency_key").Optional().Nillable(),
		field.String("request_hash").Default(""),
		field.Int("version").Default(1).Comment("grows with every change of it or of who belongs to it"),
		timestamp("created_at"),
		timestamp("updated_at"),
		moment("formed_at"),
		moment("cleanup_at"),
		field.String("cleanup_by").Default(""),
	}
}

// Edges of a cluster.
func (Cluster) Edges() []ent.Edge {
	return []ent.Edge{edge.To("members", ClusterMember.Type)}
}

// Indexes of a cluster.
func (Cluster) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("name").Unique().StorageKey("clusters_one_of_a_name").Annotations(entsql.IndexWhere(openClusters)),
		index.Fields("requested_by", "idempotency_key").Unique(),
	}
}

// activeMembers is the SQL of "this node belongs to the cluster, or may still
// join it"; a node has at most one such row, by a partial unique index.
const activeMembers = "state IN ('member', 'late')"

// ClusterMember is a node's place in a cluster. Its deployment is the node's
// current one.
type ClusterMember struct{ ent.Schema }

// Annotations name the table.
func (ClusterMember) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "cluster_members"}}
}

// Fields of a member.
func (ClusterMember) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id"),
		field.Int64("cluster_id"),
		field.Int64("node_id"),
		field.Int("position").Comment("1, 2, 3 ...; the first one creates the cluster"),
		field.String("state").Comment("member, late, replaced or released"),
		field.String("note").Default("").Comment("why it is no longer waited for, and by whose word"),
		field.String("requested_by").Default("").Comment("of a join, in the first of its nodes: who asked, and with what key"),
		field.String("idempotency_key").Optional().Nillable(),
		field.String("request_hash").Default(""),
		timestamp("added_at"),
		timestamp("updated_at"),
		moment("formed_at"),
	}
}

// Edges of a member.
func (ClusterMember) Edges() []ent.Edge {
	return []ent.Edge{edge.From("cluster", Cluster.Type).Ref("members").Field("cluster_id").Unique().Required()}
}

// Indexes of a member.
func (ClusterMember) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("cluster_id", "position"),
		index.Fields("node_id").Unique().StorageKey("cluster_members_one_active").Annotations(entsql.IndexWhere(activeMembers)),
		index.Fields("node_id", "id"),
		index.Fields("requested_by", "idempotency_key").Unique(),
	}
}
