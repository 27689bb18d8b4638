package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
)

// reportTimeout bounds the wait for the report to be on disk.
const reportTimeout = 20 * time.Second

// ReportAnswer says what became of a report.
type ReportAnswer struct {
	Message       string `json:"message"`
	Accepted      bool   `json:"accepted"`
	Phase         string `json:"phase" doc:"Where the deployment is now."`
	Sequence      int    `json:"sequence" doc:"Of the event within the deployment."`
	Duplicate     bool   `json:"duplicate" doc:"The same was reported before; nothing has changed."`
	PhaseStatus   string `json:"phase_status"`
	State         string `json:"state" doc:"Of the deployment."`
	DeploymentID  int64  `json:"deployment_id"`
	Attempt       int    `json:"attempt"`
	Outcome       string `json:"outcome" enum:"accepted,step" doc:"A step is recorded and shown, and moves nothing."`
	AlreadyPassed bool   `json:"already_passed,omitempty" doc:"The report was right but late."`
}

// Line is the answer as a shell prints it.
func (a ReportAnswer) Line() string {
	return fmt.Sprintf("ok %s %s %d: %s", a.Phase, a.PhaseStatus, a.Sequence, a.Message)
}

// ReportRequest documents the body of POST /api/status/phase. It is read by
// hand, because it comes as JSON and as a form, and every bad field is told at
// once.
type ReportRequest struct {
	ServerIP       string         `json:"server_ip" doc:"Management address of the machine." example:"10.240.0.10"`
	Phase          string         `json:"phase" doc:"Key of a phase, or failed. An unknown one is kept as a step." maxLength:"64"`
	Status         string         `json:"status" doc:"in_progress, success or failed; the aliases of old scripts are understood."`
	Message        string         `json:"message,omitempty" maxLength:"4096"`
	ServerStatus   string         `json:"server_status,omitempty" maxLength:"64" doc:"The provider's own word."`
	Progress       int            `json:"progress,omitempty" minimum:"0" maximum:"100" doc:"Of this phase, in percent."`
	Details        map[string]any `json:"details,omitempty" doc:"Up to 64 KiB."`
	LogTail        string         `json:"log_tail,omitempty" doc:"Cut to its last 64 KiB."`
	OccurredAt     time.Time      `json:"occurred_at,omitempty" doc:"The reporter's clock."`
	IdempotencyKey string         `json:"idempotency_key,omitempty" maxLength:"128"`
	Token          string         `json:"token,omitempty" doc:"The report token, when it is not sent as a header."`
}

// report answers POST /api/status/phase.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	receipt, err := s.takeReport(w, r)
	if err != nil {
		d := *s.document(err)
		if d.status == http.StatusConflict && d.Accepted == nil {
			d.Accepted = &[]string{}
		}
		s.refuse(w, r, &d)
		return
	}
	answer(w, r, http.StatusOK, ReportAnswer{
		Message: receiptText(receipt), Accepted: true, Phase: receipt.Phase, Sequence: receipt.Sequence, Duplicate: receipt.Duplicate,
		PhaseStatus: string(receipt.PhaseStatus), State: receipt.State, DeploymentID: receipt.DeploymentID, Attempt: receipt.Attempt,
		Outcome: string(receipt.Outcome), AlreadyPassed: receipt.AlreadyPassed,
	})
}

func receiptText(r lifecycle.Receipt) string {
	switch {
	case r.Duplicate:
		return "this was reported before"
	case r.AlreadyPassed:
		return "recorded; the machine is further already"
	case r.Outcome == lifecycle.Step:
		return "recorded as a step"
	}
	return "status updated"
}

var errLargeReport = &deploy.Error{
	Code: deploy.CodeTooLarge, Message: "a report has at most 256 KiB", Hint: "send the last lines of the log only",
}

// takeReport reads, checks and submits. Who may not report learns nothing
// about the body.
func (s *Server) takeReport(w http.ResponseWriter, r *http.Request) (lifecycle.Receipt, error) {
	body, large, cut, err := s.readReport(w, r)
	var fields reportFields
	if err == nil {
		if fields, err = decodeReport(r.Header.Get("Content-Type"), body, cut); err != nil && large {
			err = errLargeReport // its size is what is wrong with it first
		}
	}
	p, denied := s.reporter(r, fields)
	if denied != nil {
		return lifecycle.Receipt{}, denied
	}
	if err != nil {
		return lifecycle.Receipt{}, err
	}
	in := fields.check()
	if large && in.status != phase.FailedRun {
		return lifecycle.Receipt{}, errLargeReport
	}
	if err := deploy.Invalid(in.bad); err != nil {
		return lifecycle.Receipt{}, err
	}
	report, err := s.lifecycleReport(r.Context(), p, in)
	if err != nil {
		return lifecycle.Receipt{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), reportTimeout)
	defer cancel()
	return s.Lifecycle.Report(ctx, report)
}

// reporter finds out who reports and whether they may.
func (s *Server) reporter(r *http.Request, fields reportFields) (*access.Principal, error) {
	p := access.FromContext(r.Context())
	if p == nil {
		secret := fields.token()
		if secret == "" {
			return nil, s.stranger(r, "a report without a token")
		}
		var err error
		if p, err = s.authenticate(r, secret); err != nil {
			return nil, err
		}
		if p.Kind == access.KindSession { // belongs into a cookie, where its origin is checked
			return nil, s.stranger(r, "a session in a report")
		}
		noteOf(r.Context()).caller = string(p.Kind) + ":" + p.Name
	}
	if p.Kind != access.KindMachine && !p.May(access.RoleOperator) {
		return nil, deploy.Errorf(deploy.CodeForbidden, "reporting needs a machine's token or the role operator")
	}
	return p, nil
}

// lifecycleReport says whose report it is: a machine's token speaks for its own
// deployment only, an operator names the machine by its address.
func (s *Server) lifecycleReport(ctx context.Context, p *access.Principal, in parsedReport) (lifecycle.Report, error) {
	out := lifecycle.Report{
		Phase: in.phase, Status: in.status, Message: access.Redact(in.message), Progress: in.progress, ServerStatus: in.serverStatus,
		Details: json.RawMessage(access.Redact(string(in.details))), LogTail: access.Redact(in.logTail), OccurredAt: in.occurredAt, IdempotencyKey: in.idempotencyKey,
		Actor: p.Actor(),
	}
	if p.Kind == access.KindMachine {
		if p.ManagementIP != in.serverIP.String() {
			return out, deploy.Errorf(deploy.CodeForbidden, "this token is not of the machine at %s", in.serverIP)
		}
		out.DeploymentID, out.TokenAttempt = p.DeploymentID, p.Attempt
		out.Source, out.As = deploy.SourceInstallerScript, phase.ByMachine
		return out, nil
	}
	n, err := s.Statuses.FindNode(ctx, query.MachineHint{IP: in.serverIP.String()})
	if err != nil {
		return out, err
	}
	out.NodeID, out.Source, out.As = n.NodeID, deploy.SourceUser, phase.ByOperator
	return out, nil
}
