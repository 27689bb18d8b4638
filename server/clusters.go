package server

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/query"
)

// Clusters makes several nodes one; *cluster.Service does.
type Clusters interface {
	Plan(ctx context.Context, r cluster.Request) (cluster.Plan, error)
	Deploy(ctx context.Context, r cluster.Request) (*cluster.Cluster, error)
	Get(ctx context.Context, id int64) (*cluster.Cluster, error)
	ByName(ctx context.Context, name string) (*cluster.Cluster, error)
	Find(ctx context.Context, f cluster.Chosen, before int64, limit int) (list []*cluster.Cluster, more bool, err error)
	Leave(ctx context.Context, l cluster.Leave) (*cluster.Cluster, error)
	Replace(ctx context.Context, r cluster.Replace) (*cluster.Cluster, error)
	Cancel(ctx context.Context, r cluster.Cancel) (*cluster.Cluster, error)
	CleanupPlan(ctx context.Context, id int64) (*cluster.Cluster, map[int64][]deploy.ReleaseStep, error)
	Cleanup(ctx context.Context, r cluster.Cleanup) (*cluster.Cluster, error)
	Look(ctx context.Context, id int64) (*cluster.Cluster, error)
}

// ClusterAnswer is a cluster.
type ClusterAnswer struct {
	ID               int64             `json:"id"`
	Name             string            `json:"name"`
	Type             string            `json:"cluster_type" enum:"single_node,multi_node"`
	Status           string            `json:"status" enum:"queued,installing,forming,validating,growing,deployed,blocked,canceled,cleaning_up,cleaned_up" doc:"Follows from its members. deployed only while every member is, by the cluster's own word. blocked: somebody has to decide about a member."`
	RedundancyFactor int               `json:"redundancy_factor"`
	IP               *string           `json:"cluster_ip"`
	DNS              []string          `json:"dns_servers"`
	NTP              []string          `json:"ntp_servers"`
	ProgressPercent  *float64          `json:"progress_percent" minimum:"0" maximum:"100" doc:"The mean of its members'; null in a list."`
	Members          []ClusterMember   `json:"members" doc:"All that belong to it or ever did, by position."`
	Barrier          ClusterBarrier    `json:"barrier"`
	Formation        *ClusterFormation `json:"formation" doc:"How the last formation, or the joining of a node, stands."`
	Health           *cluster.Health   `json:"health" doc:"What the last look at it found."`
	AllowedActions   []cluster.Action  `json:"allowed_actions" doc:"cancel, cleanup, add_node"`
	RequestedBy      string            `json:"requested_by"`
	CreatedAt        time.Time         `json:"created_at"`
	UpdatedAt        time.Time         `json:"updated_at"`
	FormedAt         *time.Time        `json:"formed_at"`
	CleanupAt        *time.Time        `json:"cleanup_at"`
	Version          int               `json:"version"`
	Message          string            `json:"message"`
}

// Line is the answer as a shell prints it.
func (a ClusterAnswer) Line() string {
	return fmt.Sprintf("ok cluster %d %s %s: %s", a.ID, a.Name, a.Status, a.Message)
}

// ClusterMember is a node in a cluster.
type ClusterMember struct {
	Position        int              `json:"position"`
	State           string           `json:"state" enum:"member,late,replaced,released"`
	Note            *string          `json:"note" doc:"Why it is late or was replaced, and by whose word."`
	NodeID          int64            `json:"node_id"`
	NodeName        string           `json:"node_name"`
	CVMIP           *string          `json:"cvm_ip"`
	DeploymentID    *int64           `json:"deployment_id"`
	DeploymentState *string          `json:"deployment_state"`
	CurrentPhase    *string          `json:"current_phase"`
	PhaseStatus     *string          `json:"phase_status"`
	ProgressPercent *float64         `json:"progress_percent" doc:"null in a list."`
	Ready           bool             `json:"ready" doc:"It is at the barrier."`
	FormedAt        *time.Time       `json:"formed_at" doc:"When the formed cluster first counted it as a member."`
	WaitsFor        *string          `json:"waits_for"`
	Choices         []cluster.Choice `json:"choices" doc:"What can be done about it now: retry, replace, go_on_without."`
	Failure         *MemberFailure   `json:"failure"`
}

// MemberFailure is why a member's deployment failed.
type MemberFailure struct {
	Phase   string `json:"phase"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// ClusterBarrier is the wait of a cluster's members for each other.
type ClusterBarrier struct {
	Ready      int           `json:"ready"`
	Total      int           `json:"total"`
	WaitingFor []ClusterWait `json:"waiting_for"`
}

// ClusterWait is a member that is not at the barrier.
type ClusterWait struct {
	NodeID   int64  `json:"node_id"`
	NodeName string `json:"node_name"`
	Why      string `json:"why"`
}

// ClusterFormation is how a formation stands.
type ClusterFormation struct {
	Kind     string    `json:"kind" enum:"create,join,clear"`
	Status   string    `json:"status" enum:"running,failed,formed,void"`
	Leader   string    `json:"leader" doc:"Name of the node on whose controller VM commands are run."`
	Members  []string  `json:"members"`
	Action   string    `json:"action"`
	Reason   string    `json:"reason"`
	Message  string    `json:"message"`
	Hint     *string   `json:"hint"`
	Culprits []string  `json:"culprits"`
	Evidence []string  `json:"evidence"`
	Command  *string   `json:"command"`
	Since    time.Time `json:"since"`
	At       time.Time `json:"at"`
}

// ClusterPage is a page of clusters.
type ClusterPage struct {
	Clusters   []ClusterAnswer `json:"clusters" doc:"The newest first."`
	NextCursor *string         `json:"next_cursor" doc:"Ask with it as after for the next page; null: this is the last."`
}

func clusterAnswer(c *cluster.Cluster) ClusterAnswer {
	out := ClusterAnswer{
		ID: c.ID, Name: c.Name, Type: string(c.Type), Status: string(c.State()), RedundancyFactor: c.RF, IP: filled(c.VIP), DNS: never(c.DNS), NTP: never(c.NTP),
		Members: []ClusterMember{}, Barrier: ClusterBarrier{WaitingFor: []ClusterWait{}}, Health: c.Health, AllowedActions: c.AllowedActions(),
		RequestedBy: c.RequestedBy.Name, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(), FormedAt: c.FormedAt, CleanupAt: c.CleanupAt, Version: c.Version,
	}
	for i := range c.Nodes {
		out.Members = append(out.Members, clusterMember(c, &c.Nodes[i]))
	}
	b := c.Barrier()
	out.Barrier.Ready, out.Barrier.Total = b.Ready, b.Total
	for _, w := range b.WaitingFor {
		out.Barrier.WaitingFor = append(out.Barrier.WaitingFor, ClusterWait{NodeID: w.Node.NodeID, NodeName: w.Node.Name, Why: w.Why})
	}
	if c.Formation != nil {
		out.Formation = clusterFormation(c)
	}
	out.Message = clusterWords(c, b)
	return out
}

// never is never nil.
func never(list []string) []string { return append([]string{}, list...) }

// clusterWords say in a line how a cluster stands.
func clusterWords(c *cluster.Cluster, b cluster.Barrier) string {
	switch c.State() {
	case cluster.Blocked:
		var stuck []string
		for i := range c.Nodes {
			if n := &c.Nodes[i]; n.Ended() && (n.State == cluster.Belongs || n.State == cluster.Released) && n.DeploymentID != 0 {
				stuck = append(stuck, fmt.Sprintf("%s is %s", n.Name, n.Deployment))
			}
		}
		return "somebody has to decide: " + strings.Join(stuck, "; ")
	case cluster.Forming, cluster.Growing:
		if c.Formation != nil {
			return c.Formation.Message
		}
	case cluster.Validating, cluster.Deployed:
		return fmt.Sprintf("formed of %d nodes", len(c.Formed()))
	case cluster.Canceled, cluster.CleaningUp, cluster.CleanedUp:
		return fmt.Sprintf("%d nodes", b.Total)
	case cluster.Queued, cluster.Installing:
	}
	return fmt.Sprintf("%d of %d nodes are ready", b.Ready, b.Total)
}

func clusterMember(c *cluster.Cluster, n *cluster.Node) ClusterMember {
	out := ClusterMember{
		Position: n.Position, State: string(n.State), Note: filled(n.Note), NodeID: n.NodeID, NodeName: n.Name, CVMIP: filled(n.CVMIP),
		FormedAt: n.FormedAt, WaitsFor: filled(c.WaitsFor(n)), Choices: c.Choices(n),
	}
	if n.DeploymentID == 0 || n.State == cluster.Replaced { // what it does now is not this cluster's
		return out
	}
	out.DeploymentID, out.DeploymentState, out.CurrentPhase, out.PhaseStatus = &n.DeploymentID, filled(n.Deployment), filled(n.Phase), filled(string(n.PhaseStatus))
	out.Ready = n.Ready()
	if f := n.Failure; f != nil {
		out.Failure = &MemberFailure{Phase: f.Phase, Code: f.Code, Message: f.Message, Hint: f.Hint}
	}
	return out
}

func clusterFormation(c *cluster.Cluster) *ClusterFormation {
	f := c.Formation
	names := func(ids ...int64) []string {
		out := []string{}
		for _, id := range ids {
			if n := c.Node(id); n != nil {
				out = append(out, n.Name)
			}
		}
		return out
	}
	return &ClusterFormation{
		Kind: f.Kind, Status: string(f.Status), Leader: strings.Join(names(f.Leader), ""), Members: names(f.Members...), Action: f.Action, Reason: f.Reason, Message: f.Message,
		Hint: filled(f.Hint), Culprits: names(f.Culprits...), Evidence: never(f.Evidence), Command: filled(f.Command), Since: f.Since, At: f.At,
	}
}

// measured is a cluster with how far its members are.
func (s *Server) measured(ctx context.Context, c *cluster.Cluster) (ClusterAnswer, error) {
	out := clusterAnswer(c)
	total, waited := 0.0, map[int64]bool{}
	for _, n := range c.Members() {
		waited[n.MemberID] = true
	}
	for i := range out.Members {
		m := &out.Members[i]
		if m.DeploymentID == nil {
			continue
		}
		st, err := s.Statuses.NodeStatus(ctx, query.MachineHint{NodeID: m.NodeID})
		if err != nil {
			return out, err
		}
		m.ProgressPercent = &st.ProgressPercent
		if waited[c.Nodes[i].MemberID] {
			total += st.ProgressPercent
		}
	}
	if len(waited) > 0 {
		total /= float64(len(waited))
	}
	out.ProgressPercent = &total
	return out, nil
}

// findCluster reads a cluster by its id, its global id, or its name. What can be
// both is an id.
func (s *Server) findCluster(ctx context.Context, word string) (*cluster.Cluster, error) {
	if id, err := strconv.ParseInt(strings.TrimPrefix(word, "clu_"), 10, 64); err == nil && id > 0 {
		c, err := s.Clusters.Get(ctx, id)
		if !deploy.HasCode(err, deploy.CodeNotFound) {
			return c, err
		}
	}
	return s.Clusters.ByName(ctx, word)
}

type (
	clustersInput struct {
		Limit  string   `query:"limit" doc:"1 to 200, 50 without it."`
		After  string   `query:"after" doc:"The next_cursor of the page before."`
		Status []string `query:"status,explode" doc:"Only in one of these; may be repeated."`
		Text   string   `query:"text" doc:"Part of its name, of its address, or of a node's name."`
	}
	clustersOutput struct {
		Body ClusterPage
	}
	clusterInput struct {
		ID string `path:"id" doc:"Database id, global id, or name." example:"7"`
	}
	clusterOutput struct {
		Body ClusterAnswer
	}
)

// typedClusters registers what only reads.
func (s *Server) typedClusters(read func(path, id, summary string) huma.Operation) {
	list := read("/api/config/clusters", "list-clusters", "Clusters, the newest first, page by page")
	list.Tags = []string{"clusters"}
	huma.Register(s.api, list, func(ctx context.Context, in *clustersInput) (*clustersOutput, error) {
		out, err := s.clusterPage(ctx, in)
		if err != nil {
			return nil, s.typedError(ctx, err)
		}
		return &clustersOutput{out}, nil
	})
	one := read("/api/config/clusters/{id}", "get-cluster", "One cluster, by id or name")
	one.Tags = []string{"clusters"}
	huma.Register(s.api, one, func(ctx context.Context, in *clusterInput) (*clusterOutput, error) {
		c, err := s.findCluster(ctx, in.ID)
		if err != nil {
			return nil, s.typedError(ctx, err)
		}
		out, err := s.measured(ctx, c)
		if err != nil {
			return nil, s.typedError(ctx, err)
		}
		return &clusterOutput{out}, nil
	})
}

func (s *Server) clusterPage(ctx context.Context, in *clustersInput) (out ClusterPage, err error) {
	var bad fieldErrors
	limit := bad.limit(in.Limit, 50)
	if limit > cluster.PageMax {
		bad.add("limit", deploy.CodeOutOfRange, fmt.Sprintf("must be 1 to %d", cluster.PageMax))
	}
	before := bad.optionalID("after", "clu", in.After)
	f := cluster.Chosen{Text: strings.TrimSpace(in.Text)}
	if len(f.Text) > orderText {
		bad.add("text", deploy.CodeOutOfRange, fmt.Sprintf("is longer than %d bytes", orderText))
	}
	for _, word := range words(in.Status) {
		known := false
		for _, state := range cluster.States() {
			known = known || string(state) == word
		}
		if !known {
			bad.add("status", deploy.CodeInvalid, "has a word that is no status of a cluster")
			break
		}
		f.States = append(f.States, cluster.State(word))
	}
	if err := bad.err(); err != nil {
		return out, err
	}
	list, more, err := s.Clusters.Find(ctx, f, before, limit)
	if err != nil {
		return out, err
	}
	out.Clusters = []ClusterAnswer{}
	for _, c := range list {
		out.Clusters = append(out.Clusters, clusterAnswer(c))
	}
	if more {
		next := strconv.FormatInt(list[len(list)-1].ID, 10)
		out.NextCursor = &next
	}
	return out, nil
}
