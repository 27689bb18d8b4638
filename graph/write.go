package graph

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/graph/ident"
	"github.com/slipwayhq/slipway/graph/model"
)

// Limits of a report's fields, the same as REST's.
const (
	phaseKeyMax       = 64
	messageMax        = 4096
	detailsMax        = 64 << 10
	logTailMax        = 64 << 10
	idempotencyKeyMax = 128
)

func (r *Resolver) registerNode(ctx context.Context, in model.RegisterNodeInput) (int64, error) {
	labels, bad := labelMap("labels", in.Labels)
	if len(in.ServerProfile) > 128 {
		bad = append(bad, deploy.FieldError{Field: "server_profile", Code: deploy.CodeOutOfRange, Message: "is longer than 128 characters"})
	}
	if len(in.MacAddresses) > 32 {
		bad = append(bad, deploy.FieldError{Field: "mac_addresses", Code: deploy.CodeOutOfRange, Message: "has more than 32 entries"})
	}
	if len(deref(in.ClusterName)) > 63 {
		bad = append(bad, deploy.FieldError{Field: "cluster_name", Code: deploy.CodeOutOfRange, Message: "is longer than 63 characters"})
	}
	if err := deploy.Invalid(bad); err != nil {
		return 0, err
	}
	return r.Commands.RegisterNode(ctx, lifecycle.NewNode{
		Name: in.Name, Provider: strings.ToLower(string(in.Provider)), ServerProfile: in.ServerProfile,
		ManagementIP: deref(in.ManagementIP), MACs: in.MacAddresses, Serial: deref(in.Serial), ClusterName: deref(in.ClusterName),
		Labels: labels, Actor: access.FromContext(ctx).Actor(),
	})
}

func (r *Resolver) updateNode(ctx context.Context, in model.UpdateNodeInput) (int64, error) {
	id, ok := ident.Of(ident.Node, in.ID)
	if !ok {
		return 0, &deploy.Error{Code: deploy.CodeNotFound, Message: "there is no such node", Fields: []deploy.FieldError{{Field: "id", Code: deploy.CodeNotFound, Message: "names no node"}}}
	}
	labels, bad := labelMap("labels", in.Labels)
	if err := deploy.Invalid(bad); err != nil {
		return 0, err
	}
	return id, r.Commands.UpdateNode(ctx, lifecycle.NodeChange{ID: id, ExpectedVersion: in.ExpectedVersion, Name: in.Name, Labels: labels})
}

// newDeployment reads what is to be deployed. provider is empty when the spec
// does not have exactly one branch, which the validator does not check in
// variables.
func newDeployment(in *model.DeployNodeInput) (out lifecycle.NewDeployment, bad []deploy.FieldError) {
	out = lifecycle.NewDeployment{
		Name: in.Name, ClusterName: deref(in.ClusterName), Maintenance: deref(in.Maintenance), IdempotencyKey: deref(in.IdempotencyKey),
	}
	out.Labels, bad = labelMap("labels", in.Labels)
	spec, wrong := newSpec(in.Spec)
	out.Spec = spec
	return out, append(bad, wrong...)
}

// newDeployment is the function of this name, and looks at the document of a
// host that the deployment script configures.
func (r *Resolver) newDeployment(ctx context.Context, in *model.DeployNodeInput) (lifecycle.NewDeployment, []deploy.FieldError, error) {
	out, bad := newDeployment(in)
	wrong, err := r.document(ctx, out.Name, &out.Spec)
	return out, append(bad, wrong...), err
}

// newSpec reads what to deploy on; see newDeployment for an empty provider.
func newSpec(in *model.DeploySpec) (out deploy.Spec, bad []deploy.FieldError) {
	switch v, k, h := in.IbmVpc, in.Rack, in.Script; {
	case v != nil && k == nil && h == nil:
		out = deploy.Spec{
			Provider: deploy.ProviderIBMVPC, ServerProfile: v.ServerProfile, Zone: deref(v.Zone), ManagementSubnet: deref(v.ManagementSubnet),
			WorkloadSubnets: v.WorkloadSubnets, Installer: deref(v.Installer), Storage: v.Storage,
			Image: deref(v.Image), Keys: v.Keys, SecurityGroups: v.SecurityGroups,
		}
		for _, n := range v.Vlans {
			out.VLANs = append(out.VLANs, deploy.VLAN{ID: n.ID, Subnet: n.Subnet, Float: deref(n.Float)})
		}
		if n := v.Network; n != nil {
			out.ManagementIP, out.AHVIP, out.CVMIP, out.DNSServers = deref(n.ManagementIP), deref(n.AhvIP), deref(n.CvmIP), n.DNSServers
		}
	case k != nil && v == nil && h == nil:
		out = deploy.Spec{
			Provider: deploy.ProviderRack, MAC: deref(k.Mac), Serial: deref(k.Serial), ManagementIP: k.ManagementIP, Installer: deref(k.Installer), Storage: k.Storage,
			Netmask: deref(k.Netmask), Gateway: deref(k.Gateway), DNSServers: k.DNSServers, Power: newPower(k.Power), AHVIP: deref(k.AhvIP), CVMIP: deref(k.CvmIP),
		}
	case h != nil && v == nil && k == nil:
		out = deploy.Spec{Provider: deploy.ProviderScript, Document: h.Document}
	default:
		bad = append(bad, deploy.FieldError{Field: "spec", Code: deploy.CodeInvalid, Message: "must have exactly one of ibmVpc, rack and script"})
	}
	if len(out.DNSServers) > 3 {
		bad = append(bad, deploy.FieldError{Field: "spec.dns_servers", Code: deploy.CodeOutOfRange, Message: "has more than 3 entries"})
	}
	return out, bad
}

// newPower reads how a rack machine is switched; nil is by a person.
func newPower(in *model.RackPowerInput) *deploy.Power {
	if in == nil {
		return nil
	}
	out := &deploy.Power{
		Type: strings.ToLower(string(in.Type)), URL: deref(in.URL), Username: deref(in.Username), PasswordRef: deref(in.PasswordRef), SystemID: deref(in.SystemID),
		InsecureTLS: deref(in.InsecureTLS), CAFile: deref(in.CaFile), BootMode: strings.ToLower(string(deref(in.BootMode))), OffAtRelease: deref(in.OffAtRelease),
	}
	if out.Type != deploy.PowerManual { // its default is no setting of somebody's
		out.BootFrom = strings.ToLower(string(deref(in.BootFrom)))
	}
	return out
}

func (r *Resolver) deployNode(ctx context.Context, in model.DeployNodeInput) (*model.DeployNodePayload, error) {
	order, bad, err := r.newDeployment(ctx, &in)
	if err != nil {
		return refusedDeployment(err)
	}
	order.Actor = access.FromContext(ctx).Actor()
	made := lifecycle.Deployed{}
	if len(bad) > 0 && order.Spec.Provider != "" {
		bad = append(bad, order.Check("")...) // every bad field at once
	}
	if err = deploy.Invalid(bad); err == nil {
		made, err = r.Commands.Deploy(ctx, order)
	}
	errs, err := userErrors(err, specPath(order.Spec.Provider))
	if err != nil || len(errs) > 0 {
		return &model.DeployNodePayload{Errors: errs}, err
	}
	d, err := r.readDeployment(ctx, made.DeploymentID, selected(ctx).child("deployment"))
	return &model.DeployNodePayload{Deployment: d, Errors: errs}, err
}

// refusedDeployment answers with why a deployment cannot even be looked at.
func refusedDeployment(err error) (*model.DeployNodePayload, error) {
	errs, err := userErrors(err, same)
	return &model.DeployNodePayload{Errors: errs}, err
}

func (r *Resolver) deployNodes(ctx context.Context, in model.DeployNodesInput) (*model.DeployNodesPayload, error) {
	out := &model.DeployNodesPayload{Results: []*model.DeployNodeResult{}}
	batch := lifecycle.NewBatch{
		Name: deref(in.BatchName), MaxParallel: 10, StopOnFailureCount: in.StopOnFailureCount,
		IdempotencyKey: deref(in.IdempotencyKey), Actor: access.FromContext(ctx).Actor(),
	}
	if in.MaxParallel != nil {
		batch.MaxParallel = *in.MaxParallel
	}
	wrong := map[int][]deploy.FieldError{}
	for i, n := range in.Nodes {
		one, bad, err := r.newDeployment(ctx, n)
		if e, told := deploy.AsError(err); told { // it is refused by itself
			bad = append(bad, deploy.FieldError{Code: e.Code, Message: e.Message})
		} else if err != nil {
			return nil, err
		}
		if len(bad) > 0 {
			// It must not be accepted, and keeps its place in the list.
			if one.Spec.Provider != "" {
				bad = append(bad, one.Check("")...)
			}
			wrong[i], one.Spec.Provider = bad, ""
		}
		batch.Deployments = append(batch.Deployments, one)
	}
	result, err := lifecycle.BatchResult{}, error(nil)
	if err = deploy.Invalid(checkBatch(in)); err == nil {
		result, err = r.Commands.DeployBatch(ctx, batch)
	}
	if out.Errors, err = userErrors(err, same); err != nil || len(out.Errors) > 0 {
		return out, err
	}
	sel := selected(ctx)
	ids := make([]int64, 0, len(result.Items))
	for i, item := range result.Items {
		if bad := deploy.Invalid(wrong[i]); bad != nil {
			item.Err = bad
		}
		one := &model.DeployNodeResult{Index: i}
		if one.Errors, err = userErrors(item.Err, specPath(batch.Deployments[i].Spec.Provider)); err != nil {
			return nil, err
		}
		at(i, one.Errors)
		out.Errors = append(out.Errors, one.Errors...)
		out.Results = append(out.Results, one)
		if item.Err == nil {
			ids = append(ids, item.DeploymentID)
		}
	}
	deployments, err := r.load().deploymentsByID(ctx, ids, sel.path("results", "deployment"), nil)
	if err != nil {
		return nil, err
	}
	for i, item := range result.Items {
		if item.Err == nil {
			out.Results[i].Deployment = deployments[item.DeploymentID]
		}
	}
	if len(ids) > 0 {
		out.Batch, err = r.readBatch(ctx, result.BatchID)
	}
	return out, err
}

func checkBatch(in model.DeployNodesInput) (bad []deploy.FieldError) {
	if len(in.Nodes) == 0 || len(in.Nodes) > lifecycle.BatchMax {
		bad = append(bad, deploy.FieldError{Field: "nodes", Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("must have 1 to %d entries", lifecycle.BatchMax)})
	}
	if m := in.MaxParallel; m != nil && (*m < 1 || *m > lifecycle.BatchMax) {
		bad = append(bad, deploy.FieldError{Field: "max_parallel", Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("must be 1 to %d", lifecycle.BatchMax)})
	}
	if n := in.StopOnFailureCount; n != nil && *n < 1 {
		bad = append(bad, deploy.FieldError{Field: "stop_on_failure_count", Code: deploy.CodeOutOfRange, Message: "must be at least 1"})
	}
	if len(deref(in.BatchName)) > 128 {
		bad = append(bad, deploy.FieldError{Field: "batch_name", Code: deploy.CodeOutOfRange, Message: "is longer than 128 characters"})
	}
	if len(deref(in.IdempotencyKey)) > idempotencyKeyMax {
		bad = append(bad, deploy.FieldError{Field: "idempotency_key", Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("is longer than %d characters", idempotencyKeyMax)})
	}
	return bad
}

var reportStatus = map[model.ReportStatus]phase.Status{
	model.ReportStatusInProgress: phase.InProgress,
	model.ReportStatusSucceeded:  phase.Success,
	model.ReportStatusFailed:     phase.FailedRun,
}

// newReport reads a report of an operator.
func (r *Resolver) newReport(ctx context.Context, in model.ReportPhaseInput) (lifecycle.Report, error) {
	var bad []deploy.FieldError
	add := func(field string, code deploy.Code, format string, args ...any) {
		bad = append(bad, deploy.FieldError{Field: field, Code: code, Message: fmt.Sprintf(format, args...)})
	}
	rep := lifecycle.Report{
		Phase: strings.ToLower(strings.TrimSpace(in.PhaseKey)), Status: reportStatus[in.Status], Message: access.Redact(deref(in.Message)),
		LogTail: access.Redact(tail(deref(in.LogTail), logTailMax)), IdempotencyKey: deref(in.IdempotencyKey),
		Source: deploy.SourceUser, Actor: access.FromContext(ctx).Actor(), As: phase.ByOperator,
	}
	if len(in.Details) > 0 {
		rep.Details = []byte(access.Redact(string(in.Details)))
	}
	if in.OccurredAt != nil {
		rep.OccurredAt = *in.OccurredAt
	}
	switch {
	case rep.Phase == "":
		add("phase_key", deploy.CodeRequired, "is required")
	case len(rep.Phase) > phaseKeyMax:
		add("phase_key", deploy.CodeOutOfRange, "is longer than %d characters", phaseKeyMax)
	}
	if len(rep.Message) > messageMax {
		add("message", deploy.CodeOutOfRange, "is longer than %d characters", messageMax)
	}
	if len(in.Details) > detailsMax {
		add("details", deploy.CodeOutOfRange, "is larger than %d bytes", detailsMax)
	}
	if len(rep.IdempotencyKey) > idempotencyKeyMax {
		add("idempotency_key", deploy.CodeOutOfRange, "is longer than %d characters", idempotencyKeyMax)
	}
	if p := in.Progress; p != nil {
		if math.IsNaN(*p) || *p < 0 || *p > 1 {
			add("progress", deploy.CodeOutOfRange, "must be 0 to 1")
		} else {
			percent := int(math.Round(*p * 100))
			rep.Progress = &percent
		}
	}
	by, wrong := nodeBy("node", in.Node)
	bad = append(bad, wrong...)
	if err := deploy.Invalid(bad); err != nil {
		return rep, err
	}
	return rep, r.aim(ctx, &rep, by, in.DeploymentID)
}

// aim finds the node and deployment that a report is about.
func (r *Resolver) aim(ctx context.Context, rep *lifecycle.Report, by query.NodeBy, deploymentID *string) error {
	missing := func(field, text string) error {
		return &deploy.Error{Code: deploy.CodeNotFound, Message: text, Fields: []deploy.FieldError{{Field: field, Code: deploy.CodeNotFound, Message: "does not exist"}}}
	}
	n, err := r.Fleet.FindNode(ctx, by)
	if err != nil {
		return err
	}
	if n == nil {
		return missing("node", "there is no such node")
	}
	rep.NodeID = n.ID
	if deploymentID == nil {
		return nil
	}
	id, _ := ident.Of(ident.Deployment, *deploymentID)
	found, err := r.Fleet.DeploymentsByID(ctx, []int64{id})
	if err != nil {
		return err
	}
	if d := found[id]; d == nil || d.NodeID != n.ID {
		return missing("deployment_id", "the node has no such deployment")
	}
	rep.DeploymentID = id
	return nil
}

// tail keeps the last n bytes of a text, from the beginning of a line if one
// is near.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	if i := strings.IndexByte(s, '\n'); i >= 0 && i < 1024 {
		s = s[i+1:]
	}
	return strings.ToValidUTF8(s, "")
}

func (r *Resolver) reportPhase(ctx context.Context, in model.ReportPhaseInput) (*model.ReportPhasePayload, error) {
	out := &model.ReportPhasePayload{AcceptedPhases: []string{}}
	var receipt lifecycle.Receipt
	rep, err := r.newReport(ctx, in)
	if err == nil {
		receipt, err = r.Commands.Report(ctx, rep)
		out.Duplicate = receipt.Duplicate
		if e, ok := deploy.AsError(err); ok {
			out.AcceptedPhases = append(out.AcceptedPhases, e.AcceptedPhases...)
		}
	}
	if out.Errors, err = userErrors(err, same); err != nil {
		return nil, err
	}
	sel := selected(ctx)
	if receipt.EventID != 0 && sel.has("event") {
		if out.Event, err = r.readEvent(ctx, receipt.EventID, sel.child("event")); err != nil {
			return nil, err
		}
	}
	if receipt.DeploymentID != 0 && sel.has("deployment") {
		out.Deployment, err = r.readDeployment(ctx, receipt.DeploymentID, sel.child("deployment"))
	}
	return out, err
}
