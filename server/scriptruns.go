package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
)

// RunAnswer is one run of the deployment script.
type RunAnswer struct {
	ID                int64      `json:"id"`
	Host              string     `json:"host"`
	State             string     `json:"state" enum:"storing,running,succeeded,failed,canceled,lost"`
	Nodes             int        `json:"nodes" doc:"How many it covers."`
	PID               *int       `json:"pid" doc:"Of the script; null: it was never started."`
	ExitCode          *int       `json:"exit_code" doc:"null unless it ended by itself."`
	Signal            *string    `json:"signal" doc:"That ended it." example:"SIGTERM"`
	Problem           *string    `json:"problem" doc:"Why it failed, or what was odd."`
	LogBytes          int64      `json:"log_bytes" doc:"Output written so far."`
	LogCut            bool       `json:"log_cut" doc:"The output is longer than the log may be: its middle is missing."`
	CancelRequestedAt *time.Time `json:"cancel_requested_at"`
	CancelRequestedBy *string    `json:"cancel_requested_by"`
	CancelReason      *string    `json:"cancel_reason"`
	RequestedBy       string     `json:"requested_by"`
	CreatedAt         time.Time  `json:"created_at"`
	StoredAt          *time.Time `json:"stored_at" doc:"When its files were written."`
	StartedAt         *time.Time `json:"started_at" doc:"By the clock of its host, as ended_at."`
	EndedAt           *time.Time `json:"ended_at"`
	DurationSeconds   *float64   `json:"duration_seconds"`
}

// RunDetails is a run with what it stores.
type RunDetails struct {
	RunAnswer
	Documents []StoredDocument `json:"documents" doc:"In the order of the request."`
}

// StoredDocument is what a run stores for one node.
type StoredDocument struct {
	NodeID       int64     `json:"node_id"`
	NodeName     string    `json:"node_name"`
	DeploymentID int64     `json:"deployment_id"`
	Attempt      int       `json:"attempt"`
	File         string    `json:"file" example:"node_01.json"`
	SHA256       string    `json:"sha256"`
	CreatedAt    time.Time `json:"created_at"`
	Content      string    `json:"content" doc:"The file, byte for byte."`
}

// RunPage is a page of runs.
type RunPage struct {
	Runs       []RunAnswer `json:"runs" doc:"The newest first."`
	NextCursor *string     `json:"next_cursor" doc:"Ask with it as after for the next page; null: this is the last."`
}

// ScriptAnswer tells how the host of the deployment script stands.
type ScriptAnswer struct {
	Host      *string       `json:"host" doc:"null: no script is set up on this server."`
	ActiveRun *RunAnswer    `json:"active_run" doc:"The run that has not ended."`
	Obstacle  *Obstacle     `json:"obstacle" doc:"Why no run could begin now; null: one could."`
	Marker    *MarkerAnswer `json:"marker"`
}

// MarkerAnswer tells how the marker of a run in progress stands.
type MarkerAnswer struct {
	Path    string     `json:"path"`
	Present bool       `json:"present"`
	Since   *time.Time `json:"since"`
	Stale   bool       `json:"stale" doc:"It is there, but no script of ours that is alive has made it."`
}

// Line is the marker as a shell prints it.
func (a MarkerAnswer) Line() string {
	word := "absent"
	switch {
	case a.Stale:
		word = "present, stale"
	case a.Present:
		word = "present"
	}
	return "ok " + a.Path + " " + word
}

// ProgressAnswer is what former clients poll.
type ProgressAnswer struct {
	InProgress bool   `json:"in_progress" doc:"The marker of a run in progress is there, or a run is being prepared."`
	Stale      bool   `json:"stale" doc:"The marker is there, but no script of ours that is alive has made it."`
	RunID      *int64 `json:"run_id" doc:"The run that has not ended."`
}

// CancelRunRequest documents the body of POST /api/script/runs/{id}/cancel.
type CancelRunRequest struct {
	Reason string `json:"reason,omitempty" maxLength:"500"`
	Force  bool   `json:"force,omitempty" doc:"End it at once, and do not give it time to end by itself."`
}

// Line is the run as a shell prints it.
func (a RunAnswer) Line() string {
	line := fmt.Sprintf("ok run %d %s on %s", a.ID, a.State, a.Host)
	if a.Problem != nil {
		line += ": " + *a.Problem
	}
	return line
}

func (s *Server) runAnswer(r *apply.Run) RunAnswer {
	out := RunAnswer{
		ID: r.ID, Host: r.Host, State: r.State, Nodes: r.Nodes, ExitCode: r.ExitCode, Signal: filled(r.Signal), Problem: filled(r.Problem), LogBytes: r.LogBytes, LogCut: r.LogCut,
		CancelRequestedAt: r.CancelAt, CancelRequestedBy: filled(r.CancelBy), CancelReason: filled(r.CancelReason), RequestedBy: r.RequestedBy.Name,
		CreatedAt: r.CreatedAt.UTC(), StoredAt: r.StoredAt, StartedAt: r.StartedAt, EndedAt: r.EndedAt,
	}
	if r.PID != 0 {
		out.PID = &r.PID
	}
	if r.StartedAt != nil && r.EndedAt != nil {
		seconds := r.EndedAt.Sub(*r.StartedAt).Seconds()
		out.DurationSeconds = &seconds
	}
	return out
}

// filled is nil for an empty text.
func filled(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type (
	runsInput struct {
		Limit string `query:"limit" doc:"1 to 100, 20 without it."`
		After string `query:"after" doc:"The next_cursor of the page before."`
	}
	runsOutput struct {
		Body RunPage
	}
	runInput struct {
		ID string `path:"id" doc:"Database id or global id, for example 7 or run_7."`
	}
	runOutput struct {
		Body RunDetails
	}
	scriptOutput struct {
		Body ScriptAnswer
	}
	progressOutput struct {
		Body ProgressAnswer
	}
)

// typedScripts registers what only reads.
func (s *Server) typedScripts(read func(path, id, summary string) huma.Operation) {
	about := func(path, id, summary string) huma.Operation {
		op := read(path, id, summary)
		op.Tags = []string{"script"}
		return op
	}
	huma.Register(s.api, about("/api/script", "script-host", "The host of the deployment script: its marker, its active run, and what is in the way of another"),
		func(ctx context.Context, _ *struct{}) (*scriptOutput, error) {
			out, err := s.scriptHost(ctx)
			if err != nil {
				return nil, s.typedError(ctx, err)
			}
			return &scriptOutput{out}, nil
		})
	huma.Register(s.api, about("/api/script/runs", "script-runs", "Runs of the deployment script, the newest first, page by page"),
		func(ctx context.Context, in *runsInput) (*runsOutput, error) {
			out, err := s.runPage(ctx, in)
			if err != nil {
				return nil, s.typedError(ctx, err)
			}
			return &runsOutput{out}, nil
		})
	huma.Register(s.api, about("/api/script/runs/{id}", "script-run", "One run of the deployment script, with what it stores"),
		func(ctx context.Context, in *runInput) (*runOutput, error) {
			out, err := s.runDetails(ctx, in.ID)
			if err != nil {
				return nil, s.typedError(ctx, err)
			}
			return &runOutput{out}, nil
		})
	progress := about("/node-deployment-progress", "script-progress", "Is the deployment script in progress?")
	progress.Errors = append(progress.Errors, http.StatusConflict)
	huma.Register(s.api, progress, func(ctx context.Context, _ *struct{}) (*progressOutput, error) {
		state, err := s.Scripts.MarkerState(ctx)
		if err != nil {
			return nil, s.typedError(ctx, err)
		}
		active, err := s.Scripts.Active(ctx)
		if err != nil {
			return nil, s.typedError(ctx, err)
		}
		out := ProgressAnswer{InProgress: state.Present || active != nil, Stale: state.Stale}
		if active != nil {
			out.RunID = &active.ID
		}
		return &progressOutput{out}, nil
	})
}

func (s *Server) scriptHost(ctx context.Context) (out ScriptAnswer, err error) {
	name := s.Scripts.Host()
	if name == "" {
		out.Obstacle = obstacleOf(s.Scripts.Ready(ctx))
		return out, nil
	}
	out.Host = &name
	active, err := s.Scripts.Active(ctx)
	if err != nil {
		return out, err
	}
	if active != nil {
		a := s.runAnswer(active)
		out.ActiveRun = &a
	}
	if err := s.Scripts.Ready(ctx); err != nil {
		if out.Obstacle = obstacleOf(err); out.Obstacle == nil {
			return out, err
		}
	}
	out.Marker, err = s.marker(ctx)
	return out, err
}

func (s *Server) marker(ctx context.Context) (*MarkerAnswer, error) {
	m, err := s.Scripts.MarkerState(ctx)
	if err != nil {
		return nil, err
	}
	out := &MarkerAnswer{Path: m.Path, Present: m.Present, Stale: m.Stale}
	if !m.Since.IsZero() {
		since := m.Since.UTC()
		out.Since = &since
	}
	return out, nil
}

func (s *Server) runPage(ctx context.Context, in *runsInput) (RunPage, error) {
	var bad fieldErrors
	limit := bad.limit(in.Limit, 20)
	if limit > apply.RunsMax {
		bad.add("limit", deploy.CodeOutOfRange, fmt.Sprintf("must be 1 to %d", apply.RunsMax))
	}
	before := bad.optionalID("after", "run", in.After)
	out := RunPage{Runs: []RunAnswer{}}
	if err := bad.err(); err != nil {
		return out, err
	}
	runs, more, err := s.Scripts.List(ctx, before, limit)
	for _, r := range runs {
		out.Runs = append(out.Runs, s.runAnswer(r))
	}
	if more {
		out.NextCursor = filled(fmt.Sprintf("run_%d", runs[len(runs)-1].ID))
	}
	return out, err
}

func (s *Server) runDetails(ctx context.Context, id string) (RunDetails, error) {
	var bad fieldErrors
	key := bad.id("id", "run", id)
	if err := bad.err(); err != nil {
		return RunDetails{}, err
	}
	r, err := s.Scripts.Get(ctx, key)
	if err != nil {
		return RunDetails{}, err
	}
	docs, err := s.Scripts.Documents(ctx, key)
	out := RunDetails{RunAnswer: s.runAnswer(r), Documents: []StoredDocument{}}
	for _, d := range docs {
		out.Documents = append(out.Documents, StoredDocument{
			NodeID: d.NodeID, NodeName: d.NodeName, DeploymentID: d.DeploymentID, Attempt: d.Attempt, File: d.File, SHA256: d.SHA256, CreatedAt: d.CreatedAt.UTC(), Content: string(d.Body),
		})
	}
	return out, err
}

// cancelRun answers POST /api/script/runs/{id}/cancel.
func (s *Server) cancelRun(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r, "reason", "force")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	in := apply.Cancel{RunID: c.pathID(r, "run"), Reason: c.longText("reason", reasonMax), Actor: actor(r)}
	if force := c.flag("force"); force != nil {
		in.Force = *force
	}
	c.noDryRun()
	if err := c.err(); err != nil {
		s.refuse(w, r, err)
		return
	}
	run, err := s.Scripts.Cancel(r.Context(), in)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, r, http.StatusAccepted, s.runAnswer(run))
}

// clearMarker answers POST /api/script/marker/clear.
func (s *Server) clearMarker(w http.ResponseWriter, r *http.Request) {
	c, err := s.readCommand(w, r)
	if err == nil {
		c.noDryRun()
		err = c.err()
	}
	if err == nil {
		_, err = s.Scripts.ClearMarker(r.Context(), actor(r))
	}
	var out *MarkerAnswer
	if err == nil {
		out, err = s.marker(r.Context())
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answer(w, r, http.StatusOK, *out)
}
