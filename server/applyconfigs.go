package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

// ApplyAnswer says that configurations were written and the deployment script
// runs.
type ApplyAnswer struct {
	Results       []ApplyResult `json:"results" doc:"In the order of the request."`
	Marker        string        `json:"marker" doc:"Path of the file that says that a run is in progress."`
	Script        string        `json:"deployment_script" example:"started"`
	RunID         int64         `json:"run_id"`
	DeploymentIDs []int64       `json:"deployment_ids" doc:"In the order of the request."`
	Success       bool          `json:"success"`
	Existing      bool          `json:"existing,omitempty" doc:"The same request was accepted before; this is its run."`
	Message       string        `json:"message"`
}

// ApplyResult is what was written for one node.
type ApplyResult struct {
	Node         string `json:"node" doc:"Whom the document is for: its key, its address or its host name."`
	File         string `json:"file" doc:"Name of the file in the directory of node files." example:"node_01.json"`
	Status       string `json:"status" example:"success"`
	NodeID       int64  `json:"node_id"`
	NodeName     string `json:"node_name"`
	DeploymentID int64  `json:"deployment_id"`
	Action       string `json:"action" enum:"create,replace,unchanged"`
}

// Line is the answer as a shell prints it.
func (a ApplyAnswer) Line() string { return "ok " + a.Message }

// ApplyPlan is what applying configurations would write.
type ApplyPlan struct {
	Plans    []PlannedFile `json:"plans" doc:"In the order of the request."`
	Obstacle *Obstacle     `json:"obstacle" doc:"Why nothing could be run now although the documents are right; null: nothing is in the way."`
	Success  bool          `json:"success" doc:"The same request without dry_run would be accepted."`
	DryRun   bool          `json:"dry_run"`
	Message  string        `json:"message"`
}

// PlannedFile is what would be written for one node.
type PlannedFile struct {
	Node           string              `json:"node" doc:"Whom the document is for: its key, its address or its host name."`
	NodeID         *int64              `json:"node_id" doc:"null: it is not there yet."`
	NodeName       string              `json:"node_name"`
	Target         string              `json:"target" doc:"Address that will be polled."`
	File           string              `json:"file" example:"node_01.json"`
	Number         int                 `json:"number"`
	Action         string              `json:"action" enum:"create,replace,unchanged"`
	Content        string              `json:"content" doc:"The file, byte for byte."`
	Changes        []hostconfig.Change `json:"changes" doc:"What differs from the file that is there, or was applied last."`
	ChangedOutside bool                `json:"changed_outside" doc:"The file that is there is not what was applied last: somebody else wrote it."`
}

// Obstacle is why no run could begin.
type Obstacle struct {
	Message string `json:"error"`
	Code    string `json:"code"`
	Hint    string `json:"hint,omitempty"`
}

// Line is the plan as a shell prints it.
func (a ApplyPlan) Line() string {
	if !a.Success {
		return "error " + a.Message
	}
	return "ok " + a.Message
}

// ApplyRefusal is an error document with what callers of this endpoint look for.
type ApplyRefusal struct {
	ErrorDocument
	Success       bool       `json:"success" doc:"Always false."`
	Script        string     `json:"deployment_script,omitempty" doc:"Why the script was not started." example:"error: there is no script"`
	RunID         *int64     `json:"run_id,omitempty" doc:"The run that failed to begin, if it came to that."`
	DeploymentIDs []int64    `json:"deployment_ids,omitempty"`
	ActiveRun     *RunAnswer `json:"active_run,omitempty" doc:"The run that is in the way."`
}

// DocumentsRequest documents the body: documents by address or name. A list of
// documents is taken too.
type DocumentsRequest map[string]any

// storeConfigs answers POST /store-deployment-configs.
func (s *Server) storeConfigs(w http.ResponseWriter, r *http.Request) {
	var o objectReader
	body, err := readDocuments(w, r)
	if err != nil {
		s.refuseApply(w, r, err, apply.Applied{})
		return
	}
	dry := o.dryRun(r)
	in := apply.Request{Body: body, IdempotencyKey: o.word(r.Header.Get("Idempotency-Key"), "idempotency_key"), Actor: actor(r)}
	if err := deploy.Invalid(o.bad); err != nil {
		s.refuseApply(w, r, err, apply.Applied{})
		return
	}
	if dry {
		s.planConfigs(w, r, body)
		return
	}
	done, err := s.Scripts.Apply(r.Context(), in)
	if err != nil {
		s.refuseApply(w, r, err, done)
		return
	}
	marker, err := s.Scripts.Marker(r.Context())
	if err != nil { // it was made: this is about telling where
		s.Log.WarnContext(r.Context(), "the marker could not be read", "request_id", requestID(r.Context()), "error", err)
	}
	out := ApplyAnswer{Results: []ApplyResult{}, Marker: marker.Path, Script: "started", RunID: done.Run.ID, DeploymentIDs: []int64{}, Success: true, Existing: done.Existing}
	for _, item := range done.Items {
		out.Results = append(out.Results, ApplyResult{
			Node: item.Identity, File: item.File, Status: "success", NodeID: item.NodeID, NodeName: item.NodeName, DeploymentID: item.DeploymentID, Action: item.Action,
		})
		out.DeploymentIDs = append(out.DeploymentIDs, item.DeploymentID)
	}
	out.Message = fmt.Sprintf("run %d of the deployment script covers %d node(s)", done.Run.ID, len(done.Items))
	answer(w, r, http.StatusAccepted, out)
}

// readDocuments reads a body that is JSON; what it says is checked elsewhere.
func readDocuments(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, unsupported("application/json")
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, malformed("the body is not JSON: %s", jsonProblem(err))
	}
	return body, nil
}

// planConfigs answers a request with ?dry_run=true.
func (s *Server) planConfigs(w http.ResponseWriter, r *http.Request, body []byte) {
	found, err := s.Scripts.Validate(r.Context(), body)
	if err == nil {
		err = deploy.Invalid(found.Errors)
	}
	if err != nil {
		s.refuseApply(w, r, err, apply.Applied{})
		return
	}
	out := ApplyPlan{Plans: []PlannedFile{}, Success: found.Obstacle == nil, DryRun: true, Obstacle: obstacleOf(found.Obstacle)}
	for _, p := range found.Plans {
		out.Plans = append(out.Plans, plannedFile(p))
	}
	out.Message = fmt.Sprintf("%d file(s) would be written, and the deployment script started", len(out.Plans))
	if out.Obstacle != nil {
		out.Message = "nothing could be run now: " + out.Obstacle.Message
	}
	answer(w, r, http.StatusOK, out)
}

func plannedFile(p apply.Plan) PlannedFile {
	out := PlannedFile{
		Node: p.Identity, NodeName: p.NodeName, Target: p.Target, File: p.File, Number: p.Number, Action: p.Action,
		Content: string(p.Body), Changes: p.Changes, ChangedOutside: p.Foreign,
	}
	if p.NodeID != 0 {
		out.NodeID = &p.NodeID
	}
	if out.Changes == nil {
		out.Changes = []hostconfig.Change{}
	}
	return out
}

// obstacleOf tells why no run could begin; nil for nil.
func obstacleOf(err error) *Obstacle {
	e, ok := deploy.AsError(err)
	if !ok {
		return nil
	}
	return &Obstacle{Message: e.Message, Code: string(e.Code), Hint: e.Hint}
}

// refuseApply answers with an error that also says whether the script was
// started. A host that cannot do it is 503, whatever is wrong with it.
func (s *Server) refuseApply(w http.ResponseWriter, r *http.Request, err error, done apply.Applied) {
	var host *apply.HostError
	e, told := deploy.AsError(err)
	script := ""
	if told && e.Code != deploy.CodeRunActive && (errors.As(err, &host) || e.Code == deploy.CodeWrongState && s.Scripts.Host() == "") {
		unable := *e
		unable.Code = deploy.CodeUpstreamUnavailable
		script, err = "error: "+e.Message, &unable
	}
	if told && ofDocuments(e.Fields) { // all of one code or not: the documents are wrong, and nothing is in their way
		err = &statusError{err: e, status: http.StatusUnprocessableEntity}
	}
	out := ApplyRefusal{ErrorDocument: s.refused(w, r, err), Script: script}
	if done.Run != nil {
		out.RunID = &done.Run.ID
		for _, item := range done.Items {
			out.DeploymentIDs = append(out.DeploymentIDs, item.DeploymentID)
		}
	}
	if told && e.Code == deploy.CodeRunActive {
		if active, err := s.Scripts.Active(r.Context()); err == nil && active != nil {
			a := s.runAnswer(active)
			out.ActiveRun = &a
		}
	}
	answer(w, r, out.status, &out)
}

// ofDocuments tells the errors of documents, each of which names its rule, from
// refusals of something that only points to a card.
func ofDocuments(fields []deploy.FieldError) bool {
	return len(fields) > 0 && !slices.ContainsFunc(fields, func(f deploy.FieldError) bool { return f.Key == "" })
}
