package cluster

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/store"
)

// Writer changes deployments; package lifecycle's Writer does.
type Writer interface {
	Do(ctx context.Context, deployments, nodes []int64, apply func(*lifecycle.Tx) error) error
}

// CVMs asks controller VMs and tells them; package cvm's Client does.
type CVMs interface {
	Form(ctx context.Context, r cvm.FormRequest) (cvm.Step, error)
	Join(ctx context.Context, r cvm.JoinRequest) (cvm.Step, error)
	Destroy(ctx context.Context, r cvm.DestroyRequest) (cvm.Step, error)
	Health(ctx context.Context, members []cvm.Target, vip netip.Addr) cvm.Report
}

// Planner checks one node of a request and the end of one; package operation's
// Service does.
type Planner interface {
	Plan(ctx context.Context, name string, spec deploy.Spec) (operation.Plan, error)
	ReleasePlan(ctx context.Context, deploymentID int64) ([]deploy.ReleaseStep, error)
}

// Deps are what a Service is made of.
type Deps struct {
	Store   *store.Store
	Writer  Writer
	CVMs    CVMs
	Planner Planner
	// SSHPort and PrismPort are those of the controller VMs; 0 = 22 and 9440.
	SSHPort, PrismPort int
	// Slots is how many deployments may run at once; 0 = not compared with.
	Slots int
	// Installer is the artifact that installs nodes whose spec names none.
	Installer string
	// FormLimit is how long a formation may take, from when all members are
	// there; less than the phase's deadline, so that the failure names who was
	// waited for. Time in which nobody looked does not count. Default 25 min.
	FormLimit time.Duration
	// AskLimit is how long all questions of one step may take together: less than
	// the workflow gives a step, which would end without having told anything.
	// Default 2 min.
	AskLimit time.Duration
	// Boundary is told each point between which something changes for good. A
	// test stops the process there. nil = nobody.
	Boundary func(point string)
	Now      func() time.Time // nil = time.Now
	Logger   *slog.Logger     // nil = slog.Default()
}

// Service answers people and the workflow. It keeps nothing in memory, and is
// safe for concurrent use by several processes on one database.
type Service struct{ deps Deps }

// New makes a Service.
func New(d Deps) *Service {
	if d.FormLimit <= 0 {
		d.FormLimit = 25 * time.Minute
	}
	if d.AskLimit <= 0 {
		d.AskLimit = 2 * time.Minute
	}
	if d.Boundary == nil {
		d.Boundary = func(string) {}
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	if d.SSHPort == 0 {
		d.SSHPort = 22
	}
	if d.PrismPort == 0 {
		d.PrismPort = cvm.PrismPort
	}
	return &Service{deps: d}
}

func (s *Service) now() time.Time { return s.deps.Now().UTC().Truncate(time.Microsecond) }

// Get reads a cluster with its nodes. Error: not_found.
func (s *Service) Get(ctx context.Context, id int64) (*Cluster, error) {
	list, err := s.read(ctx, s.deps.Store.Read, `c.id = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, deploy.Errorf(deploy.CodeNotFound, "there is no cluster %d", id)
	}
	return list[0], nil
}

// ByName reads the cluster of a name that is not being cleaned up, or else the
// last one of that name. Error: not_found.
func (s *Service) ByName(ctx context.Context, name string) (*Cluster, error) {
	list, err := s.read(ctx, s.deps.Store.Read, `c.id = (SELECT x.id FROM clusters x WHERE x.name = $1 ORDER BY x.cleanup_at IS NOT NULL, x.id DESC LIMIT 1)`, name)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, deploy.Errorf(deploy.CodeNotFound, "there is no cluster named %q", name)
	}
	return list[0], nil
}

// OfNode reads the cluster that a node belongs to, nil if there is none.
func (s *Service) OfNode(ctx context.Context, nodeID int64) (*Cluster, error) {
	list, err := s.read(ctx, s.deps.Store.Read, `c.id = (SELECT m.cluster_id FROM cluster_members m WHERE m.node_id = $1 ORDER BY m.id DESC LIMIT 1)`, nodeID)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

// PageMax is the most clusters of one page.
const PageMax = 200

// List reads clusters, the newest first, that are older than before (0 = from
// the newest); more tells that there are others.
func (s *Service) List(ctx context.Context, before int64, limit int) (list []*Cluster, more bool, err error) {
	limit = min(max(limit, 1), PageMax)
	if before <= 0 {
		before = 1 << 62
	}
	list, err = s.read(ctx, s.deps.Store.Read, fmt.Sprintf(`c.id IN (SELECT x.id FROM clusters x WHERE x.id < $1 ORDER BY x.id DESC LIMIT %d)`, limit+1), before)
	if len(list) > limit {
		return list[:limit], true, err
	}
	return list, false, err
}

// queryer is a database, or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// read reads clusters, the newest first.
func (s *Service) read(ctx context.Context, from queryer, where string, args ...any) ([]*Cluster, error) {
	rows, err := from.QueryContext(ctx, `SELECT c.id, c.identity, c.name, c.type, c.redundancy_factor, COALESCE(c.vip, ''), c.dns_servers, c.ntp_servers, c.skip_discovery, c.formation, c.health,
		c.requested_by_kind, c.requested_by, c.version, c.created_at, c.updated_at, c.formed_at, c.cleanup_at, c.cleanup_by FROM clusters c WHERE `+where+` ORDER BY c.id DESC`, args...)
	if err != nil {
		return nil, fmt.Errorf("cluster: reading clusters: %w", err)
	}
	defer rows.Close()
	var out []*Cluster
	byID := map[int64]*Cluster{}
	for rows.Next() {
		c := &Cluster{}
		var dns, ntp, formation, health []byte
		err := rows.Scan(&c.ID, &c.Identity, &c.Name, &c.Type, &c.RF, &c.VIP, &dns, &ntp, &c.SkipDiscovery, &formation, &health,
			&c.RequestedBy.Kind, &c.RequestedBy.Name, &c.Version, &c.CreatedAt, &c.UpdatedAt, &c.FormedAt, &c.CleanupAt, &c.CleanupBy)
		if err != nil {
			return nil, fmt.Errorf("cluster: reading a cluster: %w", err)
		}
		if err := errors.Join(decode(dns, &c.DNS), decode(ntp, &c.NTP), decode(formation, &c.Formation), decode(health, &c.Health)); err != nil {
			return nil, fmt.Errorf("cluster: cluster %d: %w", c.ID, err)
		}
		byID[c.ID] = c
		out = append(out, c)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("cluster: reading clusters: %w", err)
	}
	if err := s.readNodes(ctx, from, out, byID); err != nil {
		return nil, err
	}
	for _, c := range out {
		if f := c.Formation; f != nil && f.Status == FormationRunning && c.void(f) {
			f.Status = FormationVoid
		}
	}
	return out, nil
}

func decode(b []byte, into any) error {
	if len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, into)
}

// readNodes adds the nodes, each with the last deployment that was for the
// cluster: what a node did afterwards is not the cluster's.
func (s *Service) readNodes(ctx context.Context, from queryer, list []*Cluster, byID map[int64]*Cluster) error {
	if len(list) == 0 {
		return nil
	}
	in := make([]string, len(list))
	args := make([]any, len(list))
	for i, c := range list {
		in[i], args[i] = fmt.Sprintf("$%d", i+1), c.ID
	}
	rows, err := from.QueryContext(ctx, `SELECT m.cluster_id, m.id, m.position, m.state, m.note, m.added_at, m.formed_at, n.id, n.name, n.provider, COALESCE(n.management_ip, ''), COALESCE(n.cvm_ip, ''), COALESCE(n.cvm_host_key, ''), n.stale,
		COALESCE(d.id, 0), COALESCE(d.number, 0), COALESCE(d.attempt, 0), COALESCE(d.state, ''), COALESCE(d.phase, ''), COALESCE(d.phase_status, ''),
		d.failure_phase, COALESCE(d.failure_code, ''), COALESCE(d.failure_message, ''), COALESCE(d.failure_hint, ''), d.config, d.maintenance, d.id = n.current_deployment_id,
		EXISTS (SELECT 1 FROM phase_runs e WHERE e.deployment_id = d.id AND e.phase = 'deployed'), n.clustered
		FROM cluster_members m JOIN nodes n ON n.id = m.node_id LEFT JOIN deployments d ON d.id = (SELECT MAX(x.id) FROM deployments x WHERE x.cluster_id = m.cluster_id AND x.node_id = m.node_id)
		WHERE m.cluster_id IN (`+strings.Join(in, ", ")+`) ORDER BY m.position, m.id`, args...)
	if err != nil {
		return fmt.Errorf("cluster: reading members: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var of int64
		var n Node
		var f Failure
		var failed sql.NullString
		var config []byte
		var maintenance, current sql.NullBool
		var clustered bool
		err := rows.Scan(&of, &n.MemberID, &n.Position, &n.State, &n.Note, &n.AddedAt, &n.FormedAt, &n.NodeID, &n.Name, &n.Provider, &n.ManagementIP, &n.CVMIP, &n.Key, &n.Stale,
			&n.DeploymentID, &n.Number, &n.Attempt, &n.Deployment, &n.Phase, &n.PhaseStatus, &failed, &f.Code, &f.Message, &f.Hint, &config, &maintenance, &current, &n.Before, &clustered)
		if err == nil {
			err = decode(config, &n.Spec)
		}
		if err != nil {
			return fmt.Errorf("cluster: reading a member: %w", err)
		}
		n.Maintenance, n.Current = maintenance.Bool, current.Bool
		n.Begun = clustered && n.Current && n.FormedAt == nil && (n.State == Belongs || n.State == Late)
		if failed.Valid {
			f.Phase = failed.String
			n.Failure = &f
		}
		byID[of].Nodes = append(byID[of].Nodes, n)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// ofDeployment reads the cluster that a deployment's node belongs to, and the
// node. It is nil if the deployment is not the node's current one any more.
func (s *Service) ofDeployment(ctx context.Context, deploymentID int64) (*Cluster, *Node, error) {
	list, err := s.read(ctx, s.deps.Store.Read, `c.id = (SELECT d.cluster_id FROM deployments d WHERE d.id = $1)`, deploymentID)
	if err != nil || len(list) == 0 {
		return nil, nil, err
	}
	for i := range list[0].Nodes {
		if n := &list[0].Nodes[i]; n.DeploymentID == deploymentID {
			return list[0], list[0].Node(n.NodeID), nil
		}
	}
	return list[0], nil, nil
}

// update changes a cluster's row in a transaction of the writer and has it seen:
// version and time move with it, and the stream tells of its first node (teller),
// which the transaction has locked.
func (s *Service) update(ctx context.Context, tx *lifecycle.Tx, id int64, set string, args ...any) error {
	_, err := tx.SQL().ExecContext(ctx, `UPDATE clusters SET `+set+`, version = version + 1, updated_at = $1 WHERE id = $2`, append([]any{tx.Now(), id}, args...)...)
	if err != nil {
		return fmt.Errorf("cluster: changing cluster %d: %w", id, err)
	}
	var node int64
	err = tx.SQL().QueryRowContext(ctx, `SELECT node_id FROM cluster_members WHERE cluster_id = $1 ORDER BY position, id LIMIT 1`, id).Scan(&node)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("cluster: looking for who tells of cluster %d: %w", id, err)
	}
	return tx.Show(node)
}

// teller is the node whose change tells those who follow the cluster of its own:
// its first, whatever became of it, so that it is the same for everybody.
func (c *Cluster) teller() []int64 {
	if len(c.Nodes) == 0 {
		return nil
	}
	return []int64{c.Nodes[0].NodeID}
}
