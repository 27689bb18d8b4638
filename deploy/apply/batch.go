package apply

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// These read for many at once what faces show in lists, with one statement
// each.

// RunsByID reads runs; ids that no run has are left out.
func (s *Service) RunsByID(ctx context.Context, ids []int64) (map[int64]*Run, error) {
	out := make(map[int64]*Run, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	in, args := list(ids)
	rows, err := s.deps.Store.Read.QueryContext(ctx, `SELECT `+runColumns+` FROM script_runs WHERE id IN `+in, args...)
	if err != nil {
		return nil, fmt.Errorf("apply: reading runs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanRun(rows)
		if err != nil {
			return nil, fmt.Errorf("apply: reading runs: %w", err)
		}
		out[r.ID] = r
	}
	return out, rows.Err()
}

// DocumentsOfRuns lists what runs store, by run and in the order of their
// requests.
func (s *Service) DocumentsOfRuns(ctx context.Context, runs []int64) (map[int64][]Document, error) {
	if len(runs) == 0 {
		return nil, nil
	}
	in, args := list(runs)
	docs, err := readDocuments(ctx, s.deps.Store.Read, `d.run_id IN `+in+` ORDER BY d.id`, args...)
	return grouped(docs, err, func(d Document) int64 { return d.RunID })
}

// DocumentsOfNodes is History for many nodes: at most limit documents of each,
// the newest first.
func (s *Service) DocumentsOfNodes(ctx context.Context, nodes []int64, limit int) (map[int64][]Document, error) {
	if len(nodes) == 0 {
		return nil, nil
	}
	in, args := list(nodes)
	args = append(args, min(max(limit, 1), RunsMax))
	docs, err := readDocuments(ctx, s.deps.Store.Read, `d.id IN (SELECT id FROM
		(SELECT x.id, ROW_NUMBER() OVER (PARTITION BY x.node_id ORDER BY x.id DESC) AS place FROM script_documents x JOIN script_runs y ON y.id = x.run_id
			WHERE y.stored_at IS NOT NULL AND x.node_id IN `+in+`) AS placed
		WHERE place <= $`+strconv.Itoa(len(args))+`) ORDER BY d.id DESC`, args...)
	return grouped(docs, err, func(d Document) int64 { return d.NodeID })
}

// Latest gives what the newest attempts of deployments store, by deployment;
// those that store nothing are left out.
func (s *Service) Latest(ctx context.Context, deployments []int64) (map[int64]Document, error) {
	out := make(map[int64]Document, len(deployments))
	if len(deployments) == 0 {
		return out, nil
	}
	in, args := list(deployments)
	docs, err := readDocuments(ctx, s.deps.Store.Read, `d.id IN (SELECT MAX(id) FROM script_documents WHERE deployment_id IN `+in+` GROUP BY deployment_id)`, args...)
	for _, d := range docs {
		out[d.DeploymentID] = d
	}
	return out, err
}

func grouped(docs []Document, err error, by func(Document) int64) (map[int64][]Document, error) {
	out := map[int64][]Document{}
	for _, d := range docs {
		out[by(d)] = append(out[by(d)], d)
	}
	return out, err
}

// list is the SQL of a list of ids, and its arguments.
func list(ids []int64) (in string, args []any) {
	marks := make([]string, len(ids))
	for i, id := range ids {
		marks[i] = "$" + strconv.Itoa(i+1)
		args = append(args, id)
	}
	return "(" + strings.Join(marks, ", ") + ")", args
}
