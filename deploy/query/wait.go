package query

import (
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/ent"
)

// Wait is what a deployment that has not ended waits for.
type Wait struct {
	Code     string
	Awaiting string
	Since    time.Time
	Evidence string // may be empty
	Advice   string
}

// The codes of waits. The first six are what the workflow notes on the phase
// run; the others follow from phase and clocks.
const (
	WaitSlot        = "slot"
	WaitProvider    = "provider"
	WaitBoot        = "boot_request"
	WaitDNS         = "dns"
	WaitSSH         = "ssh"
	WaitCluster     = "cluster"
	WaitConfig      = "config_request"
	WaitReport      = "report"
	WaitWorkflow    = "workflow"
	WaitMaintenance = "maintenance"
	WaitSilent      = "silent"
	WaitOverdue     = "overdue"
)

var waits = map[string]struct{ awaiting, advice string }{
	WaitSlot:        {"a free slot", "It starts by itself when another deployment ends. More slots can be set on the server."},
	WaitProvider:    {"the provider", "It is tried again by itself. If it goes on, look at the provider's own status page and at quota and permissions."},
	WaitBoot:        {"the machine's boot request", "Large machines need many minutes to start. If nothing comes, look at the machine's console and check that it boots from the network and reaches this server."},
	WaitDNS:         {"the DNS service", "It is tried again by itself. If it goes on, check the zone and its permissions."},
	WaitSSH:         {"an SSH login on the machine", "It is tried again by itself. If it goes on, look at the machine's console and its SSH service."},
	WaitCluster:     {"the other machines of the cluster", "It goes on when all of them are ready. Look at the one that is furthest behind."},
	WaitConfig:      {"the machine's request for its configuration", "The boot script was served. If nothing comes, look at the machine's console: kernel or initial ramdisk may not load."},
	WaitReport:      {"the machine's next report", "Nothing to do while it reports. If it falls silent, look at the machine's console."},
	WaitWorkflow:    {"Slipway's own next step", "Nothing to do. If it stays like this for minutes, look at Slipway's log."},
	WaitMaintenance: {"the end of maintenance", "Its clocks are stopped. End the maintenance to let deadlines act again."},
	WaitSilent:      {"a sign of life from the machine", "It has been silent for longer than its phase allows. Look at its console; it may have restarted or lost its network."},
	WaitOverdue:     {"the deadline that has passed to act", "It is about to be tried again or to fail."},
}

// wait tells what an active deployment waits for.
func wait(d *ent.Deployment, n *ent.Node, run *ent.PhaseRun, now time.Time) *Wait {
	w := &Wait{Code: waitCode(d, n, run, now), Since: d.UpdatedAt}
	if run != nil {
		w.Since, w.Evidence = run.EnteredAt, run.Evidence
		if run.StartedAt != nil {
			w.Since = *run.StartedAt
		}
		if run.AwaitingSince != nil {
			w.Since = *run.AwaitingSince
		}
		if w.Evidence == "" {
			w.Evidence = run.Message
		}
	}
	switch {
	case w.Code == WaitSilent && n.LastSeenAt != nil:
		w.Since = *n.LastSeenAt
	case w.Code == WaitOverdue:
		w.Since = *run.DeadlineAt
	}
	text, ok := waits[w.Code]
	if !ok { // a newer workflow's word
		text = waits[WaitWorkflow]
		text.awaiting = w.Code
	}
	w.Awaiting, w.Advice = text.awaiting, text.advice
	return w
}

func waitCode(d *ent.Deployment, n *ent.Node, run *ent.PhaseRun, now time.Time) string {
	switch {
	case d.Maintenance:
		return WaitMaintenance
	case run == nil:
		return WaitWorkflow
	case run.FinishedAt == nil && run.DeadlineAt != nil && run.ClockStoppedAt == nil && now.After(*run.DeadlineAt):
		return WaitOverdue
	case n != nil && n.Stale:
		return WaitSilent
	case run.Awaiting != "":
		return run.Awaiting
	}
	def, _ := phase.Lookup(run.Phase)
	switch {
	case run.Phase == phase.Pending:
		return WaitSlot
	case run.Phase == phase.MonitoringStart:
		return WaitBoot
	case run.Phase == phase.IPXEBoot && run.Status == string(phase.Waiting):
		return WaitBoot
	case run.Phase == phase.IPXEBoot:
		return WaitConfig
	case def.Owner == phase.OwnerBoot, def.Owner == phase.OwnerMachine:
		return WaitReport
	}
	return WaitWorkflow
}

// Awaits says in words what an open phase run waits for; empty for one that
// has ended.
func Awaits(d *ent.Deployment, n *ent.Node, run *ent.PhaseRun, now time.Time) string {
	if run == nil || run.FinishedAt != nil || !phase.Active(d.State) {
		return ""
	}
	return wait(d, n, run, now).Awaiting
}
