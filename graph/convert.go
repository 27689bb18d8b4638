package graph

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

// The database spells enumerations in lower case, GraphQL in upper case; they
// differ in nothing else, but for the status "success".

func phaseOf(key string) model.Phase {
	if p := model.Phase(strings.ToUpper(key)); p.IsValid() && p != model.PhaseCustom {
		return p
	}
	return model.PhaseCustom
}

func phaseKeys(list []model.Phase) []string {
	return lower(list)
}

func lower[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = strings.ToLower(string(v))
	}
	return out
}

func statusOf(s string) model.PhaseStatus {
	if s == string(phase.Success) {
		return model.PhaseStatusSucceeded
	}
	return model.PhaseStatus(strings.ToUpper(s))
}

func statusKeys(list []model.PhaseStatus) []string {
	out := lower(list)
	for i, s := range list {
		if s == model.PhaseStatusSucceeded {
			out[i] = string(phase.Success)
		}
	}
	return out
}

func stateOf(s string) model.DeploymentState { return model.DeploymentState(strings.ToUpper(s)) }

func providerOf(s string) model.Provider { return model.Provider(strings.ToUpper(s)) }

func codeOf(c deploy.Code) model.ErrorCode { return model.ErrorCode(strings.ToUpper(string(c))) }

// text gives nil for an empty text.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// fraction turns a percentage into 0 to 1.
func fraction(percent *int) *float64 {
	if percent == nil {
		return nil
	}
	f := float64(*percent) / 100
	return &f
}

func between(from, to *time.Time) *time.Duration {
	if from == nil || to == nil {
		return nil
	}
	d := to.Sub(*from)
	return &d
}

func nodeModel(n *ent.Node) *model.BareMetalNode {
	out := &model.BareMetalNode{
		ID: ident.Format(ident.Node, n.ID), Key: n.ID,
		Name: n.Name, Provider: providerOf(n.Provider), ServerProfile: n.ServerProfile,
		ManagementIP: n.ManagementIP, WorkloadIP: n.WorkloadIP, AhvIP: n.AhvIP, CvmIP: n.CvmIP, MacAddresses: n.MACAddresses, Serial: n.Serial,
		Protected: n.Protected, ProtectNote: text(n.ProtectNote), Resources: []*model.Resource{},
		ClusterName: n.ClusterName, Labels: []*model.Label{}, DeploymentStatus: n.DeploymentStatus, ServerStatus: n.ServerStatus,
		LastSeenAt: n.LastSeenAt, Stale: n.Stale, Late: n.Late && n.State == phase.Running, Version: n.Version, CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt,
	}
	if out.MacAddresses == nil {
		out.MacAddresses = []string{}
	}
	for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
		out.Labels = append(out.Labels, &model.Label{Key: k, Value: n.Labels[k]})
	}
	if n.State != "" {
		s := stateOf(n.State)
		out.State = &s
	}
	return out
}

func deploymentModel(d *ent.Deployment, cursor string) *model.Deployment {
	out := &model.Deployment{
		ID: ident.Format(ident.Deployment, d.ID), Key: d.ID,
		Number: d.Number, Kind: model.DeploymentKind(strings.ToUpper(d.Kind)), Attempt: d.Attempt, Provider: providerOf(d.Provider), State: stateOf(d.State),
		AllowedActions: []model.DeploymentAction{}, RetryPhases: []*model.RetryPhase{}, Cleanup: []*model.CleanupStep{},
		Phase: phaseOf(d.Phase), PhaseKey: d.Phase, PhaseStatus: statusOf(d.PhaseStatus), Phases: []*model.PhaseRun{},
		RequestedBy: actorModel(d.RequestedByKind, d.RequestedBy), CreatedAt: d.CreatedAt, StartedAt: d.StartedAt,
		FinishedAt: d.FinishedAt, Duration: between(d.StartedAt, d.FinishedAt), Config: d.Config,
		Cursor: cursor, Maintenance: d.Maintenance, Version: d.Version,
	}
	if d.FailureCode != nil {
		at := deref(d.FailurePhase)
		out.Failure = &model.DeploymentFailure{
			Phase: phaseOf(at), PhaseKey: at, Code: *d.FailureCode, Message: deref(d.FailureMessage),
			Hint: text(deref(d.FailureHint)), Retryable: deref(d.FailureRetryable), At: deref(d.FailedAt),
		}
	}
	return out
}

// look fills in what follows from a deployment's phase runs.
func look(out *model.Deployment, d *ent.Deployment, n *ent.Node, runs []*ent.PhaseRun, typical query.Durations, now time.Time) query.View {
	v := query.Look(d, n, runs, typical, now)
	out.Progress, out.EstimatedFinishAt, out.Late, out.Stalled = v.Progress, v.EstimatedFinishAt, v.Late, v.Stalled
	out.Phases = make([]*model.PhaseRun, len(runs))
	for i, r := range runs {
		out.Phases[i] = runModel(d, n, r, typical, now)
		if r == v.Current {
			out.CurrentPhase = out.Phases[i]
		}
	}
	if w := v.Waits; w != nil {
		out.StuckReason = &model.StuckReason{Code: w.Code, Awaiting: w.Awaiting, Since: w.Since, Evidence: text(w.Evidence), Advice: w.Advice}
	}
	return v
}

func runModel(d *ent.Deployment, n *ent.Node, r *ent.PhaseRun, typical query.Durations, now time.Time) *model.PhaseRun {
	out := &model.PhaseRun{
		Key: strconv.FormatInt(r.ID, 10), Phase: phaseOf(r.Phase), PhaseKey: r.Phase, Label: r.Phase, Ordinal: r.Ordinal,
		Owner: model.PhaseOwnerWorkflow, Attempt: r.Attempt, Status: statusOf(r.Status), EnteredAt: r.EnteredAt,
		StartedAt: r.StartedAt, FinishedAt: r.FinishedAt, Duration: between(&r.EnteredAt, r.FinishedAt),
		Progress: fraction(r.Progress), Awaiting: text(query.Awaits(d, n, r, now)), Message: text(r.Message),
	}
	if def, ok := phase.Lookup(r.Phase); ok {
		out.Label, out.Owner = def.Label, ownerOf(def.Owner)
	}
	if t, ok := typical.Of(r.Phase); ok {
		out.TypicalDuration = &t
	}
	if r.FinishedAt == nil && r.ClockStoppedAt == nil && !d.Maintenance {
		out.DeadlineAt = r.DeadlineAt
	}
	return out
}

// allow fills in what may be asked of a deployment. probe is where the polling
// of its host stands, if one is being waited for.
func allow(out *model.Deployment, d *ent.Deployment, n *ent.Node, probe *deploy.Probe) {
	class := ""
	if probe != nil {
		class = probe.Class
	}
	actions := phase.AllowedActions(phase.ActionFacts{
		Provider: d.Provider, State: d.State, FailurePhase: deref(d.FailurePhase), FailureCode: deref(d.FailureCode), Open: d.Phase, ProbeClass: class,
		Current: n.CurrentDeploymentID != nil && *n.CurrentDeploymentID == d.ID, Protected: n.Protected || n.Clustered, Clustered: n.Clustered,
	})
	for _, a := range actions {
		out.AllowedActions = append(out.AllowedActions, model.DeploymentAction(strings.ToUpper(a)))
		if a == phase.ActionRetry {
			if start, err := phase.Retry(d.Provider, deref(d.FailurePhase), deref(d.FailureCode), "", d.SkipPhases...); err == nil {
				at := phaseOf(start)
				out.RetryBeginsAt = &at
			}
		}
		if a != phase.ActionRetryFrom {
			continue
		}
		for _, k := range phase.RetryFrom(d.Provider, deref(d.FailurePhase), d.SkipPhases...) {
			def, _ := phase.Lookup(k)
			start, err := phase.Retry(d.Provider, deref(d.FailurePhase), deref(d.FailureCode), k, d.SkipPhases...)
			if err != nil {
				continue
			}
			out.RetryPhases = append(out.RetryPhases, &model.RetryPhase{
				Phase: phaseOf(k), PhaseKey: k, Label: def.Label, BeginsAt: phaseOf(start), Installs: phase.Before(d.Provider, start, phase.ClusterFormation),
			})
		}
	}
}

func resourceID(row int64) string { return "res_" + strconv.FormatInt(row, 10) }

func cleanupSteps(list []deploy.ReleaseStep) []*model.CleanupStep {
	out := make([]*model.CleanupStep, len(list))
	for i, s := range list {
		out[i] = &model.CleanupStep{
			ResourceID: resourceID(s.ResourceID), ResourceKind: s.Kind, Role: text(s.Role), Name: s.Name, CloudID: text(s.CloudID),
			Action: s.Action, Status: statusOf(s.Status), Message: text(s.Message),
		}
	}
	return out
}

func resourceModel(r query.Held) *model.Resource {
	out := &model.Resource{
		ID: resourceID(r.ID), Kind: r.Kind, Role: text(r.Role), Name: r.Name, CloudID: r.CloudID, State: model.ResourceState(strings.ToUpper(r.State)),
		Provider: providerOf(r.Provider), LastError: text(r.LastError), CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if r.CreatedByNumber > 0 {
		out.CreatedByNumber = &r.CreatedByNumber
	}
	if r.HeldByNumber > 0 {
		out.HeldByNumber = &r.HeldByNumber
	}
	return out
}

func ownerOf(o phase.Owner) model.PhaseOwner { return model.PhaseOwner(strings.ToUpper(string(o))) }

func actorModel(kind, name string) *model.Actor {
	return &model.Actor{Kind: model.ActorKind(strings.ToUpper(kind)), Name: name}
}

func batchModel(b query.Batch) *model.DeploymentBatch {
	return &model.DeploymentBatch{
		ID: ident.Format(ident.Batch, b.ID), Key: b.ID, Name: b.Name, CreatedAt: b.CreatedAt,
		RequestedBy: actorModel(b.RequestedByKind, b.RequestedBy), Total: b.Total, CountsByState: stateCounts(b.Counts),
	}
}

// stateCounts lists counts in the order of a deployment's life.
func stateCounts(counts map[string]int) []*model.StateCount {
	out := []*model.StateCount{}
	for _, s := range phase.States() {
		if counts[s] > 0 {
			out = append(out, &model.StateCount{State: stateOf(s), Count: counts[s]})
		}
	}
	return out
}

func eventModel(e *feed.Event, cursor string) *model.DeploymentEvent {
	out := &model.DeploymentEvent{
		ID: ident.Format(ident.Event, e.ID), Sequence: e.Sequence, Cursor: cursor,
		Phase: phaseOf(e.Phase), PhaseKey: e.Phase, Status: statusOf(e.Status), State: stateOf(e.State), Message: e.Message,
		Progress: fraction(e.Progress), Outcome: model.ReportOutcome(strings.ToUpper(e.Outcome)),
		Source: model.EventSource(strings.ToUpper(e.Source)), Attempt: e.Attempt, Actor: text(e.Actor), ServerStatus: text(e.ServerStatus),
		OccurredAt: e.OccurredAt, RecordedAt: e.RecordedAt, Details: e.Details, LogTail: text(e.LogTail),
	}
	if e.RefusedCode != "" {
		c := codeOf(deploy.Code(e.RefusedCode))
		out.RefusedCode = &c
	}
	return out
}

func summaryModel(s query.FleetSummary, cursor string) *model.FleetSummary {
	out := &model.FleetSummary{
		Total: s.Total, Active: s.Active, Stalled: s.Stalled, Late: s.Late, ByState: stateCounts(s.ByState), ByPhase: []*model.PhaseCount{},
		SucceededLast24h: s.SucceededLast24h, FailedLast24h: s.FailedLast24h, DurationP50: s.P50, DurationP95: s.P95,
		AsOf: s.AsOf, Cursor: cursor,
	}
	for _, c := range s.ByPhase {
		out.ByPhase = append(out.ByPhase, &model.PhaseCount{Phase: phaseOf(c.Phase), PhaseKey: c.Phase, Count: c.Count, OldestStartedAt: c.Oldest})
	}
	return out
}

func definitionModel(d phase.Definition, ordinal int, typical query.Durations) *model.PhaseDefinition {
	out := &model.PhaseDefinition{
		Phase: phaseOf(d.Key), Key: d.Key, Label: d.Label, Description: d.Description, Ordinal: ordinal,
		Owner: ownerOf(d.Owner), Weight: d.Weight, Terminal: d.Terminal,
	}
	if d.Deadline > 0 {
		out.Timeout = &d.Deadline
	}
	if t, ok := typical.Of(d.Key); ok {
		out.TypicalDuration = &t
	}
	return out
}

// catalogue lists a provider's phases, and after them those that any
// deployment may end in.
func catalogue(provider string, typical query.Durations) []*model.PhaseDefinition {
	defs := phase.Catalogue(provider)
	for _, k := range []string{phase.Failed, phase.Canceled, phase.Cleanup, phase.CleanupCompleted} {
		if def, ok := phase.Lookup(k); ok {
			defs = append(defs, def)
		}
	}
	out := make([]*model.PhaseDefinition, len(defs))
	for i, def := range defs {
		out[i] = definitionModel(def, def.Ordinal, typical)
	}
	slices.SortStableFunc(out, func(a, b *model.PhaseDefinition) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	return out
}
