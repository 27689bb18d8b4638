package query

import (
	"fmt"
	"strings"
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

// The codes of waits. The first seven are what the workflow notes on the phase
// run; the others follow from state, phase and clocks.
const (
	WaitSlot        = "slot"
	WaitProvider    = "provider"
	WaitBoot        = "boot_request"
	WaitDNS         = "dns"
	WaitSSH         = "ssh"
	WaitCluster     = "cluster"
	WaitFormation   = "cluster_formation"
	WaitHealth      = "cluster_health"
	WaitDownload    = "download_slot"
	WaitConfig      = "config_request"
	WaitReport      = "report"
	WaitWorkflow    = "workflow"
	WaitMaintenance = "maintenance"
	WaitSilent      = "silent"
	WaitOverdue     = "overdue"
	WaitScript      = "script"
	WaitScriptRun   = "script_run"
	WaitScriptHost  = "script_host"
	WaitReplica     = "script_replica"
	WaitRestart     = "restart"
	WaitCancel      = "cancel"
	WaitCleanup     = "cleanup"
)

var waits = map[string]struct{ awaiting, advice string }{
	WaitSlot:        {"a free slot", "It starts by itself when another deployment ends. More slots can be set on the server."},
	WaitProvider:    {"the provider", "It is tried again by itself. If it goes on, look at the provider's own status page and at quota and permissions."},
	WaitBoot:        {"the machine's boot request", "Large machines need many minutes to start. If nothing comes, look at the machine's console and check that it boots from the network and reaches this server."},
	WaitDNS:         {"the DNS service", "It is tried again by itself. If it goes on, check the zone and its permissions."},
	WaitSSH:         {"an SSH login on the machine", "It is tried again by itself. If it goes on, look at the machine's console and its SSH service."},
	WaitCluster:     {"the other machines of the cluster", "It goes on when all of them are ready. Look at the one that is furthest behind."},
	WaitFormation:   {"the controller VMs, which form the cluster", "It is looked at again every few seconds. The cluster's page has the command, its output and whom it waits for."},
	WaitHealth:      {"the cluster's health", "Every check is made again every few seconds. The cluster's page shows each with its evidence."},
	WaitDownload:    {"a free download slot", "It starts by itself when another machine has its images; its clock stands still until then. More slots can be set on the server."},
	WaitConfig:      {"the machine's request for its configuration", "The boot script was served. If nothing comes, look at the machine's console: kernel or initial ramdisk may not load."},
	WaitReport:      {"the machine's next report", "Nothing to do while it reports. If it falls silent, look at the machine's console."},
	WaitWorkflow:    {"Slipway's own next step", "Nothing to do. If it stays like this for minutes, look at Slipway's log."},
	WaitMaintenance: {"the end of maintenance", "Its clocks are stopped. End the maintenance to let deadlines act again."},
	WaitSilent:      {"a sign of life from the machine", "It has been silent for longer than its phase allows. Look at its console; it may have restarted or lost its network."},
	WaitOverdue:     {"the deadline that has passed to act", "It is about to be tried again or to fail."},
	WaitScript:      {"the end of the deployment script", "Read the script's output. It is stopped when its time is over."},
	WaitScriptRun:   {"the host of the deployment script", "Another run has it, or this one is being started; one runs at a time. Its clock stands still while another has the host."},
	WaitScriptHost:  {"the host of the deployment script", "It is tried again by itself. If it goes on, look at the work directory and at Slipway's log."},
	WaitReplica:     {"the server on the host that has the run", "Only that server can go on with it: start it. If the host is gone for good, cancel the run by force, which writes it off."},
	WaitRestart:     {"the restart of the host", "It goes on by itself when the time for it has passed."},
	WaitCancel:      {"the end of the cancellation", "What runs is being stopped; nothing new is begun. If it goes on for minutes, look at Slipway's log."},
	WaitCleanup:     {"the release of everything that is held for the node", "It is tried again by itself. If it goes on, look at the provider's own list of servers and addresses."},
}

// wait tells what an active deployment waits for. It always has an answer.
func wait(d *ent.Deployment, n *ent.Node, run *ent.PhaseRun, now time.Time) *Wait {
	w := &Wait{Code: waitCode(d, n, run, now), Since: d.UpdatedAt}
	if run != nil {
		w.Since = run.EnteredAt
		if run.StartedAt != nil {
			w.Since = *run.StartedAt
		}
		if run.AwaitingSince != nil {
			w.Since = *run.AwaitingSince
		}
	}
	switch {
	case w.Code == WaitMaintenance && run != nil && run.ClockStoppedAt != nil:
		w.Since = *run.ClockStoppedAt
	case w.Code == WaitOverdue:
		w.Since = *run.DeadlineAt
	case (w.Code == WaitSilent || w.Code == WaitReport) && n != nil && n.LastSeenAt != nil && n.LastSeenAt.After(run.EnteredAt):
		w.Since = *n.LastSeenAt
	}
	w.Evidence = evidence(d, n, run, w.Code)
	text, ok := waits[w.Code]
	if !ok { // a newer workflow's word
		text = waits[WaitWorkflow]
		text.awaiting = w.Code
	}
	w.Awaiting, w.Advice = text.awaiting, text.advice
	return w
}

// labelOf is a phase as people know it.
func labelOf(key string) string {
	if d, ok := phase.Lookup(key); ok && d.Label != "" {
		return d.Label
	}
	return key
}

// evidence is the last thing known about what is awaited.
func evidence(d *ent.Deployment, n *ent.Node, run *ent.PhaseRun, code string) string {
	if run == nil {
		return fmt.Sprintf("“%s” is %s since %s", labelOf(d.Phase), strings.ReplaceAll(d.State, "_", " "), clock(d.UpdatedAt))
	}
	said := run.Evidence
	if said == "" {
		said = run.Message
	}
	def, _ := phase.Lookup(run.Phase)
	switch {
	case code == WaitReport, code == WaitConfig, code == WaitSilent, def.Owner == phase.OwnerMachine:
		seen := "the machine was not seen yet"
		if n != nil && n.LastSeenAt != nil {
			seen = "the machine was last seen at " + clock(*n.LastSeenAt)
		}
		if said == "" {
			return seen
		}
		return said + "; " + seen
	case said == "":
		return fmt.Sprintf("“%s” was entered at %s; nothing was reported since", labelOf(run.Phase), clock(run.EnteredAt))
	}
	return said
}

// clock is a time as people read it in a text.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// inProgress is what our own steps wait for once they have begun.
var inProgress = map[phase.Key]string{
	phase.ServerRequested: WaitProvider, phase.ScriptStarted: WaitScript, phase.RebootWait: WaitRestart, phase.SSHPolling: WaitSSH,
	phase.ClusterFormation: WaitCluster, phase.DNSRegistration: WaitDNS, phase.HealthValidation: WaitSSH, phase.Cleanup: WaitCleanup,
}

func waitCode(d *ent.Deployment, n *ent.Node, run *ent.PhaseRun, now time.Time) string {
	switch {
	case d.Maintenance:
		return WaitMaintenance
	case d.State == phase.Canceling:
		return WaitCancel
	case d.State == phase.CleaningUp && (run == nil || run.Phase != phase.Cleanup):
		return WaitCleanup
	case run == nil:
		return WaitWorkflow
	case overdue(d, run, now):
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
	case run.Status == string(phase.InProgress) && inProgress[run.Phase] != "":
		return inProgress[run.Phase]
	}
	return WaitWorkflow
}

// overdue reports whether a deadline has passed that is about to act.
func overdue(d *ent.Deployment, run *ent.PhaseRun, now time.Time) bool {
	return run != nil && !d.Maintenance && run.FinishedAt == nil && run.DeadlineAt != nil && run.ClockStoppedAt == nil && now.After(*run.DeadlineAt)
}

// Awaits says in words what an open phase run waits for; empty for one that
// has ended.
func Awaits(d *ent.Deployment, n *ent.Node, run *ent.PhaseRun, now time.Time) string {
	if run == nil || run.FinishedAt != nil || !phase.Active(d.State) {
		return ""
	}
	return wait(d, n, run, now).Awaiting
}
