package cluster

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/cluster/cvm"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
)

// Deploy accepts a cluster, or more nodes for one: the cluster, its members and
// their deployments are on disk together when it answers, or nothing is. Errors:
// invalid with every bad field, name_in_use, conflict, idempotency_conflict.
//
// The same key of the same actor with the same request gives the cluster that was
// made, or that nodes were added to, before.
func (s *Service) Deploy(ctx context.Context, r Request) (*Cluster, error) {
	hash := hashOf(r)
	if known, err := s.known(ctx, r, hash); known != nil || err != nil {
		return known, err
	}
	c, err := s.accept(ctx, r, hash)
	if err == nil {
		return c, nil
	}
	// The same may have been asked at the same time, and be why this is refused.
	if _, refused := deploy.AsError(err); refused {
		if known, lookErr := s.known(ctx, r, hash); known != nil || lookErr != nil {
			return known, lookErr
		}
	}
	return nil, err
}

// accept is Deploy of what was not asked before.
func (s *Service) accept(ctx context.Context, r Request, hash string) (*Cluster, error) {
	nodes, into, bad, err := s.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := deploy.Invalid(bad); err != nil {
		return nil, err
	}
	id, err := s.insert(ctx, r, hash, nodes, into)
	if constraint, twice := s.deps.Store.IsUnique(err); twice {
		return nil, overtaken(constraint)
	}
	if err != nil {
		return nil, err
	}
	s.audit(r.Actor, "deploy_cluster", id, "nodes", len(nodes))
	return s.Get(ctx, id)
}

func hashOf(r Request) string {
	r.IdempotencyKey = ""
	sum := sha256.Sum256([]byte(mustJSON(r)))
	return hex.EncodeToString(sum[:])
}

func (s *Service) audit(a deploy.Actor, verb string, id int64, more ...any) {
	s.deps.Logger.Info("audit", append([]any{"verb", verb, "outcome", "done", "actor_kind", string(a.Kind), "actor", a.Name, "cluster", id}, more...)...)
}

// known finds the cluster that was made, or that nodes were added to, with the
// request's key; nil if none. A key is of one actor, for both.
func (s *Service) known(ctx context.Context, r Request, hash string) (*Cluster, error) {
	if r.IdempotencyKey == "" {
		return nil, nil
	}
	var id int64
	var was string
	err := s.deps.Store.Read.QueryRowContext(ctx, `SELECT id, request_hash FROM clusters WHERE requested_by = $1 AND idempotency_key = $2
		UNION ALL SELECT cluster_id, request_hash FROM cluster_members WHERE requested_by = $1 AND idempotency_key = $2 LIMIT 1`, r.Actor.Name, r.IdempotencyKey).Scan(&id, &was)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cluster: looking for a key: %w", err)
	case was != hash:
		return nil, &deploy.Error{Code: deploy.CodeIdempotencyConflict, Message: "the idempotency key was used for another cluster",
			Fields: []deploy.FieldError{{Field: "idempotency_key", Code: deploy.CodeIdempotencyConflict, Message: "was used for another cluster"}}}
	}
	return s.Get(ctx, id)
}

// overtaken turns a lost race into a refusal.
func overtaken(constraint string) error {
	if strings.Contains(constraint, "clusters_one_of_a_name") {
		return &deploy.Error{Code: deploy.CodeNameInUse, Message: "a cluster of this name has just been asked for by somebody else",
			Fields: []deploy.FieldError{{Field: "name", Code: deploy.CodeNameInUse, Message: "is that of another cluster"}}}
	}
	return &deploy.Error{Code: deploy.CodeConflict, Message: "one of the nodes or addresses has just been taken by somebody else", Retryable: true}
}

// withdrawn is a refusal that came when something had been written already. It
// does not unwrap to it: the writer keeps what a refusal leaves, and takes back
// what any other error does.
type withdrawn struct{ refusal error }

func (w *withdrawn) Error() string { return w.refusal.Error() }

// do runs a transaction of the writer from which a refusal takes back all.
func (s *Service) do(ctx context.Context, deployments, nodes []int64, apply func(*lifecycle.Tx) error) error {
	err := s.deps.Writer.Do(ctx, deployments, nodes, func(tx *lifecycle.Tx) error {
		err := apply(tx)
		if _, refused := deploy.AsError(err); refused {
			return &withdrawn{err}
		}
		return err
	})
	var back *withdrawn
	if errors.As(err, &back) {
		return back.refusal
	}
	return err
}

func (s *Service) insert(ctx context.Context, r Request, hash string, nodes []asked, into *Cluster) (id int64, err error) {
	var known []int64
	for _, n := range nodes {
		if n.id != 0 {
			known = append(known, n.id)
		}
	}
	if into != nil {
		known = append(known, into.teller()...)
	}
	s.deps.Boundary("before insert")
	err = s.do(ctx, nil, known, func(tx *lifecycle.Tx) error {
		position := 0
		name := r.Name
		if into == nil {
			if id, err = s.insertCluster(ctx, tx, r, hash, len(nodes)); err != nil {
				return err
			}
		} else {
			id, name = into.ID, into.Name
			for _, n := range into.Nodes {
				position = max(position, n.Position)
			}
			if err := s.stillGrows(ctx, tx, into, len(nodes)); err != nil {
				return err
			}
		}
		for i, n := range nodes {
			if err := s.insertNode(ctx, tx, id, name, position+i+1, r, n, i, into); err != nil {
				return err
			}
		}
		if into == nil || r.IdempotencyKey == "" {
			return nil
		}
		_, err := tx.SQL().ExecContext(ctx, `UPDATE cluster_members SET requested_by = $1, idempotency_key = $2, request_hash = $3 WHERE cluster_id = $4 AND position = $5`,
			r.Actor.Name, r.IdempotencyKey, hash, id, position+1)
		if err != nil {
			return fmt.Errorf("cluster: keeping the key of a join: %w", err)
		}
		return nil
	})
	s.deps.Boundary("after insert")
	return id, err
}

// stillGrows looks again at the cluster, in the transaction and with its row
// held, that two requests do not add one too many.
func (s *Service) stillGrows(ctx context.Context, tx *lifecycle.Tx, into *Cluster, more int) error {
	if err := s.update(ctx, tx, into.ID, `name = name`); err != nil {
		return err
	}
	list, err := s.read(ctx, tx.SQL(), `c.id = $1`, into.ID)
	if err != nil {
		return err
	}
	c := list[0]
	if err := c.mayGrow(); err != nil {
		return err
	}
	if len(c.Members())+c.late()+more > mostNodes {
		return deploy.Errorf(deploy.CodeOutOfRange, "the cluster %s would have more than %d nodes", c.Name, mostNodes)
	}
	return nil
}

func (s *Service) insertCluster(ctx context.Context, tx *lifecycle.Tx, r Request, hash string, n int) (id int64, err error) {
	kind := r.Type
	if kind == "" {
		kind = typeOf(n)
	}
	rf := r.RedundancyFactor
	if rf == 0 {
		rf = cvm.DefaultRedundancyFactor(n)
	}
	orNull := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	err = tx.SQL().QueryRowContext(ctx, `INSERT INTO clusters (identity, name, type, redundancy_factor, vip, dns_servers, ntp_servers, skip_discovery, requested_by_kind, requested_by, idempotency_key, request_hash, version, created_at, updated_at, cleanup_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $13, '') RETURNING id`,
		deploy.NewRunIdentity(), r.Name, string(kind), rf, orNull(r.VIP), mustJSON(orEmpty(r.DNSServers)), mustJSON(orEmpty(r.NTPServers)), r.SkipDiscovery,
		string(r.Actor.Kind), r.Actor.Name, orNull(r.IdempotencyKey), hash, tx.Now()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("cluster: inserting a cluster: %w", err)
	}
	return id, nil
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// insertNode makes a node a member: it is deployed, or goes on from where it is.
func (s *Service) insertNode(ctx context.Context, tx *lifecycle.Tx, id int64, name string, position int, r Request, n asked, i int, into *Cluster) error {
	node := n.id
	if n.deployed {
		if _, err := tx.Enlist(lifecycle.Enlistment{DeploymentID: n.deployment, ClusterID: id, ClusterName: name, Actor: r.Actor}); err != nil {
			return atNode(err, i, n.Name)
		}
		if err := tx.SetClustered(node, name, false); err != nil {
			return err
		}
	} else {
		made, err := tx.Deploy(lifecycle.NewDeployment{NodeID: n.id, Name: n.Name, Spec: s.specOf(r, n, i, into), ClusterName: name, ClusterID: id, Labels: n.Labels, Maintenance: r.Maintenance, Actor: r.Actor}, sql.NullInt64{})
		if err != nil {
			return atNode(err, i, n.Name)
		}
		if n.id != 0 {
			if err := tx.SetClustered(n.id, name, false); err != nil {
				return err
			}
		}
		node = made.NodeID
	}
	return s.addMember(ctx, tx, id, node, position)
}

func (s *Service) addMember(ctx context.Context, tx *lifecycle.Tx, id, node int64, position int) error {
	_, err := tx.SQL().ExecContext(ctx, `INSERT INTO cluster_members (cluster_id, node_id, position, state, note, added_at, updated_at) VALUES ($1, $2, $3, 'member', '', $4, $4)`, id, node, position, tx.Now())
	if err != nil {
		return fmt.Errorf("cluster: adding a member: %w", err)
	}
	return nil
}

// atNode says which node of the request a refusal is about.
func atNode(err error, i int, name string) error {
	e, ok := deploy.AsError(err)
	if !ok {
		return err
	}
	refused := *e
	refused.Fields = nil
	for _, f := range e.Fields {
		f.Field = fmt.Sprintf("nodes.%d.%s", i, f.Field)
		refused.Fields = append(refused.Fields, f)
	}
	if len(refused.Fields) == 0 {
		refused.Fields = []deploy.FieldError{{Field: fmt.Sprintf("nodes.%d", i), Code: e.Code, Message: e.Message}}
	}
	refused.Message = name + ": " + e.Message
	return &refused
}
