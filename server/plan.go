package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
)

// PlanAnswer is the check-list of an order that was not placed.
type PlanAnswer struct {
	OK               bool           `json:"ok" doc:"No error among the checks that did not pass: the order would be accepted."`
	Checks           []deploy.Check `json:"checks"`
	EstimatedSeconds *float64       `json:"estimated_seconds" doc:"Once it has left the queue; null when there is no history to estimate from."`
	Ahead            int            `json:"ahead" doc:"Deployments that come before it; 0 = it starts at once."`
	Message          string         `json:"message"`
}

// Line is the answer as a shell prints it.
func (a PlanAnswer) Line() string {
	word := "ok"
	if !a.OK {
		word = "error"
	}
	return word + " " + a.Message
}

// planOrder answers an order with ?dry_run=true; strange are members of the
// request that are not known.
func (s *Server) planOrder(w http.ResponseWriter, r *http.Request, in lifecycle.NewDeployment, o *objectReader, strange []string) {
	for _, f := range in.Check("") { // name and spec are lines of the list
		if f.Field != "name" && !strings.HasPrefix(f.Field, "spec.") {
			o.add(orderField(f.Field), f.Code, f.Message)
		}
	}
	err := deploy.Invalid(o.bad)
	if err == nil {
		err = s.operations()
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	plan, err := s.Operations.Plan(r.Context(), in.Name, in.Spec)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	out := PlanAnswer{OK: plan.OK, Checks: plan.Checks, Ahead: plan.Ahead}
	if len(strange) > 0 {
		out.Checks = append(out.Checks, deploy.Check{
			Key: "request", Label: "Request", Severity: deploy.CheckWarning, Message: "not known and passed over: " + strings.Join(strange, ", "),
			Hint: "See how the members are written: GET /api/openapi.json, OrderRequest.",
		})
	}
	var wrong []string
	for i, c := range out.Checks {
		out.Checks[i].Field = orderField(c.Field)
		if !c.Passed && c.Severity == deploy.CheckError {
			wrong = append(wrong, c.Label+": "+c.Message)
		}
	}
	if plan.Estimated > 0 {
		seconds := plan.Estimated.Seconds()
		out.EstimatedSeconds = &seconds
	}
	out.Message = fmt.Sprintf("%s would be accepted (%d checks)", in.Name, len(out.Checks))
	if !plan.OK {
		out.Message = "would fail: " + strings.Join(wrong, "; ")
	}
	answer(w, r, http.StatusOK, out)
}
