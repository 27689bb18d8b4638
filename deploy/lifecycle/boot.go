package lifecycle

import (
	"context"
	"fmt"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
)

var bootActor = deploy.Actor{Kind: deploy.ActorSystem, Name: "boot"}

// Boot decides what a machine that asks must boot, and records it: the first
// boot moves the deployment to ipxe_boot, a boot in the middle of an install
// opens the next attempt.
func (w *Writer) Boot(ctx context.Context, req BootRequest) (answer BootAnswer, err error) {
	err = w.Do(ctx, []int64{req.DeploymentID}, nil, func(tx *Tx) (err error) {
		answer, err = tx.boot(req)
		return err
	})
	return answer, err
}

func (tx *Tx) boot(req BootRequest) (BootAnswer, error) {
	d, n, err := tx.deployment(req.DeploymentID)
	if err != nil {
		return BootAnswer{}, err
	}
	tx.seen(n, tx.at)
	decision := phase.DecideBoot(phase.BootFacts{Provider: d.provider, State: d.state, Open: d.phase, Reboots: d.reboots})
	say := func(message string) Report {
		return Report{DeploymentID: d.id, Phase: phase.IPXEBoot, Status: phase.InProgress, Message: message, OccurredAt: tx.at,
			Source: deploy.SourceBootService, Actor: bootActor, As: phase.ByBoot}
	}
	message := ""
	learnt := ""
	if decision == phase.BootInstall || decision == phase.BootAgain || decision == phase.BootAttempt {
		if learnt, err = tx.pin(n, req); err != nil {
			return BootAnswer{}, err
		}
	}
	switch decision {
	case phase.BootInstall, phase.BootAgain:
		d.boots++
		_, err = tx.Report(say(fmt.Sprintf("boot script served to %s (boot %d)%s", req.Remote, d.boots, learnt)))
	case phase.BootAttempt:
		tx.nextAttempt(d, n, fmt.Sprintf("the machine restarted in the middle of %s", d.phase))
		_, err = tx.Report(say(fmt.Sprintf("boot script served to %s (attempt %d)%s", req.Remote, d.attempt, learnt)))
	case phase.BootFail:
		message = fmt.Sprintf("the machine restarted %d times in the middle of its install", d.reboots+1)
		_, err = tx.Report(Report{DeploymentID: d.id, Phase: phase.Failed, Status: phase.FailedRun, Message: message, Code: "reboot_loop",
			Hint:       "Look at the machine's console; it restarts before the install is done.",
			OccurredAt: tx.at, Source: deploy.SourceBootService, Actor: bootActor, As: phase.ByBoot})
	case phase.BootWait:
		message = "waiting for a free slot"
	case phase.BootStop, phase.BootDisk:
		message = fmt.Sprintf("nothing to install: deployment #%d is %s", d.number, d.state)
		switch def, _ := phase.Lookup(d.phase); {
		case d.state == phase.Canceling && def.Owner != phase.OwnerWorkflow:
			// What it was to be let finish, it has given up by restarting.
			message = fmt.Sprintf("nothing to install: deployment #%d is canceled", d.number)
			_, err = tx.cancel(Cancel{DeploymentID: d.id, Immediate: true, Reason: "the machine restarted in the middle of " + d.phase, Actor: bootActor})
			return BootAnswer{Decision: decision, NodeID: n.id, NodeName: n.name, DeploymentID: d.id, Number: d.number, Attempt: d.attempt,
				Phase: d.phase, State: d.state, ManagementIP: n.managementIP.String, Message: message}, err
		case d.state == phase.Running:
			message = fmt.Sprintf("the install of deployment #%d is done (%s); it is not repeated", d.number, d.phase)
		}
		if tx.w.mayRecordRefusal(d.id) {
			r := say(fmt.Sprintf("boot request from %s answered: %s", req.Remote, message))
			e := tx.event(d, phase.IPXEBoot, phase.InProgress, r, "")
			e.outcome = Step
			n.dirty = true
		}
	}
	d.dirty = true
	return BootAnswer{Decision: decision, NodeID: n.id, NodeName: n.name, DeploymentID: d.id, Number: d.number, Attempt: d.attempt,
		Phase: d.phase, State: d.state, ManagementIP: n.managementIP.String, Message: message}, err
}

// nextAttempt closes the open phase as failed and enters ipxe_boot of a new
// attempt; the phases before it are kept.
func (tx *Tx) nextAttempt(d *depRow, n *nodeRow, why string) {
	left := d.phase
	tx.move(d, phase.Move{Phase: left, Status: phase.FailedRun}, why, nil)
	e := tx.event(d, left, phase.FailedRun, Report{Message: why, OccurredAt: tx.at, Source: deploy.SourceBootService, Actor: bootActor}, "")
	e.outcome = Accepted
	d.attempt++
	d.reboots++
	d.boots = 1
	tx.move(d, phase.Move{Phase: phase.IPXEBoot, Enter: true, Status: phase.Waiting}, "", nil)
	tx.mirror(d, n)
}

// ConfigServed records that the machine got its configuration.
func (w *Writer) ConfigServed(ctx context.Context, deploymentID int64, attempt int, remote string) (Receipt, error) {
	return w.Report(ctx, Report{DeploymentID: deploymentID, TokenAttempt: attempt, Phase: phase.ConfigDownload, Status: phase.InProgress,
		Message: "configuration served to " + remote, Source: deploy.SourceBootService, Actor: bootActor, As: phase.ByBoot})
}
