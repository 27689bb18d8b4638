package graph

import (
	"context"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/hostconfig"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

func scriptRunModel(r *apply.Run) *model.ScriptRun {
	out := &model.ScriptRun{
		ID: ident.Format(ident.Run, r.ID), Host: r.Host, State: model.ScriptRunState(strings.ToUpper(r.State)), NodeCount: r.Nodes,
		Documents: []*model.NodeDocument{}, ExitCode: r.ExitCode, Signal: text(r.Signal), Problem: text(r.Problem), LogBytes: r.LogBytes, LogCut: r.LogCut,
		CancelRequestedAt: r.CancelAt, CancelRequestedBy: text(r.CancelBy), CancelReason: text(r.CancelReason),
		RequestedBy: actorModel(string(r.RequestedBy.Kind), r.RequestedBy.Name), CreatedAt: r.CreatedAt, StoredAt: r.StoredAt,
		StartedAt: r.StartedAt, EndedAt: r.EndedAt, Duration: between(r.StartedAt, r.EndedAt),
	}
	if r.PID != 0 {
		out.Pid = &r.PID
	}
	return out
}

func changeModel(c hostconfig.Change) *model.DocumentChange {
	out := &model.DocumentChange{Path: c.Path, Kind: c.Kind}
	if c.Kind != hostconfig.Added {
		out.Before = &c.Before
	}
	if c.Kind != hostconfig.Removed {
		out.After = &c.After
	}
	return out
}

func markerModel(m apply.MarkerState) *model.ScriptMarker {
	return &model.ScriptMarker{Path: m.Path, Present: m.Present, Since: optionalTime(m.Since), Stale: m.Stale}
}

func probeModel(p *deploy.Probe) *model.SSHProbe {
	return &model.SSHProbe{
		Target: p.Target, Attempt: p.Attempt, MaxAttempts: p.MaxAttempts, NextAttemptAt: p.NextAt, LastAttemptAt: p.LastAt,
		LastErrorClass: text(p.Class), LastMessage: text(p.Message), OfferedHostKey: text(p.OfferedKey),
		OfferedFingerprint: text(p.Fingerprint), KnownFingerprint: text(p.PinnedPrint),
	}
}

// runs makes models of runs.
func (l loader) runs(ctx context.Context, rows []*apply.Run, sel selection) ([]*model.ScriptRun, error) {
	out, ids := make([]*model.ScriptRun, len(rows)), make([]int64, len(rows))
	for i, r := range rows {
		out[i], ids[i] = scriptRunModel(r), r.ID
	}
	if !sel.has("documents") {
		return out, nil
	}
	docs, err := l.r.Scripts.DocumentsOfRuns(ctx, ids)
	if err != nil {
		return nil, err
	}
	stored, err := l.groups(ctx, docs, sel.child("documents"))
	for i, r := range rows {
		if d := stored[r.ID]; d != nil {
			out[i].Documents = d
		}
	}
	return out, err
}

func (l loader) runsByID(ctx context.Context, ids []int64, sel selection) (map[int64]*model.ScriptRun, error) {
	if l.r.Scripts == nil || len(ids) == 0 {
		return nil, nil
	}
	rows, err := l.r.Scripts.RunsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	return keyed(ctx, rows, sel, l.runs)
}

// groups makes models of documents in groups, all at once.
func (l loader) groups(ctx context.Context, docs map[int64][]apply.Document, sel selection) (map[int64][]*model.NodeDocument, error) {
	var all []apply.Document
	var of []int64
	for id, list := range docs {
		for _, d := range list {
			all, of = append(all, d), append(of, id)
		}
	}
	models, err := l.documents(ctx, all, sel)
	if err != nil {
		return nil, err
	}
	out := make(map[int64][]*model.NodeDocument, len(docs))
	for i, m := range models {
		out[of[i]] = append(out[of[i]], m)
	}
	return out, nil
}

func (l loader) documents(ctx context.Context, docs []apply.Document, sel selection) ([]*model.NodeDocument, error) {
	out, ids := make([]*model.NodeDocument, len(docs)), make([]int64, len(docs))
	for i, d := range docs {
		ids[i] = d.RunID
		out[i] = &model.NodeDocument{
			DeploymentID: ident.Format(ident.Deployment, d.DeploymentID), Attempt: d.Attempt, NodeName: d.NodeName, File: d.File,
			Content: string(d.Body), Sha256: d.SHA256, CreatedAt: d.CreatedAt,
		}
	}
	if !sel.has("run") || len(docs) == 0 {
		return out, nil
	}
	runs, err := l.runsByID(ctx, ids, sel.child("run"))
	for i, id := range ids {
		out[i].Run = runs[id]
	}
	return out, err
}

// plans makes models of what applying writes.
func (l loader) plans(ctx context.Context, plans []apply.Plan, sel selection) ([]*model.NodeConfigPlan, error) {
	out := make([]*model.NodeConfigPlan, len(plans))
	var ids []int64
	for i, p := range plans {
		out[i] = &model.NodeConfigPlan{
			Index: p.Index, Identity: p.Identity, NodeName: p.NodeName, Target: text(p.Target), File: p.File, Number: p.Number,
			Action: model.NodeConfigAction(strings.ToUpper(p.Action)), Content: string(p.Body), Changes: []*model.DocumentChange{}, ChangedOutside: p.Foreign,
		}
		for _, c := range p.Changes {
			out[i].Changes = append(out[i].Changes, changeModel(c))
		}
		if p.NodeID != 0 {
			ids = append(ids, p.NodeID)
		}
	}
	if !sel.has("node") {
		return out, nil
	}
	nodes, err := l.nodesByID(ctx, ids, sel.child("node"))
	for i, p := range plans {
		out[i].Node = nodes[p.NodeID]
	}
	return out, err
}

// stored reads the documents of nodes, as many of each as any selection of
// them wants.
func (l loader) stored(ctx context.Context, nodes []*model.BareMetalNode, sel selection) error {
	if !sel.has("documents") || l.r.Scripts == nil {
		return nil
	}
	most := documentsFirst
	if vars := variables(ctx); vars != nil {
		sel.each(func(f *ast.Field) {
			if f.Name != "documents" || f.Definition == nil {
				return
			}
			switch n := f.ArgumentMap(vars)["first"].(type) {
			case int64:
				most = max(most, int(n))
			case int:
				most = max(most, n)
			default: // what it is otherwise the generated code reads, and it is refused there
				most = apply.RunsMax
			}
		})
	}
	ids := make([]int64, len(nodes))
	for i, n := range nodes {
		ids[i] = n.Key
	}
	docs, err := l.r.Scripts.DocumentsOfNodes(ctx, ids, min(most, apply.RunsMax))
	if err != nil {
		return err
	}
	stored, err := l.groups(ctx, docs, sel.child("documents"))
	for _, n := range nodes {
		n.Stored = stored[n.Key]
	}
	return err
}

// documentsFirst is how many documents of a node are given without being asked
// for a number.
const documentsFirst = 10

func variables(ctx context.Context) map[string]any {
	if !graphql.HasOperationContext(ctx) {
		return nil
	}
	if v := graphql.GetOperationContext(ctx).Variables; v != nil {
		return v
	}
	return map[string]any{}
}

// nodeDocuments gives what was read with a node.
func nodeDocuments(n *model.BareMetalNode, first *int) ([]*model.NodeDocument, error) {
	limit := documentsFirst
	if first != nil {
		limit = *first
	}
	if limit < 1 || limit > apply.RunsMax {
		return nil, badArgument(deploy.CodeOutOfRange, "first", "must be 1 to %d", apply.RunsMax)
	}
	return append([]*model.NodeDocument{}, n.Stored[:min(limit, len(n.Stored))]...), nil
}

// probes reads where the polling of hosts stands, if it is selected or decides
// what may be asked.
func (l loader) probes(ctx context.Context, rows []*ent.Deployment, out []*model.Deployment, sel selection) (map[int64]*deploy.Probe, error) {
	wanted := rows
	if !sel.has("sshProbe") {
		wanted = nil
		if sel.has("allowedActions") {
			for _, d := range rows {
				if d.Provider == deploy.ProviderScript && d.State == phase.Running && phase.Polls(d.Phase) {
					wanted = append(wanted, d)
				}
			}
		}
	}
	found, err := l.r.Fleet.Probes(ctx, wanted)
	if err != nil {
		return nil, err
	}
	for i, d := range rows {
		if p := found[d.ID]; p != nil {
			out[i].SSHProbe = probeModel(p)
		}
	}
	return found, nil
}

// scripts reads what the deployment script does for deployments.
func (l loader) scripts(ctx context.Context, rows []*ent.Deployment, out []*model.Deployment, sel selection) error {
	if !sel.has("scriptRun", "nodeDocument") || l.r.Scripts == nil {
		return nil
	}
	var ids []int64
	for _, d := range rows {
		if d.Provider == deploy.ProviderScript {
			ids = append(ids, d.ID)
		}
	}
	latest, err := l.r.Scripts.Latest(ctx, ids)
	if err != nil {
		return err
	}
	docs, err := keyed(ctx, latest, sel.child("nodeDocument"), l.documents)
	if err != nil {
		return err
	}
	var of []int64
	for _, d := range latest {
		of = append(of, d.RunID)
	}
	runs := map[int64]*model.ScriptRun{}
	if sel.has("scriptRun") {
		if runs, err = l.runsByID(ctx, of, sel.child("scriptRun")); err != nil {
			return err
		}
	}
	for i, d := range rows {
		if doc, ok := latest[d.ID]; ok {
			out[i].NodeDocument, out[i].ScriptRun = docs[d.ID], runs[doc.RunID]
		}
	}
	return nil
}
