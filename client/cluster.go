package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Document is an answer with its text as it came.
type Document[T any] struct {
	Value T
	JSON  json.RawMessage
}

// UnmarshalJSON reads the answer and keeps its text.
func (d *Document[T]) UnmarshalJSON(b []byte) error {
	d.JSON = append(json.RawMessage(nil), b...)
	return json.Unmarshal(b, &d.Value)
}

// Cluster is a cluster as the REST face tells of it.
type Cluster struct {
	ID               int64
	Name             string
	Type             string `json:"cluster_type"`
	Status           string
	RedundancyFactor int      `json:"redundancy_factor"`
	IP               *string  `json:"cluster_ip"`
	Progress         *float64 `json:"progress_percent"` // nil in a list
	Members          []ClusterMember
	Barrier          struct{ Ready, Total int }
	Formation        *ClusterFormation
	Health           *ClusterHealth
	AllowedActions   []string  `json:"allowed_actions"`
	RequestedBy      string    `json:"requested_by"`
	CreatedAt        time.Time `json:"created_at"`
	Message          string
}

// ClusterMember is a node in a cluster.
type ClusterMember struct {
	Position        int
	State           string // member, late, replaced, released
	Note            *string
	NodeID          int64    `json:"node_id"`
	NodeName        string   `json:"node_name"`
	CVMIP           *string  `json:"cvm_ip"`
	DeploymentID    *int64   `json:"deployment_id"`
	DeploymentState *string  `json:"deployment_state"`
	CurrentPhase    *string  `json:"current_phase"`
	PhaseStatus     *string  `json:"phase_status"`
	Progress        *float64 `json:"progress_percent"`
	Ready           bool
	FormedAt        *time.Time `json:"formed_at"`
	WaitsFor        *string    `json:"waits_for"`
	Choices         []string
	Failure         *struct{ Phase, Code, Message, Hint string }
}

// ClusterFormation is how a formation stands.
type ClusterFormation struct {
	Kind, Status, Leader, Action, Reason, Message string
	Hint, Command                                 *string
	Culprits, Evidence                            []string
}

// ClusterHealth is what the last look at a cluster found.
type ClusterHealth struct {
	OK     bool
	At     time.Time
	Checks []struct {
		Name, Address, Node, Message, Hint string
		OK                                 bool
		Evidence                           []string
	}
}

// ClusterOrder is a cluster that is asked for, as the REST face reads it.
type ClusterOrder struct {
	Config ClusterConfig `json:"cluster_config"`
}

// ClusterConfig is what it is to be. A node is a name, an id, or an Order.
type ClusterConfig struct {
	Name             string   `json:"cluster_name,omitempty"`
	Type             string   `json:"cluster_type,omitempty"`
	Operation        string   `json:"cluster_operation,omitempty"`
	RedundancyFactor int      `json:"redundancy_factor,omitempty"`
	IP               string   `json:"cluster_ip,omitempty"`
	DNSServers       []string `json:"dns_servers,omitempty"`
	NTPServers       []string `json:"ntp_servers,omitempty"`
	SkipDiscovery    bool     `json:"skip_discovery,omitempty"`
	Nodes            []any    `json:"nodes"`
}

// ClusterPlan is what would become of a cluster.
type ClusterPlan struct {
	OK     bool
	Checks []Check
	Nodes  []struct {
		Name   string `json:"node_name"`
		Checks []Check
	}
	EstimatedSeconds *float64 `json:"estimated_seconds"`
	Command          *string
	Message          string
}

// AcceptedCluster is a cluster that was accepted.
type AcceptedCluster struct {
	ID            int64   `json:"cluster_id"`
	Name          string  `json:"cluster_name"`
	DeploymentIDs []int64 `json:"deployment_ids"`
	Message       string
}

// ClusterCleanup is the plan of a cluster's cleanup.
type ClusterCleanup struct {
	ID    int64  `json:"cluster_id"`
	Name  string `json:"cluster_name"`
	Nodes []struct {
		NodeName string `json:"node_name"`
		Plan     []ReleaseStep
	}
	Message string
}

const clustersPath = "/api/config/clusters"

func clusterPath(idOrName, verb string) string {
	return clustersPath + "/" + url.PathEscape(idOrName) + verb
}

// PlanCluster tells what would become of a cluster; nothing is done. order is
// JSON, see ClusterOrder.
func (c *Client) PlanCluster(ctx context.Context, order []byte) (out Document[ClusterPlan], err error) {
	_, err = c.send(ctx, http.MethodPost, clustersPath+"?dry_run=true", order, nil, &out)
	return out, err
}

// DeployCluster asks for a cluster. The same idempotency key twice is one
// cluster; empty = none.
func (c *Client) DeployCluster(ctx context.Context, order []byte, idempotencyKey string) (out Document[AcceptedCluster], err error) {
	header := http.Header{}
	if idempotencyKey != "" {
		header.Set("Idempotency-Key", idempotencyKey)
	}
	_, err = c.send(ctx, http.MethodPost, clustersPath, order, header, &out)
	return out, err
}

// Cluster reads a cluster by its id or name; ErrNotFound if there is none.
func (c *Client) Cluster(ctx context.Context, idOrName string) (out Document[Cluster], err error) {
	status, err := c.rest(ctx, http.MethodGet, clusterPath(idOrName, ""), nil, &out)
	if status == http.StatusNotFound {
		return out, ErrNotFound
	}
	return out, err
}

// Clusters reads clusters, the newest first, page by page, and calls each for
// one. states and text choose; empty = all.
func (c *Client) Clusters(ctx context.Context, states []string, text string, each func(Document[Cluster]) error) error {
	q := url.Values{"limit": {strconv.Itoa(clusterPage)}}
	for _, s := range states {
		q.Add("status", s)
	}
	if text != "" {
		q.Set("text", text)
	}
	for {
		var page struct {
			Clusters   []Document[Cluster]
			NextCursor *string `json:"next_cursor"`
		}
		if _, err := c.rest(ctx, http.MethodGet, clustersPath+"?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		for _, one := range page.Clusters {
			if err := each(one); err != nil {
				return err
			}
		}
		if page.NextCursor == nil {
			return nil
		}
		q.Set("after", *page.NextCursor)
	}
}

const clusterPage = 100

func (c *Client) clusterVerb(ctx context.Context, idOrName, verb string, in any) (out Document[Cluster], err error) {
	_, err = c.rest(ctx, http.MethodPost, clusterPath(idOrName, verb), in, &out)
	return out, err
}

// CancelCluster ends the deployments of a cluster's nodes, when their open
// phases end or at once.
func (c *Client) CancelCluster(ctx context.Context, idOrName string, immediate bool, reason string) (Document[Cluster], error) {
	mode := "after_current_phase"
	if immediate {
		mode = "immediate"
	}
	return c.clusterVerb(ctx, idOrName, "/cancel", map[string]string{"mode": mode, "reason": reason})
}

// GoOnWithout has a cluster go on without a node.
func (c *Client) GoOnWithout(ctx context.Context, idOrName, node, reason string) (Document[Cluster], error) {
	return c.clusterVerb(ctx, idOrName, "/go-on-without", map[string]string{"node": node, "reason": reason})
}

// ReplaceNode puts another node into the place of one; by is a name, an id, or
// an Order.
func (c *Client) ReplaceNode(ctx context.Context, idOrName, node string, by any) (Document[Cluster], error) {
	return c.clusterVerb(ctx, idOrName, "/replace", map[string]any{"node": node, "by": by})
}

// CheckCluster makes every check of a formed cluster now.
func (c *Client) CheckCluster(ctx context.Context, idOrName string) (Document[Cluster], error) {
	return c.clusterVerb(ctx, idOrName, "/health", nil)
}

// PlanClusterCleanup tells what a cleanup would remove; nothing is done.
func (c *Client) PlanClusterCleanup(ctx context.Context, idOrName string) (out Document[ClusterCleanup], err error) {
	_, err = c.rest(ctx, http.MethodPost, clusterPath(idOrName, "/cleanup?dry_run=true"), nil, &out)
	return out, err
}

// CleanupCluster releases everything that a cluster's nodes hold; confirm must
// be the cluster's name.
func (c *Client) CleanupCluster(ctx context.Context, idOrName, confirm string) (out Document[ClusterCleanup], err error) {
	_, err = c.rest(ctx, http.MethodPost, clusterPath(idOrName, "/cleanup"), map[string]string{"confirm": confirm}, &out)
	return out, err
}
