package ibmvpc

import (
	"context"
	"fmt"
	"strings"

	"github.com/IBM/vpc-go-sdk/vpcv1"

	"github.com/slipwayhq/slipway/deploy"
)

// Observe asks IBM Cloud for the status of the node's server. A server that
// will not come is an Observation with Failed; a question that could not be
// answered is an error.
func (p *Provider) Observe(ctx context.Context, nodeID int64) (deploy.Observation, error) {
	o, err := p.observe(ctx, nodeID)
	return o, asProviderError(err)
}

func (p *Provider) observe(ctx context.Context, nodeID int64) (deploy.Observation, error) {
	held, err := p.journal.Held(ctx, nodeID)
	if err != nil {
		return deploy.Observation{}, err
	}
	var row *deploy.Resource
	for i, r := range held {
		if r.Provider == deploy.ProviderIBMVPC && r.Kind == kindServer {
			row = &held[i] // the newest is the last
		}
	}
	switch {
	case row == nil || row.State == deploy.ResourceIntent:
		return deploy.Observation{Failed: permanent(deploy.CodeNotFound, "Deploy the node again.", "no server was ordered for this node")}, nil
	case row.State == deploy.ResourceDoubtful || row.CloudID == "":
		return deploy.Observation{}, waiting(deploy.CodeUpstreamUnavailable, waitUpstream, "it is not known whether the server %s was made", row.Name)
	}
	server, err := p.getServer(ctx, row.CloudID)
	if isNotFound(err) {
		return deploy.Observation{Failed: permanent(deploy.CodeNotFound, "Somebody deleted it outside Slipway. Clean up this deployment, then deploy again.",
			"the server is gone: IBM Cloud does not know %s (%s) any more", row.Name, row.CloudID)}, nil
	}
	if err != nil {
		return deploy.Observation{}, err
	}
	return observation(server), nil
}

// Words of the API that mean the end (BareMetalServer.status, lifecycle_state).
const (
	statusFailed       = "failed"
	statusDeleting     = "deleting"
	lifecycleFailed    = "failed"
	lifecycleSuspended = "suspended"
)

// observation reads a server. Unknown words of status pass as they are: IBM
// says that its enumerations grow.
func observation(s *vpcv1.BareMetalServer) deploy.Observation {
	o := deploy.Observation{ServerStatus: value(s.Status)}
	var codes []string
	reason := func(code, message *string) {
		codes = append(codes, value(code))
		o.Reasons = append(o.Reasons, strings.TrimSuffix(value(code)+": "+value(message), ": "))
	}
	for _, r := range s.StatusReasons {
		reason(r.Code, r.Message)
	}
	for _, r := range s.LifecycleReasons {
		reason(r.Code, r.Message)
	}
	lifecycle := value(s.LifecycleState)
	switch {
	case o.ServerStatus == statusFailed || lifecycle == lifecycleFailed:
		o.Failed = serverFailed(codes, o.Reasons)
	case lifecycle == lifecycleSuspended:
		o.Failed = permanent(deploy.CodeForbidden, "IBM suspended it: it is off and cannot be started or changed. Open a case with IBM support.",
			"the server is suspended%s", because(o.Reasons))
	case o.ServerStatus == statusDeleting || lifecycle == statusDeleting:
		o.Failed = permanent(deploy.CodeConflict, "Somebody is deleting it outside Slipway. Clean up this deployment, then deploy again.", "the server is being deleted")
	}
	return o
}

func because(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s)", strings.Join(reasons, "; "))
}

const adviceCapacity = "The zone has no free machine of this profile now: clean up, then deploy to another zone or with another profile, or try later."

// advices say what to do about a status reason (BareMetalServerStatusReason.code).
var advices = map[string]struct {
	code deploy.Code
	hint string
}{
	"cannot_start_capacity":             {deploy.CodeUpstreamUnavailable, adviceCapacity},
	"cannot_start_compute":              {deploy.CodeUpstreamUnavailable, "IBM's hardware did not start: clean up and deploy again; open a case with IBM support if it happens again."},
	"cannot_start_ip_address":           {deploy.CodeConflict, "The address could not be given to the server: see whether something else uses it, clean up, then deploy again with another address or subnet."},
	"cannot_start_network":              {deploy.CodeUpstreamUnavailable, "The server's network could not be set up: check subnet, security groups and interfaces, clean up, then deploy again; open a case with IBM support if it happens again."},
	"cannot_start_reservation_capacity": {deploy.CodeQuotaExceeded, "The account's reservation for this profile is used up: extend it, release a server of it, or deploy with another profile."},
	"cannot_start_reservation_expired":  {deploy.CodeQuotaExceeded, "The account's reservation has expired: renew it, or deploy with another profile."},
	"cannot_reinitialize":               {deploy.CodeUpstreamUnavailable, "The server could not be written anew: reinitialize it again; clean up and deploy again if it fails twice."},
	"cannot_update_firmware":            {deploy.CodeUpstreamUnavailable, "The firmware could not be updated: stop the server and try the update again, or open a case with IBM support."},
}

// serverFailed turns the reasons of a failed server into advice for each.
func serverFailed(codes, reasons []string) *deploy.ProviderError {
	e := &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "IBM Cloud says that the server failed" + because(reasons)}
	var hints []string
	for _, code := range codes {
		if advice, known := advices[code]; known {
			if len(hints) == 0 {
				e.Code = advice.code
			}
			hints = append(hints, advice.hint)
		}
	}
	if len(hints) == 0 {
		hints = []string{"Look at the server in IBM Cloud, then clean up and deploy again; open a case with IBM support if it happens again."}
	}
	e.Hint = strings.Join(hints, " ")
	return e
}
