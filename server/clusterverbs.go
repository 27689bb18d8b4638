package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
)

// ClusterCleanupRequest documents the body of POST /api/config/clusters/{id}/cleanup.
type ClusterCleanupRequest struct {
	Confirm string `json:"confirm" doc:"The cluster's name. Not needed with ?dry_run=true."`
}

// WithoutRequest documents the body of POST /api/config/clusters/{id}/go-on-without.
type WithoutRequest struct {
	Node   string `json:"node" doc:"Name or id of the node."`
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

// ReplaceRequest documents the body of POST /api/config/clusters/{id}/replace.
type ReplaceRequest struct {
	Node string `json:"node" doc:"Name or id of the node whose place is taken."`
	By   any    `json:"by" doc:"The node that takes it: a name or an id of one that is deployed, or an object with node_config and network_config, as in nodes of POST /api/config/clusters."`
}

// ClusterCleanupAnswer is the plan of a cluster's cleanup.
type ClusterCleanupAnswer struct {
	ID                 int64                `json:"cluster_id"`
	Name               string               `json:"cluster_name"`
	Status             string               `json:"status"`
	DryRun             bool                 `json:"dry_run" doc:"Nothing was done."`
	Nodes              []ClusterNodeCleanup `json:"nodes" doc:"Whose things are released, all at once."`
	MonitoringEndpoint string               `json:"monitoring_endpoint"`
	Message            string               `json:"message"`
}

// Line is the answer as a shell prints it.
func (a ClusterCleanupAnswer) Line() string { return "ok " + a.Message }

// ClusterNodeCleanup is what a cleanup does with one node.
type ClusterNodeCleanup struct {
	NodeID       int64                `json:"node_id"`
	NodeName     string               `json:"node_name"`
	DeploymentID int64                `json:"deployment_id"`
	Plan         []deploy.ReleaseStep `json:"plan" doc:"In this order; null if it was not asked for."`
}

// clustersByHand lists what changes clusters.
func clustersByHand(dry []*huma.Param, refusals []int) []described {
	const jsonType = "application/json"
	both := []string{jsonType, "application/x-www-form-urlencoded"}
	id := []*huma.Param{path1("id", "Database id, global id, or name of the cluster.")}
	key := &huma.Param{Name: "Idempotency-Key", In: "header", Description: "The same key twice is one cluster.", Schema: &huma.Schema{Type: "string"}}
	confirm := query1("confirm", "The cluster's name.")
	return []described{
		{pattern: "POST /api/config/clusters", id: "order-cluster", summary: "Ask for a cluster, or for more nodes in one", tag: "clusters", params: append([]*huma.Param{key}, dry...), body: ClusterRequest{}, types: []string{jsonType}, answer: ClusterAccepted{}, status: 202, dry: ClusterPlanAnswer{}, errors: []int{400, 401, 403, 404, 409, 413, 415, 422, 503}},
		{pattern: "DELETE /api/config/clusters/{id}", id: "delete-cluster", summary: "The same as cleanup: a cluster is never forgotten, its machines are released", tag: "clusters", params: append(append(id, confirm), dry...), answer: ClusterCleanupAnswer{}, status: 202, dry: ClusterCleanupAnswer{}, errors: []int{401, 403, 404, 409, 422, 503}},
		{pattern: "POST /api/config/clusters/{id}/cleanup", id: "cleanup-cluster", summary: "Release everything that the nodes of a cluster hold; the cluster and its data are lost", tag: "clusters", params: append(id, dry...), body: ClusterCleanupRequest{}, types: both, answer: ClusterCleanupAnswer{}, status: 202, dry: ClusterCleanupAnswer{}, errors: refusals},
		{pattern: "POST /api/config/clusters/{id}/cancel", id: "cancel-cluster", summary: "End the deployments of a cluster's nodes; what was made for them stays", tag: "clusters", params: id, body: CancelRequest{}, bare: true, types: both, answer: ClusterAnswer{}, status: 202, errors: refusals},
		{pattern: "POST /api/config/clusters/{id}/go-on-without", id: "go-on-without", summary: "Have a cluster go on without a node, where the rules allow so few: it joins when it is ready. One that was left out before, and has ended, leaves for good", tag: "clusters", params: id, body: WithoutRequest{}, types: both, answer: ClusterAnswer{}, status: 202, errors: refusals},
		{pattern: "POST /api/config/clusters/{id}/replace", id: "replace-cluster-node", summary: "Put another node into the place of one whose deployment ended", tag: "clusters", params: id, body: ReplaceRequest{}, types: []string{jsonType}, answer: ClusterAnswer{}, status: 202, errors: refusals},
		{pattern: "POST /api/config/clusters/{id}/health", id: "check-cluster", summary: "Make every check of a formed cluster now", tag: "clusters", params: id, answer: ClusterAnswer{}, status: 200, errors: refusals},
	}
}

// verbOn reads the body of a verb, and the cluster that it is for.
func (s *Server) verbOn(w http.ResponseWriter, r *http.Request, known ...string) (*command, *cluster.Cluster, error) {
	c, err := s.readCommand(w, r, known...)
	if err != nil {
		return nil, nil, err
	}
	found, err := s.findCluster(r.Context(), r.PathValue("id"))
	return c, found, err
}

// tell answers with a cluster as it is after a verb.
func (s *Server) tell(w http.ResponseWriter, r *http.Request, status int, c *cluster.Cluster, err error) {
	if err == nil {
		var out ClusterAnswer
		if out, err = s.measured(r.Context(), c); err == nil {
			answer(w, r, status, out)
			return
		}
	}
	s.refuse(w, r, clusterError(err))
}

// cancelCluster answers POST /api/config/clusters/{id}/cancel.
func (s *Server) cancelCluster(w http.ResponseWriter, r *http.Request) {
	c, of, err := s.verbOn(w, r, "mode", "reason")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	in := cluster.Cancel{ClusterID: of.ID, Immediate: c.choice("mode", "after_current_phase", "immediate") == "immediate", Reason: c.longText("reason", reasonMax), Actor: actor(r)}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	done, err := s.Clusters.Cancel(r.Context(), in)
	s.tell(w, r, http.StatusAccepted, done, err)
}

// goOnWithout answers POST /api/config/clusters/{id}/go-on-without.
func (s *Server) goOnWithout(w http.ResponseWriter, r *http.Request) {
	c, of, err := s.verbOn(w, r, "node", "reason")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	in := cluster.Leave{ClusterID: of.ID, NodeID: c.memberOf(of), Reason: c.longText("reason", reasonMax), Actor: actor(r)}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	done, err := s.Clusters.Leave(r.Context(), in)
	s.tell(w, r, http.StatusAccepted, done, err)
}

// replaceInCluster answers POST /api/config/clusters/{id}/replace.
func (s *Server) replaceInCluster(w http.ResponseWriter, r *http.Request) {
	c, of, err := s.verbOn(w, r, "node", "by")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	in := cluster.Replace{ClusterID: of.ID, NodeID: c.memberOf(of), Actor: actor(r)}
	if raw, ok := c.fields["by"]; ok {
		in.By = s.clusterNode(&c.objectReader, "by", raw)
	} else {
		c.add("by", deploy.CodeRequired, "is required: a name, an id, or an object with node_config")
	}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	done, err := s.Clusters.Replace(r.Context(), in)
	s.tell(w, r, http.StatusAccepted, done, err)
}

// memberOf reads which node of a cluster is meant, by name or id.
func (c *command) memberOf(of *cluster.Cluster) int64 {
	before := len(c.bad)
	word := c.required("node")
	if len(c.bad) > before {
		return 0
	}
	word = strings.TrimPrefix(word, "node_")
	for i := len(of.Nodes) - 1; i >= 0; i-- {
		if n := of.Nodes[i]; n.Name == word || fmt.Sprint(n.NodeID) == word {
			return n.NodeID
		}
	}
	c.add("node", deploy.CodeNotFound, "is no node of this cluster")
	return 0
}

// clusterHealth answers POST /api/config/clusters/{id}/health.
func (s *Server) clusterHealth(w http.ResponseWriter, r *http.Request) {
	c, of, err := s.verbOn(w, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	done, err := s.Clusters.Look(r.Context(), of.ID)
	s.tell(w, r, http.StatusOK, done, err)
}

// cleanupCluster answers POST /api/config/clusters/{id}/cleanup. It does nothing
// unless the cluster's name is confirmed.
func (s *Server) cleanupCluster(w http.ResponseWriter, r *http.Request) {
	c, of, err := s.verbOn(w, r, "confirm")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.cleanUp(w, r, c, of, c.word("confirm"))
}

// deleteCluster answers DELETE /api/config/clusters/{id}: former clients know
// it. It is a cleanup, and never only forgets a row.
func (s *Server) deleteCluster(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	confirm := q.Get("confirm")
	q.Del("confirm")
	bare := r.Clone(r.Context())
	bare.URL.RawQuery = q.Encode()
	c := &command{fields: reportFields{}}
	c.dry = c.dryRun(bare)
	of, err := s.findCluster(r.Context(), r.PathValue("id"))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.cleanUp(w, r, c, of, c.objectReader.word(confirm, "confirm"))
}

func (s *Server) cleanUp(w http.ResponseWriter, r *http.Request, c *command, of *cluster.Cluster, confirm string) {
	err := c.err()
	if err == nil && !c.dry && confirm != of.Name {
		err = unconfirmedCluster(of)
	}
	var out ClusterCleanupAnswer
	if err == nil {
		out, err = s.cleanupOf(r.Context(), of, confirm, c.dry, actor(r))
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	status := http.StatusAccepted
	if c.dry {
		status = http.StatusOK
	}
	answer(w, r, status, out)
}

func (s *Server) cleanupOf(ctx context.Context, of *cluster.Cluster, confirm string, dry bool, by deploy.Actor) (out ClusterCleanupAnswer, err error) {
	var steps map[int64][]deploy.ReleaseStep
	if dry {
		of, steps, err = s.Clusters.CleanupPlan(ctx, of.ID)
	} else {
		of, err = s.Clusters.Cleanup(ctx, cluster.Cleanup{ClusterID: of.ID, ConfirmName: confirm, Actor: by})
	}
	if err != nil {
		return out, err
	}
	out = ClusterCleanupAnswer{ID: of.ID, Name: of.Name, Status: string(of.State()), DryRun: dry, Nodes: []ClusterNodeCleanup{}, MonitoringEndpoint: fmt.Sprintf("/api/config/clusters/%d", of.ID)}
	n := 0
	for i := range of.Nodes {
		m := &of.Nodes[i]
		if m.State == cluster.Replaced {
			continue
		}
		out.Nodes = append(out.Nodes, ClusterNodeCleanup{NodeID: m.NodeID, NodeName: m.Name, DeploymentID: m.DeploymentID, Plan: steps[m.NodeID]})
		for _, step := range steps[m.NodeID] {
			if step.Status != deploy.ReleaseKept {
				n++
			}
		}
	}
	out.Message = fmt.Sprintf("the cluster %s is being cleaned up: %d nodes", of.Name, len(out.Nodes))
	if dry {
		out.Message = fmt.Sprintf("a cleanup of the cluster %s would remove %d things of %d nodes; nothing was done", of.Name, n, len(out.Nodes))
	}
	return out, nil
}

// unconfirmedCluster says what to send.
func unconfirmedCluster(c *cluster.Cluster) error {
	return &deploy.Error{
		Code: deploy.CodeConfirmationMismatch, Message: "the cleanup was not confirmed by the cluster's name; nothing was touched",
		Hint:   fmt.Sprintf("confirm=%s, if the cluster with all its data and everything that its nodes hold is to be deleted; ?dry_run=true shows what that is", c.Name),
		Fields: []deploy.FieldError{{Field: "confirm", Code: deploy.CodeConfirmationMismatch, Message: "must be the cluster's name"}},
	}
}
