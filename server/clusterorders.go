package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
)

// ClusterRequest documents the body of POST /api/config/clusters.
type ClusterRequest struct {
	Cluster ClusterConfig `json:"cluster_config"`
}

// ClusterConfig is the cluster that is asked for.
type ClusterConfig struct {
	Name             string   `json:"cluster_name,omitempty" maxLength:"75" doc:"Letters, digits, dot, underscore and hyphen. To join: that of the cluster that is there, or cluster_id."`
	Type             string   `json:"cluster_type,omitempty" enum:"single_node,multi_node,standard" doc:"Nothing: by the number of nodes. standard is multi_node."`
	Operation        string   `json:"cluster_operation,omitempty" enum:"create_new,join_existing" default:"create_new"`
	ID               string   `json:"cluster_id,omitempty" doc:"Of the cluster to join."`
	RedundancyFactor int      `json:"redundancy_factor,omitempty" doc:"Nothing: 1 for a single node, otherwise 2."`
	IP               string   `json:"cluster_ip,omitempty" doc:"The cluster's own address."`
	DNS              []string `json:"dns_servers,omitempty" doc:"Of the controller VMs."`
	NTP              []string `json:"ntp_servers,omitempty"`
	SkipDiscovery    bool     `json:"skip_discovery,omitempty" doc:"Do not search the controller VMs by multicast."`
	Maintenance      bool     `json:"maintenance,omitempty" doc:"Begin without deadlines."`
	Nodes            []any    `json:"nodes" doc:"1, 3 or 4; the first one creates the cluster. Each is the name or id of a node that is deployed and becomes a member as it is, or an object with node_config and network_config as POST /api/config/nodes takes them: a node that is to be deployed."`
}

// ClusterAccepted says what was accepted.
type ClusterAccepted struct {
	ID                 int64   `json:"cluster_id"`
	Name               string  `json:"cluster_name"`
	IP                 *string `json:"cluster_ip"`
	Status             string  `json:"status"`
	NodeIDs            []int64 `json:"node_ids" doc:"By position."`
	DeploymentIDs      []int64 `json:"deployment_ids" doc:"Likewise."`
	MonitoringEndpoint string  `json:"monitoring_endpoint"`
	Message            string  `json:"message"`
}

// Line is the answer as a shell prints it.
func (a ClusterAccepted) Line() string { return fmt.Sprintf("ok cluster %d: %s", a.ID, a.Message) }

// ClusterPlanAnswer is what would become of a cluster that was not asked for.
type ClusterPlanAnswer struct {
	OK               bool              `json:"ok" doc:"No error among the checks that did not pass."`
	Checks           []deploy.Check    `json:"checks" doc:"Of the cluster."`
	Nodes            []ClusterNodePlan `json:"nodes" doc:"In the order of the request."`
	EstimatedSeconds *float64          `json:"estimated_seconds" doc:"Of the slowest node, once it has left the queue; null when there is no history to estimate from."`
	Command          *string           `json:"command" doc:"What the first node's controller VM would be told, as far as addresses are known."`
	Message          string            `json:"message"`
}

// Line is the answer as a shell prints it.
func (a ClusterPlanAnswer) Line() string {
	if !a.OK {
		return "error " + a.Message
	}
	return "ok " + a.Message
}

// ClusterNodePlan is the check-list of one node.
type ClusterNodePlan struct {
	Name   string         `json:"node_name"`
	Checks []deploy.Check `json:"checks"`
}

// clusterFields are the members of cluster_config. What is not known is refused:
// a misspelt address must not be passed over.
var clusterFields = []string{"cluster_name", "cluster_type", "cluster_operation", "cluster_id", "redundancy_factor", "cluster_ip", "dns_servers", "ntp_servers", "skip_discovery", "maintenance", "nodes"}

// clusterNodesMax is how many nodes of a request are looked at.
const clusterNodesMax = 20

// orderCluster answers POST /api/config/clusters; with ?dry_run=true it tells
// what would become of it and does nothing.
func (s *Server) orderCluster(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		s.refuse(w, r, unsupported("application/json"))
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	top, err := jsonFields(body, false)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	c := &command{fields: reportFields{}}
	c.dry = c.dryRun(r)
	in := s.readCluster(r, c, top)
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	if c.dry {
		s.planCluster(w, r, in)
		return
	}
	made, err := s.Clusters.Deploy(r.Context(), in)
	if err != nil {
		s.refuse(w, r, clusterError(err))
		return
	}
	answer(w, r, http.StatusAccepted, acceptedCluster(made, len(in.Nodes)))
}

func acceptedCluster(c *cluster.Cluster, asked int) ClusterAccepted {
	out := ClusterAccepted{
		ID: c.ID, Name: c.Name, IP: filled(c.VIP), Status: string(c.State()), NodeIDs: []int64{}, DeploymentIDs: []int64{},
		MonitoringEndpoint: fmt.Sprintf("/api/config/clusters/%d", c.ID), Message: fmt.Sprintf("the cluster %s of %d nodes was accepted", c.Name, len(c.Members())),
	}
	if c.FormedAt != nil {
		out.Message = fmt.Sprintf("%d more for the cluster %s were accepted", asked, c.Name)
	}
	for i := range c.Nodes {
		if n := &c.Nodes[i]; n.State == cluster.Belongs || n.State == cluster.Late {
			out.NodeIDs, out.DeploymentIDs = append(out.NodeIDs, n.NodeID), append(out.DeploymentIDs, n.DeploymentID)
		}
	}
	return out
}

// readCluster reads the body; what is wrong with its form is gathered in c.
func (s *Server) readCluster(r *http.Request, c *command, top reportFields) cluster.Request {
	const at = "cluster_config."
	for name := range top {
		if name != "cluster_config" {
			c.add(boundedName(name), deploy.CodeInvalid, "is not known here; it knows cluster_config")
		}
	}
	c.fields = c.object(top, "cluster_config", "cluster_config", true)
	for name := range c.fields {
		if !slices.Contains(clusterFields, name) {
			c.add(at+boundedName(name), deploy.CodeInvalid, "is not known here; it knows "+strings.Join(clusterFields, ", "))
		}
	}
	before := len(c.bad)
	in := cluster.Request{
		Name: c.text(c.fields, at+"cluster_name"), Type: cvm.Type(c.text(c.fields, at+"cluster_type")), Operation: cvm.Operation(c.text(c.fields, at+"cluster_operation")),
		ClusterID: c.id("cluster_id", "clu"), RedundancyFactor: c.number("redundancy_factor"), VIP: c.text(c.fields, at+"cluster_ip"),
		DNSServers: c.list(c.fields, at+"dns_servers"), NTPServers: c.list(c.fields, at+"ntp_servers"),
		SkipDiscovery: isTrue(c.flag("skip_discovery")), Maintenance: isTrue(c.flag("maintenance")), Actor: actor(r),
		IdempotencyKey: c.objectReader.word(r.Header.Get("Idempotency-Key"), "idempotency_key"),
	}
	if in.Type == "standard" { // of former clients
		in.Type = cvm.TypeMultiNode
	}
	for i := before; i < len(c.bad); i++ {
		if f := &c.bad[i]; slices.Contains(clusterFields, f.Field) {
			f.Field = at + f.Field
		}
	}
	in.Nodes = s.clusterNodes(c)
	return in
}

func isTrue(p *bool) bool { return p != nil && *p }

// number reads a whole number above 0; 0 = not given.
func (c *command) number(name string) int {
	raw, ok := c.fields[name]
	if !ok || string(raw) == "null" {
		return 0
	}
	n, err := strconv.Atoi(strings.Trim(string(raw), `"`))
	if err != nil || n < 1 {
		c.add(name, deploy.CodeInvalid, "must be a whole number above 0")
		return 0
	}
	return n
}

func (s *Server) clusterNodes(c *command) []cluster.NodeRequest {
	raw, ok := c.fields["nodes"]
	if !ok || string(raw) == "null" {
		return nil // the rules say what is missing
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		c.add("cluster_config.nodes", deploy.CodeInvalid, "must be a list of names, ids, or objects with node_config")
		return nil
	}
	if len(items) > clusterNodesMax {
		c.add("cluster_config.nodes", deploy.CodeOutOfRange, fmt.Sprintf("has more than %d entries", clusterNodesMax))
		return nil
	}
	out := make([]cluster.NodeRequest, len(items))
	for i, item := range items {
		out[i] = s.clusterNode(&c.objectReader, fmt.Sprintf("cluster_config.nodes.%d", i), item)
	}
	return out
}

// clusterNode reads one node: a name, an id, or the node in full.
func (s *Server) clusterNode(o *objectReader, at string, raw json.RawMessage) (n cluster.NodeRequest) {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '{' {
		return s.fullNode(o, at, raw)
	}
	var word string
	if json.Unmarshal(raw, &word) != nil {
		word = string(raw)
	}
	word = o.word(word, at)
	if id, err := strconv.ParseInt(strings.TrimPrefix(word, "node_"), 10, 64); err == nil && id > 0 { // a name has a letter and no underscore
		n.NodeID = id
		return n
	}
	if n.Name = word; word == "" || word == "null" {
		o.add(at, deploy.CodeRequired, "must be a name, an id, or an object with node_config")
	}
	return n
}

func (s *Server) fullNode(o *objectReader, at string, raw json.RawMessage) (n cluster.NodeRequest) {
	var top reportFields
	if json.Unmarshal(raw, &top) != nil {
		o.add(at, deploy.CodeInvalid, "must be a name, an id, or an object with node_config")
		return n
	}
	for name := range top {
		if name != "node_config" && name != "network_config" {
			o.add(at+"."+boundedName(name), deploy.CodeInvalid, "is not known here; it knows node_config and network_config")
		}
	}
	node := o.object(top, "node_config", at+".node_config", true)
	network := o.object(top, "network_config", at+".network_config", false)
	if node == nil {
		return n
	}
	n.Name = o.text(node, at+".node_config.node_name")
	n.Labels = o.labels(node, at+".node_config.labels")
	spec := s.orderSpec(o, at+".", node, network)
	if spec.Provider == deploy.ProviderScript {
		o.add(at+".node_config.provider", deploy.CodeInvalid, "must be ibm_vpc or rack: a host that a script configures is put into a cluster by that script")
	}
	n.Spec = &spec
	return n
}

// clusterField gives the core's name of a field the name of this endpoint.
func clusterField(name string) string {
	for _, list := range []string{"nodes.", "by."} {
		rest, ok := strings.CutPrefix(name, list)
		if !ok {
			continue
		}
		at := strings.TrimSuffix(list, ".")
		if list == "nodes." {
			i, more, found := strings.Cut(rest, ".")
			if !found {
				return "cluster_config." + name
			}
			at, rest = "cluster_config.nodes."+i, more
		}
		if rest == "node_id" || rest == "spec" {
			return at
		}
		return at + "." + orderField(rest)
	}
	switch name {
	case "name":
		return "cluster_config.cluster_name"
	case "vip":
		return "cluster_config.cluster_ip"
	case "type", "operation":
		return "cluster_config.cluster_" + name
	case "cluster", "existing":
		return "cluster_config.cluster_id"
	case "redundancy_factor", "dns_servers", "ntp_servers", "nodes":
		return "cluster_config." + name
	}
	for _, list := range []string{"dns_servers.", "ntp_servers."} {
		if strings.HasPrefix(name, list) {
			return "cluster_config." + name
		}
	}
	return name
}

// clusterError gives a refusal's fields the names of these endpoints.
func clusterError(err error) error {
	e, ok := deploy.AsError(err)
	if !ok || len(e.Fields) == 0 {
		return err
	}
	c := *e
	c.Fields = slices.Clone(e.Fields)
	for i := range c.Fields {
		c.Fields[i].Field = clusterField(c.Fields[i].Field)
	}
	return &c
}

func (s *Server) planCluster(w http.ResponseWriter, r *http.Request, in cluster.Request) {
	plan, err := s.Clusters.Plan(r.Context(), in)
	if err != nil {
		s.refuse(w, r, clusterError(err))
		return
	}
	out := ClusterPlanAnswer{OK: plan.OK, Checks: []deploy.Check{}, Nodes: []ClusterNodePlan{}, Command: filled(plan.Command)}
	var wrong []string
	told := func(list []deploy.Check) []deploy.Check {
		list = append([]deploy.Check{}, list...)
		for i, c := range list {
			list[i].Field = clusterField(c.Field)
			if !c.Passed && c.Severity == deploy.CheckError {
				wrong = append(wrong, c.Label+": "+c.Message)
			}
		}
		return list
	}
	out.Checks = told(plan.Checks)
	for _, n := range plan.Nodes {
		out.Nodes = append(out.Nodes, ClusterNodePlan{Name: n.Name, Checks: told(n.Checks)})
	}
	if plan.Estimated > 0 {
		seconds := plan.Estimated.Seconds()
		out.EstimatedSeconds = &seconds
	}
	out.Message = fmt.Sprintf("a cluster of %d nodes would be accepted", len(in.Nodes))
	if in.Operation == cvm.OperationJoin {
		out.Message = fmt.Sprintf("%d more nodes would be accepted", len(in.Nodes))
	}
	if !plan.OK {
		out.Message = "would fail: " + strings.Join(wrong, "; ")
	}
	answer(w, r, http.StatusOK, out)
}
