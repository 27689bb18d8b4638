package phase

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
)

var standalone = []Key{ClusterFormation}

func vpc(open Key, s Status) Facts {
	state := Running
	if open == Pending {
		state = Queued
	}
	return Facts{Provider: deploy.ProviderIBMVPC, State: state, Open: open, OpenStatus: s, Skip: standalone}
}

func (f Facts) in(s State) Facts    { f.State = s; return f }
func (f Facts) of(p string) Facts   { f.Provider = p; return f }
func (f Facts) skip(k ...Key) Facts { f.Skip = k; return f }
func move(k Key, s Status) Move     { return Move{Phase: k, Status: s} }
func enter(k Key, s Status) Move    { return Move{Phase: k, Enter: true, Status: s} }
func implied(m Move) Move           { m.Implied = true; return m }
func by(r Reporter, k Key, s Status) Report {
	return Report{Phase: k, Status: s, As: r}
}

func TestDecide(t *testing.T) {
	for _, tc := range []struct {
		name    string
		facts   Facts
		report  Report
		outcome Outcome
		code    deploy.Code
		passed  bool
		state   State
		at      Key // empty = the reported one
		moves   []Move
	}{
		// In order.
		{"admitted", vpc(Pending, Waiting), by(ByWorkflow, Pending, Success), Accept, "", false, Running, "",
			[]Move{move(Pending, Success), implied(enter(ServerRequested, Waiting))}},
		{"admitted, rack orders nothing", vpc(Pending, Waiting).of(deploy.ProviderRack), by(ByWorkflow, Pending, Success), Accept, "", false, Running, "",
			[]Move{move(Pending, Success), implied(enter(MonitoringStart, Waiting))}},
		{"admitted, script", vpc(Pending, Waiting).of(deploy.ProviderScript), by(ByWorkflow, Pending, Success), Accept, "", false, Running, "",
			[]Move{move(Pending, Success), implied(enter(ConfigStored, Waiting))}},
		{"still in the queue", vpc(Pending, Waiting), by(ByWorkflow, Pending, InProgress), Accept, "", false, Queued, "", []Move{move(Pending, InProgress)}},
		{"a waiting phase begins", vpc(ServerRequested, Waiting), by(ByWorkflow, ServerRequested, InProgress), Accept, "", false, Running, "", []Move{move(ServerRequested, InProgress)}},
		{"a phase goes on", vpc(Installation, InProgress), by(ByMachine, Installation, InProgress), Accept, "", false, Running, "", []Move{move(Installation, InProgress)}},
		{"a phase ends", vpc(NetworkConfig, InProgress), by(ByMachine, NetworkConfig, Success), Accept, "", false, Running, "",
			[]Move{move(NetworkConfig, Success), implied(enter(StorageDiscovery, Waiting))}},
		{"a waiting phase ends at once", vpc(NetworkConfig, Waiting), by(ByMachine, NetworkConfig, Success), Accept, "", false, Running, "",
			[]Move{move(NetworkConfig, Success), implied(enter(StorageDiscovery, Waiting))}},
		{"the end of the install passes over what is not needed", vpc(PostInstall, InProgress), by(ByMachine, PostInstall, Success), Accept, "", false, Running, "",
			[]Move{move(PostInstall, Success), implied(enter(ClusterFormation, Skipped)), implied(enter(DNSRegistration, Waiting))}},
		{"a node of a cluster forms it", vpc(PostInstall, InProgress).skip(), by(ByMachine, PostInstall, Success), Accept, "", false, Running, "",
			[]Move{move(PostInstall, Success), implied(enter(ClusterFormation, Waiting))}},
		{"without a zone", vpc(PostInstall, InProgress).skip(ClusterFormation, DNSRegistration), by(ByMachine, PostInstall, Success), Accept, "", false, Running, "",
			[]Move{move(PostInstall, Success), implied(enter(ClusterFormation, Skipped)), implied(enter(DNSRegistration, Skipped)), implied(enter(HealthValidation, Waiting))}},
		{"deployed", vpc(HealthValidation, InProgress), by(ByWorkflow, HealthValidation, Success), Accept, "", false, Succeeded, "",
			[]Move{move(HealthValidation, Success), implied(enter(Deployed, Success))}},

		// Boots.
		{"the first boot request", vpc(MonitoringStart, InProgress), by(ByBoot, IPXEBoot, InProgress), Accept, "", false, Running, "",
			[]Move{implied(move(MonitoringStart, Success)), enter(IPXEBoot, InProgress)}},
		{"it boots before anybody looked", vpc(MonitoringStart, Waiting), by(ByBoot, IPXEBoot, InProgress), Accept, "", false, Running, "",
			[]Move{implied(move(MonitoringStart, Success)), enter(IPXEBoot, InProgress)}},
		{"it boots before the order's answer is stored", vpc(ServerRequested, InProgress), by(ByBoot, IPXEBoot, InProgress), Accept, "", false, Running, "",
			[]Move{implied(move(ServerRequested, Success)), implied(enter(MonitoringStart, Success)), enter(IPXEBoot, InProgress)}},
		{"it boots before it was admitted", vpc(Pending, Waiting), by(ByBoot, IPXEBoot, InProgress), Refuse, deploy.CodeIllegalJump, false, Queued, "", nil},
		{"the configuration is asked for", vpc(IPXEBoot, InProgress), by(ByBoot, ConfigDownload, InProgress), Accept, "", false, Running, "",
			[]Move{implied(move(IPXEBoot, Success)), enter(ConfigDownload, InProgress)}},
		{"the configuration without a boot", vpc(MonitoringStart, InProgress), by(ByBoot, ConfigDownload, InProgress), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},
		{"the next report acknowledges the configuration", vpc(ConfigDownload, InProgress), by(ByMachine, FoundationStart, InProgress), Accept, "", false, Running, "",
			[]Move{implied(move(ConfigDownload, Success)), enter(FoundationStart, InProgress)}},

		// Jumps.
		{"over skippable phases", vpc(FoundationStart, InProgress), by(ByMachine, ImageDownload, InProgress), Accept, "", false, Running, "",
			[]Move{implied(move(FoundationStart, Success)), implied(enter(NetworkConfig, Skipped)), implied(enter(StorageDiscovery, Skipped)), enter(ImageDownload, InProgress)}},
		{"over one that never began", vpc(NetworkConfig, Waiting), by(ByMachine, StorageDiscovery, Success), Accept, "", false, Running, "",
			[]Move{implied(move(NetworkConfig, Skipped)), enter(StorageDiscovery, Success), implied(enter(ImageDownload, Waiting))}},
		{"without a configuration", vpc(IPXEBoot, InProgress), by(ByMachine, FoundationStart, InProgress), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},
		{"without its being asked for", vpc(ConfigDownload, Waiting), by(ByMachine, FoundationStart, InProgress), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},
		{"from before the boot", vpc(ServerRequested, InProgress), by(ByMachine, Installation, InProgress), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},
		{"the workflow does not pass over the machine's phases", vpc(Installation, InProgress), by(ByWorkflow, DNSRegistration, Success), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},
		{"nor over ones that wait", vpc(FoundationStart, Waiting), by(ByWorkflow, HealthValidation, InProgress), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},
		{"nor over the last of them", vpc(PostInstall, InProgress), by(ByWorkflow, DNSRegistration, InProgress), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},
		{"the workflow over a needed phase", vpc(DNSRegistration, Waiting), by(ByWorkflow, HealthValidation, InProgress), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},

		// Late.
		{"an earlier phase", vpc(Installation, InProgress), by(ByMachine, NetworkConfig, Success), Refuse, deploy.CodeOutOfOrder, false, Running, "", nil},
		{"a failure of an earlier phase", vpc(Installation, InProgress), by(ByMachine, NetworkConfig, FailedRun), Refuse, deploy.CodeOutOfOrder, false, Running, "", nil},
		{"the order's answer comes late", vpc(IPXEBoot, InProgress), by(ByWorkflow, ServerRequested, Success), Step, "", true, Running, "", nil},
		{"a look at the server comes late", vpc(FoundationStart, InProgress), by(ByWorkflow, MonitoringStart, InProgress), Step, "", true, Running, "", nil},
		{"a boot script again, further on", vpc(ConfigDownload, InProgress), by(ByBoot, IPXEBoot, InProgress), Step, "", true, Running, "", nil},
		{"an operator too late", vpc(Installation, InProgress), by(ByOperator, NetworkConfig, Success), Refuse, deploy.CodeOutOfOrder, false, Running, "", nil},

		// Another's phase, and none at all.
		{"the machine reports the boot's phase", vpc(IPXEBoot, InProgress), by(ByMachine, ConfigDownload, Success), Step, "", false, Running, "", nil},
		{"the machine reports the workflow's phase", vpc(PostInstall, InProgress), by(ByMachine, HealthValidation, Success), Step, "", false, Running, "", nil},
		{"the machine reports the end", vpc(PostInstall, InProgress), by(ByMachine, Deployed, Success), Step, "", false, Running, "", nil},
		{"the boot service reports the machine's phase", vpc(ConfigDownload, InProgress), by(ByBoot, FoundationStart, Success), Step, "", false, Running, "", nil},
		{"the workflow reports the machine's phase", vpc(Installation, InProgress), by(ByWorkflow, Installation, Success), Step, "", false, Running, "", nil},
		{"an unknown key", vpc(Installation, InProgress), by(ByMachine, "raid_setup", Success), Step, "", false, Running, "", nil},
		{"an unknown key failed", vpc(Installation, InProgress), by(ByMachine, "raid_setup", FailedRun), Step, "", false, Running, "", nil},
		{"an unknown key from an operator", vpc(Installation, InProgress), by(ByOperator, "looked at it", InProgress), Step, "", false, Running, "", nil},
		{"no key", vpc(Installation, InProgress), by(ByMachine, "", InProgress), Step, "", false, Running, "", nil},
		{"a machine phase of another provider", vpc(RebootWait, InProgress).of(deploy.ProviderScript), by(ByMachine, Installation, Success), Step, "", false, Running, "", nil},
		{"a workflow phase of another provider", vpc(MonitoringStart, Waiting).of(deploy.ProviderRack), by(ByWorkflow, ServerRequested, Success), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},
		{"the workflow reports the end itself", vpc(HealthValidation, InProgress), by(ByWorkflow, Deployed, Success), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},
		{"the workflow reports a cancel as a phase", vpc(HealthValidation, InProgress), by(ByWorkflow, Canceled, Success), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},

		// Failures, from anywhere.
		{"its own phase", vpc(ImageDownload, InProgress), by(ByMachine, ImageDownload, FailedRun), Accept, "", false, StateFail, "", []Move{move(ImageDownload, FailedRun)}},
		{"a later phase", vpc(FoundationStart, InProgress), by(ByMachine, StorageDiscovery, FailedRun), Accept, "", false, StateFail, "",
			[]Move{implied(move(FoundationStart, Success)), implied(enter(NetworkConfig, Skipped)), enter(StorageDiscovery, FailedRun)}},
		{"a phase that may not be reached is placed at the open one", vpc(IPXEBoot, InProgress), by(ByMachine, Installation, FailedRun), Accept, "", false, StateFail, IPXEBoot, []Move{move(IPXEBoot, FailedRun)}},
		{"no phase in particular", vpc(Installation, InProgress), by(ByMachine, Failed, FailedRun), Accept, "", false, StateFail, Installation, []Move{move(Installation, FailedRun)}},
		{"no phase in particular, in progress", vpc(Installation, Waiting), by(ByMachine, Failed, InProgress), Accept, "", false, StateFail, Installation, []Move{move(Installation, FailedRun)}},
		{"from the queue", vpc(Pending, Waiting), by(ByWorkflow, Failed, FailedRun), Accept, "", false, StateFail, Pending, []Move{move(Pending, FailedRun)}},
		{"from the boot service", vpc(Installation, InProgress), by(ByBoot, Failed, FailedRun), Accept, "", false, StateFail, Installation, []Move{move(Installation, FailedRun)}},

		// After the end.
		{"succeeded", vpc(Deployed, Success).in(Succeeded), by(ByMachine, PostInstall, Success), Refuse, deploy.CodeDeploymentEnded, false, Succeeded, "", nil},
		{"failed", vpc(Installation, FailedRun).in(StateFail), by(ByMachine, Installation, Success), Refuse, deploy.CodeDeploymentEnded, false, StateFail, "", nil},
		{"failed again", vpc(Installation, FailedRun).in(StateFail), by(ByMachine, Failed, FailedRun), Refuse, deploy.CodeDeploymentEnded, false, StateFail, "", nil},
		{"an unknown key after the end", vpc(Installation, FailedRun).in(StateFail), by(ByMachine, "raid_setup", InProgress), Refuse, deploy.CodeDeploymentEnded, false, StateFail, "", nil},
		{"canceled", vpc(Installation, CanceledBy).in(StateStop), by(ByOperator, Installation, Success), Refuse, deploy.CodeDeploymentEnded, false, StateStop, "", nil},
		{"cleaned up", vpc(CleanupCompleted, Success).in(CleanedUp), by(ByWorkflow, Failed, FailedRun), Refuse, deploy.CodeDeploymentEnded, false, CleanedUp, "", nil},

		// While it is canceled or cleaned up.
		{"a phase goes on while canceling", vpc(Installation, InProgress).in(Canceling), by(ByMachine, Installation, InProgress), Accept, "", false, Canceling, "", []Move{move(Installation, InProgress)}},
		{"its end is the end", vpc(Installation, InProgress).in(Canceling), by(ByMachine, Installation, Success), Accept, "", false, StateStop, "", []Move{move(Installation, Success)}},
		{"so is that of the last phase", vpc(HealthValidation, InProgress).in(Canceling), by(ByWorkflow, HealthValidation, Success), Accept, "", false, StateStop, "", []Move{move(HealthValidation, Success)}},
		{"and a failure", vpc(Installation, InProgress).in(Canceling), by(ByMachine, Installation, FailedRun), Accept, "", false, StateStop, "", []Move{move(Installation, FailedRun)}},
		{"wherever", vpc(Installation, InProgress).in(Canceling), by(ByMachine, Failed, FailedRun), Accept, "", false, StateStop, Installation, []Move{move(Installation, FailedRun)}},
		{"a machine's phase during cleanup", vpc(Cleanup, InProgress).in(CleaningUp), by(ByMachine, Installation, InProgress), Refuse, deploy.CodeDeploymentEnded, false, CleaningUp, "", nil},
		{"a cleanup begins", vpc(Cleanup, Waiting).in(CleaningUp), by(ByWorkflow, Cleanup, InProgress), Accept, "", false, CleaningUp, "", []Move{move(Cleanup, InProgress)}},
		{"a cleanup is done", vpc(Cleanup, InProgress).in(CleaningUp), by(ByWorkflow, Cleanup, Success), Accept, "", false, CleanedUp, "",
			[]Move{move(Cleanup, Success), implied(enter(CleanupCompleted, Success))}},
		{"an operator cannot say that a cleanup is done", vpc(Cleanup, InProgress).in(CleaningUp), by(ByOperator, Cleanup, Success), Refuse, deploy.CodeIllegalJump, false, CleaningUp, "", nil},
		{"an operator gives a cleanup up", vpc(Cleanup, InProgress).in(CleaningUp), by(ByOperator, Cleanup, FailedRun), Accept, "", false, StateFail, Cleanup, []Move{move(Cleanup, FailedRun)}},
		{"the phase that a cancel waited for ends by the next", vpc(IPXEBoot, InProgress).in(Canceling), by(ByBoot, ConfigDownload, InProgress), Accept, "", false, StateStop, "",
			[]Move{implied(move(IPXEBoot, Success)), enter(ConfigDownload, CanceledBy)}},
		{"a late answer of the workflow during cleanup", vpc(Cleanup, InProgress).in(CleaningUp), by(ByWorkflow, ServerRequested, Success), Refuse, deploy.CodeDeploymentEnded, false, CleaningUp, "", nil},
		{"a boot during cleanup", vpc(Cleanup, InProgress).in(CleaningUp), by(ByBoot, IPXEBoot, InProgress), Refuse, deploy.CodeDeploymentEnded, false, CleaningUp, "", nil},
		{"a step of the workflow during cleanup", vpc(Cleanup, InProgress).in(CleaningUp), by(ByWorkflow, "looked", InProgress), Step, "", false, CleaningUp, "", nil},
		{"a machine's failure during cleanup", vpc(Cleanup, InProgress).in(CleaningUp), by(ByMachine, Failed, FailedRun), Refuse, deploy.CodeDeploymentEnded, false, CleaningUp, "", nil},
		{"a cleanup fails", vpc(Cleanup, InProgress).in(CleaningUp), by(ByWorkflow, Failed, FailedRun), Accept, "", false, StateFail, Cleanup, []Move{move(Cleanup, FailedRun)}},

		// An operator speaks for every owner.
		{"operator: the machine's phase", vpc(Installation, InProgress), by(ByOperator, Installation, Success), Accept, "", false, Running, "",
			[]Move{move(Installation, Success), implied(enter(PostInstall, Waiting))}},
		{"operator: the boot", vpc(MonitoringStart, InProgress), by(ByOperator, IPXEBoot, InProgress), Accept, "", false, Running, "",
			[]Move{implied(move(MonitoringStart, Success)), enter(IPXEBoot, InProgress)}},
		{"operator: over the machine's phases", vpc(FoundationStart, InProgress), by(ByOperator, DNSRegistration, InProgress), Accept, "", false, Running, "",
			[]Move{implied(move(FoundationStart, Success)), implied(enter(NetworkConfig, Skipped)), implied(enter(StorageDiscovery, Skipped)), implied(enter(ImageDownload, Skipped)),
				implied(enter(Installation, Skipped)), implied(enter(PostInstall, Skipped)), implied(enter(ClusterFormation, Skipped)), enter(DNSRegistration, InProgress)}},
		{"operator: not over one that may not be skipped", vpc(MonitoringStart, InProgress), by(ByOperator, Installation, InProgress), Refuse, deploy.CodeIllegalJump, false, Running, "", nil},
		{"operator: not out of the queue", vpc(Pending, Waiting), by(ByOperator, ServerRequested, InProgress), Refuse, deploy.CodeIllegalJump, false, Queued, "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := Decide(tc.facts, tc.report)
			at := tc.at
			if at == "" {
				at = tc.report.Phase
			}
			assert.Equal(t, tc.outcome, v.Outcome, v.Reason)
			assert.Equal(t, tc.code, v.Code, v.Reason)
			assert.Equal(t, tc.passed, v.AlreadyPassed)
			assert.Equal(t, tc.state, v.State)
			assert.Equal(t, at, v.At)
			assert.Equal(t, tc.moves, v.Moves)
			if v.Outcome == Refuse {
				assert.NotEmpty(t, v.Reason)
				assert.Equal(t, Acceptable(tc.facts, tc.report.As), v.Accepted)
			}
		})
	}
}

// each visits every situation a deployment can be in.
func each(visit func(f Facts, name string)) {
	for _, provider := range Providers() {
		for _, state := range States() {
			for _, open := range append(slices.Clone(sequences[provider]), Cleanup) {
				for _, status := range []Status{Waiting, InProgress, Success, FailedRun} {
					if Active(state) && (state == CleaningUp) != (open == Cleanup) {
						continue // cleanup is a phase of no other state, and that state's only one
					}
					if definitions[open].Terminal && status.Open() || Active(state) && !status.Open() {
						continue
					}
					for _, skip := range [][]Key{nil, {ClusterFormation}, {ClusterFormation, DNSRegistration}} {
						if slices.Contains(skip, open) {
							continue
						}
						visit(Facts{Provider: provider, State: state, Open: open, OpenStatus: status, Skip: skip},
							fmt.Sprintf("%s %s %s %s %v", provider, state, open, status, skip))
					}
				}
			}
		}
	}
}

var reporters = []Reporter{ByWorkflow, ByBoot, ByMachine, ByOperator}

func TestWhatIsListedIsAcceptedAndNothingElse(t *testing.T) {
	count := 0
	each(func(f Facts, name string) {
		for _, as := range reporters {
			listed := Acceptable(f, as)
			require.NotNil(t, listed, "the list goes on the wire: [] when empty")
			for _, d := range All() {
				for _, s := range []Status{InProgress, Success} {
					v := Decide(f, by(as, d.Key, s))
					if slices.Contains(listed, d.Key) != (v.Outcome == Accept) {
						t.Fatalf("%s: %s says %s %s: %s %s, listed %v", name, as, d.Key, s, v.Outcome, v.Reason, listed)
					}
					count++
				}
				if v := Decide(f, by(as, d.Key, FailedRun)); slices.Contains(listed, d.Key) && v.Outcome != Accept {
					t.Fatalf("%s: %s says %s failed: %s", name, as, d.Key, v.Outcome)
				}
			}
		}
	})
	require.Greater(t, count, 10_000)
}

// TestVerdictsAreWellFormed makes every verdict's moves and looks at where
// they lead.
func TestVerdictsAreWellFormed(t *testing.T) {
	each(func(f Facts, name string) {
		for _, as := range reporters {
			for _, d := range All() {
				for _, s := range []Status{InProgress, Success, FailedRun} {
					r := by(as, d.Key, s)
					v := Decide(f, r)
					if v.Outcome != Accept {
						if len(v.Moves) > 0 || v.State != f.State || (v.Outcome == Refuse) != (v.Code != "") {
							t.Fatalf("%s: %s says %s %s -> %+v", name, as, d.Key, s, v)
						}
						continue
					}
					makeMoves(t, f, r, v, fmt.Sprintf("%s: %s says %s %s -> %+v", name, as, d.Key, s, v))
				}
			}
		}
	})
}

func makeMoves(t *testing.T, f Facts, r Report, v Verdict, where string) {
	t.Helper()
	at, status, reported := index(f.Provider, f.Open), f.OpenStatus, 0
	for i, m := range v.Moves {
		if m.Enter {
			require.False(t, status.Open(), "%s: %s is entered while another is open", where, m.Phase)
			if f.Open == Cleanup {
				require.Equal(t, CleanupCompleted, m.Phase, where)
			} else {
				require.Equal(t, at+1, index(f.Provider, m.Phase), "%s: %s is not the next phase", where, m.Phase)
			}
			at++
		} else {
			require.Zero(t, i, "%s: only the first move is of the open phase", where)
			require.Equal(t, f.Open, m.Phase, where)
		}
		status = m.Status
		if m.Status == Skipped {
			require.True(t, definitions[m.Phase].MachineMaySkip || slices.Contains(f.Skip, m.Phase), "%s: %s may not be skipped", where, m.Phase)
			require.True(t, m.Implied, where)
		}
		if !m.Implied {
			reported++
			require.Equal(t, v.At, m.Phase, where)
		}
	}
	require.Equal(t, 1, reported, "%s: one move is the reported one", where)
	require.Equal(t, Active(v.State), status.Open(), "%s: open phase and state agree", where)
	require.Contains(t, after[f.State], v.State, "%s: no such transition of state", where)
	if v.State == Succeeded {
		require.Equal(t, Deployed, v.Moves[len(v.Moves)-1].Phase, where)
	}
	if r.Status == FailedRun {
		require.False(t, Active(v.State), where)
	}
}

// after is where a report may take a deployment, by the contract's states.
var after = map[State][]State{
	Queued:     {Queued, Running, StateFail, Succeeded},
	Running:    {Running, StateFail, Succeeded},
	Canceling:  {Canceling, StateStop},
	CleaningUp: {CleaningUp, StateFail, CleanedUp},
}

func TestTimeOut(t *testing.T) {
	each(func(f Facts, name string) {
		if !Active(f.State) {
			return
		}
		d := definitions[f.Open]
		for tries := 1; tries <= d.Retries+2; tries++ {
			v := TimeOut(f, tries)
			require.Equal(t, Accept, v.Outcome, name)
			require.Len(t, v.Moves, 1, name)
			m := v.Moves[0]
			require.Equal(t, f.Open, m.Phase)
			require.False(t, m.Enter)
			switch {
			case f.State == Canceling:
				require.Equal(t, StateStop, v.State, name)
				require.Equal(t, TimedOut, m.Status)
			case tries <= d.Retries:
				require.Equal(t, f.State, v.State, name)
				require.Equal(t, Waiting, m.Status)
			default:
				require.Equal(t, StateFail, v.State, name)
				require.Equal(t, TimedOut, m.Status)
			}
		}
	})
}
