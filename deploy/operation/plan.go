package operation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/stats"
	"github.com/slipwayhq/slipway/ent"
	"github.com/slipwayhq/slipway/ent/deployment"
	"github.com/slipwayhq/slipway/ent/deploymentbatch"
	"github.com/slipwayhq/slipway/ent/node"
)

// The keys of Slipway's own checks; providers add theirs (see deploy.Check).
// Field is a path from the request on: name, spec.zone.
const (
	CheckName         = "name"
	CheckSpec         = "spec"
	CheckManagementIP = "management_ip_unused"
	CheckMAC          = "mac_unused"
	CheckSerial       = "serial_unused"
	CheckProvider     = "provider"
	CheckArtifacts    = "artifacts"
	CheckSlots        = "slots"
	CheckDuration     = "duration"
)

// Plan is what would become of a deployment if it were asked for now.
type Plan struct {
	OK        bool // no error among the checks that did not pass
	Checks    []deploy.Check
	Estimated time.Duration // once it has left the queue; 0 = not known
	Ahead     int           // deployments that come before it; 0 = it starts at once
}

// Plan goes through everything that a deployment of a node with this name and
// specification needs, and changes nothing: no row is written, nothing is asked
// for at the provider. Every finding is told at once. The error is for when the
// database cannot be read; trouble with the provider is a check.
func (s *Service) Plan(ctx context.Context, name string, spec deploy.Spec) (Plan, error) {
	if mac, ok := deploy.NormalMAC(spec.MAC); ok {
		spec.MAC = mac
	}
	if serial, ok := deploy.NormalSerial(spec.Serial); ok {
		spec.Serial = serial
	}
	var p Plan
	p.own(s.checkFields(name, spec)...)
	sound := p.sound()
	found, nodeID, err := s.checkNode(ctx, name, spec)
	if err != nil {
		return p, err
	}
	p.own(found...)
	p.own(s.checkProvider(ctx, name, nodeID, spec, sound)...)
	if spec.Provider != deploy.ProviderScript { // nothing is downloaded or ordered for it
		if err := s.checkInstall(ctx, &p, spec); err != nil {
			return p, err
		}
	}
	usual, estimated, err := s.checkDuration(ctx, spec)
	if err != nil {
		return p, err
	}
	p.Estimated = estimated
	p.own(usual)
	p.OK = p.sound()
	return p, nil
}

func (p *Plan) own(checks ...deploy.Check) { p.Checks = append(p.Checks, checks...) }

// sound reports whether nothing found so far stands in the way.
func (p *Plan) sound() bool {
	for _, c := range p.Checks {
		if !c.Passed && c.Severity == deploy.CheckError {
			return false
		}
	}
	return true
}

func failed(key, label, message, hint, field string) deploy.Check {
	return deploy.Check{Key: key, Label: label, Severity: deploy.CheckError, Message: message, Hint: hint, Field: field}
}

func passed(key, label, message string) deploy.Check {
	return deploy.Check{Key: key, Label: label, Severity: deploy.CheckError, Passed: true, Message: message}
}

func told(key, label, message string) deploy.Check {
	return deploy.Check{Key: key, Label: label, Severity: deploy.CheckInfo, Passed: true, Message: message}
}

// checkFields are the checks that need nothing but the request.
func (s *Service) checkFields(name string, spec deploy.Spec) []deploy.Check {
	var out []deploy.Check
	for _, f := range deploy.CheckNodeName("name", name) {
		out = append(out, failed(CheckName, "Name", f.Field+" "+f.Message, "", f.Field))
	}
	bad := spec.Check("spec.")
	for _, f := range bad {
		out = append(out, failed(CheckSpec, "Specification", strings.TrimPrefix(f.Field, "spec.")+" "+f.Message, "", f.Field))
	}
	if len(bad) == 0 {
		out = append(out, passed(CheckSpec, "Specification", "every field is acceptable"))
	}
	return out
}

// checkNode looks for others that have the name, the address or the MAC.
// nodeID is the node that would be deployed again, 0 for a new one.
func (s *Service) checkNode(ctx context.Context, name string, spec deploy.Spec) (out []deploy.Check, nodeID int64, err error) {
	if len(deploy.CheckNodeName("", name)) == 0 {
		check, id, err := s.checkName(ctx, name, spec.Provider)
		if err != nil {
			return nil, 0, err
		}
		out, nodeID = append(out, check), id
	}
	if spec.ManagementIP != "" && len(deploy.CheckIP("", spec.ManagementIP)) == 0 {
		n, err := s.one(ctx, s.read.Node.Query().Where(node.ManagementIP(spec.ManagementIP), node.IDNEQ(nodeID)))
		if err != nil {
			return nil, 0, err
		}
		c := passed(CheckManagementIP, "Management address", spec.ManagementIP+" is held by no other node")
		if n != nil {
			c = failed(CheckManagementIP, "Management address", fmt.Sprintf("%s is held by the node %s", spec.ManagementIP, n.Name), "choose another address, or clean that node up", "spec.management_ip")
		}
		out = append(out, c)
	}
	if _, ok := deploy.NormalMAC(spec.MAC); ok {
		n, err := s.one(ctx, s.read.Node.Query().Where(node.MAC(spec.MAC), node.IDNEQ(nodeID)))
		if err != nil {
			return nil, 0, err
		}
		c := passed(CheckMAC, "MAC address", spec.MAC+" belongs to no other node")
		if n != nil {
			c = failed(CheckMAC, "MAC address", fmt.Sprintf("%s belongs to the node %s", spec.MAC, n.Name), "check the address, or clean that node up", "spec.mac")
		}
		out = append(out, c)
	}
	if _, ok := deploy.NormalSerial(spec.Serial); ok {
		n, err := s.one(ctx, s.read.Node.Query().Where(node.Serial(spec.Serial), node.IDNEQ(nodeID)))
		if err != nil {
			return nil, 0, err
		}
		c := passed(CheckSerial, "Serial number", spec.Serial+" belongs to no other node")
		if n != nil {
			c = failed(CheckSerial, "Serial number", fmt.Sprintf("%s belongs to the node %s", spec.Serial, n.Name), "check the serial number", "spec.serial")
		}
		out = append(out, c)
	}
	return out, nodeID, nil
}

func (s *Service) one(ctx context.Context, q *ent.NodeQuery) (*ent.Node, error) {
	n, err := q.First(ctx)
	if ent.IsNotFound(err) {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("operation: looking for a node: %w", err)
	}
	return n, nil
}

// checkName tells whether a deployment may be asked for by this name.
func (s *Service) checkName(ctx context.Context, name, provider string) (deploy.Check, int64, error) {
	n, err := s.one(ctx, s.read.Node.Query().Where(node.Name(name)))
	switch {
	case err != nil:
		return deploy.Check{}, 0, err
	case n == nil:
		return passed(CheckName, "Name", name+" is free"), 0, nil
	case n.Provider != provider:
		return failed(CheckName, "Name", fmt.Sprintf("a node named %s exists, of the provider %s", name, n.Provider), "choose another name", "name"), 0, nil
	case n.CurrentDeploymentID == nil:
		return passed(CheckName, "Name", name+" is registered and was never deployed"), n.ID, nil
	case n.State == phase.CleanedUp:
		return passed(CheckName, "Name", name+" was cleaned up and is deployed again"), n.ID, nil
	}
	return failed(CheckName, "Name", fmt.Sprintf("a node named %s exists and is %s; nothing of it would be touched", name, n.DeploymentStatus),
		"choose another name, or clean that node up first", "name"), 0, nil
}

// checkProvider asks the provider, if there is a point in it.
func (s *Service) checkProvider(ctx context.Context, name string, nodeID int64, spec deploy.Spec, sound bool) []deploy.Check {
	p := s.deps.Providers[spec.Provider]
	if p == nil {
		return []deploy.Check{failed(CheckProvider, "Provider", "the provider "+shown(spec.Provider)+" is not set up on this server",
			"start Slipway with its settings (slipway serve --help)", "spec.provider")}
	}
	planner, ok := p.(deploy.Planner)
	switch {
	case !ok:
		return []deploy.Check{told(CheckProvider, "Provider", spec.Provider+" is set up; it has nothing to check beforehand")}
	case !sound:
		return []deploy.Check{{Key: CheckProvider, Label: "Provider", Severity: deploy.CheckWarning, Message: spec.Provider + " was not asked",
			Hint: "correct the fields above, then it is"}}
	}
	asking, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	checks, err := planner.Plan(asking, deploy.Order{
		NodeID: nodeID, NodeName: name, Attempt: 1, Spec: spec,
		// As long as a real one, and of nobody.
		BootURL: func(context.Context) (string, error) {
			return s.deps.BaseURL + "/boot/d/" + strings.Repeat("0", locatorLength), nil
		},
		Note: func(context.Context, string) {},
	})
	for i, c := range checks { // providers name fields of the specification
		if c.Field != "" && !strings.HasPrefix(c.Field, "spec.") {
			checks[i].Field = "spec." + c.Field
		}
	}
	if err == nil {
		return append([]deploy.Check{passed(CheckProvider, "Provider", spec.Provider+" is set up and answers")}, checks...)
	}
	if err = refusal(ctx, spec.Provider, err); ctx.Err() == nil {
		message, hint := spec.Provider+" could not be asked", "look at Slipway's log"
		if e, ok := deploy.AsError(err); ok {
			message, hint = message+": "+e.Message, e.Hint
		} else {
			s.deps.Logger.ErrorContext(ctx, "a provider's check-list failed", "provider", spec.Provider, "error", err)
		}
		checks = append(checks, failed(CheckProvider, "Provider", message, hint, ""))
	}
	return checks
}

// locatorLength is that of a boot locator, in characters.
const locatorLength = 43

// checkInstall looks at what an installation needs: what it downloads, and a
// slot.
func (s *Service) checkInstall(ctx context.Context, p *Plan, spec deploy.Spec) error {
	artifacts, err := s.checkArtifacts(ctx, spec)
	if err != nil {
		return err
	}
	p.own(artifacts...)
	slots, ahead, err := s.checkSlots(ctx)
	if err != nil {
		return err
	}
	p.Ahead = ahead
	p.own(slots)
	return nil
}

// checkArtifacts looks for the files of the installation.
func (s *Service) checkArtifacts(ctx context.Context, spec deploy.Spec) ([]deploy.Check, error) {
	if s.deps.Artifacts == nil {
		return nil, nil
	}
	list, err := s.deps.Artifacts(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("operation: looking for artifacts: %w", err)
	}
	const label = "Artifacts"
	var there, wrong []string
	field := ""
	for _, a := range list {
		switch {
		case a.Problem != "":
			wrong = append(wrong, a.Name+" "+a.Problem)
		case a.SHA256 == "":
			wrong = append(wrong, a.Name+" has no checksum")
		default:
			there = append(there, a.Name)
			continue
		}
		if a.Name == spec.Installer {
			field = "spec.installer"
		}
	}
	if len(wrong) > 0 {
		return []deploy.Check{failed(CheckArtifacts, label, strings.Join(wrong, "; "), "register what is missing: slipway artifacts add", field)}, nil
	}
	return []deploy.Check{passed(CheckArtifacts, label, "present, with sha256: "+strings.Join(there, ", "))}, nil
}

// checkSlots tells whether it would start at once. A queued deployment whose
// batch is full comes before nobody.
func (s *Service) checkSlots(ctx context.Context) (deploy.Check, int, error) {
	busy := []string{phase.Running, phase.Canceling, phase.CleaningUp}
	running, err := s.read.Deployment.Query().Where(deployment.StateIn(busy...), deployment.ProviderNEQ(deploy.ProviderScript),
		deployment.PhaseNEQ(phase.ClusterFormation)).Count(ctx) // who waits for its cluster has given its slot back
	if err != nil {
		return deploy.Check{}, 0, fmt.Errorf("operation: counting slots: %w", err)
	}
	queued, err := s.queued(ctx, busy)
	if err != nil {
		return deploy.Check{}, 0, err
	}
	ahead := max(running+queued+1-s.deps.Slots, 0)
	message := fmt.Sprintf("starts at once: %d of %d slots are in use", running, s.deps.Slots)
	if ahead > 0 {
		message = fmt.Sprintf("waits until %d before it have ended: %d of %d slots are in use, %d in the queue", ahead, running, s.deps.Slots, queued)
	}
	return told(CheckSlots, "Queue", message), ahead, nil
}

// queued counts the deployments in the queue that may begin.
func (s *Service) queued(ctx context.Context, busy []string) (int, error) {
	type batch struct {
		ID    int64 `json:"batch_id"`
		Count int   `json:"count"`
	}
	var waiting, running []batch
	free, err := s.read.Deployment.Query().Where(deployment.State(phase.Queued), deployment.BatchIDIsNil()).Count(ctx)
	if err == nil {
		err = s.read.Deployment.Query().Where(deployment.State(phase.Queued), deployment.BatchIDNotNil()).
			GroupBy(deployment.FieldBatchID).Aggregate(ent.Count()).Scan(ctx, &waiting)
	}
	if err == nil && len(waiting) > 0 {
		err = s.read.Deployment.Query().Where(deployment.StateIn(busy...), deployment.BatchIDNotNil()).
			GroupBy(deployment.FieldBatchID).Aggregate(ent.Count()).Scan(ctx, &running)
	}
	if err != nil {
		return 0, fmt.Errorf("operation: counting the queue: %w", err)
	}
	if len(waiting) == 0 {
		return free, nil
	}
	in := map[int64]int{}
	for _, b := range running {
		in[b.ID] = b.Count
	}
	ids := make([]int64, len(waiting))
	for i, b := range waiting {
		ids[i] = b.ID
	}
	rows, err := s.read.DeploymentBatch.Query().Where(deploymentbatch.IDIn(ids...)).All(ctx)
	if err != nil {
		return 0, fmt.Errorf("operation: reading batches: %w", err)
	}
	parallel := map[int64]int{}
	for _, b := range rows {
		parallel[b.ID] = b.MaxParallel
	}
	for _, b := range waiting {
		free += min(b.Count, max(parallel[b.ID]-in[b.ID], 0))
	}
	return free, nil
}

// checkDuration tells how long such a deployment usually takes.
func (s *Service) checkDuration(ctx context.Context, spec deploy.Spec) (deploy.Check, time.Duration, error) {
	const label = "Expected time"
	of := "of this profile"
	var whole query.Usual
	known := false
	for _, profile := range []string{spec.ServerProfile, stats.AnyProfile} {
		typical, err := s.deps.Typical.Typical(ctx, spec.Provider, profile)
		if err != nil {
			return deploy.Check{}, 0, err
		}
		if whole, known = typical.Whole(); known {
			break
		}
		of = "of this provider"
	}
	if !known {
		return told(CheckDuration, label, fmt.Sprintf("not known yet: fewer than %d deployments were measured", stats.MinSamples)), 0, nil
	}
	return told(CheckDuration, label, fmt.Sprintf("%s, and 95 in 100 end within %s (%d deployments %s)",
		whole.P50.Round(time.Second), whole.P95.Round(time.Second), whole.Samples, of)), whole.P50, nil
}
