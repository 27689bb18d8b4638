package phase

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
)

func TestRetry(t *testing.T) {
	for _, tc := range []struct {
		name, provider string
		failed         Key
		code           string
		from           Key
		start          Key
		bad            deploy.Code
	}{
		{"the order", deploy.ProviderIBMVPC, ServerRequested, "quota_exceeded", "", ServerRequested, ""},
		{"it never booted", deploy.ProviderIBMVPC, MonitoringStart, CodeDeadlinePassed, "", MonitoringStart, ""},
		{"the provider gave the server up", deploy.ProviderIBMVPC, MonitoringStart, "upstream_unavailable", "", ServerRequested, ""},
		{"a rack orders nothing", deploy.ProviderRack, MonitoringStart, "upstream_unavailable", "", MonitoringStart, ""},
		{"the same, but it was asked for", deploy.ProviderIBMVPC, MonitoringStart, "upstream_unavailable", MonitoringStart, MonitoringStart, ""},
		{"the boot", deploy.ProviderIBMVPC, IPXEBoot, CodeDeadlinePassed, "", MonitoringStart, ""},
		{"the machine must boot again", deploy.ProviderIBMVPC, Installation, "reported_failure", "", MonitoringStart, ""},
		{"an earlier machine phase is the same boot", deploy.ProviderIBMVPC, Installation, "reported_failure", NetworkConfig, MonitoringStart, ""},
		{"from the order", deploy.ProviderIBMVPC, Installation, "reported_failure", ServerRequested, ServerRequested, ""},
		{"names", deploy.ProviderIBMVPC, DNSRegistration, CodeDeadlinePassed, "", DNSRegistration, ""},
		{"health", deploy.ProviderIBMVPC, HealthValidation, "auth_failed", "", HealthValidation, ""},
		{"health, from the install", deploy.ProviderIBMVPC, HealthValidation, "auth_failed", Installation, MonitoringStart, ""},
		{"the queue", deploy.ProviderIBMVPC, Pending, CodeDeadlinePassed, "", Pending, ""},
		{"later than the failure", deploy.ProviderIBMVPC, NetworkConfig, "", HealthValidation, "", deploy.CodeOutOfRange},
		{"another provider's phase", deploy.ProviderRack, Installation, "", ServerRequested, "", deploy.CodeInvalid},
		{"an unknown phase", deploy.ProviderIBMVPC, Installation, "", "raid", "", deploy.CodeInvalid},
		{"the end", deploy.ProviderIBMVPC, HealthValidation, "", Deployed, "", deploy.CodeOutOfRange},
		{"a cleanup", deploy.ProviderIBMVPC, Cleanup, "", "", "", deploy.CodeWrongState},
		{"no phase", deploy.ProviderIBMVPC, "", "", "", "", deploy.CodeWrongState},
		{"the script", deploy.ProviderScript, SSHPolling, CodeDeadlinePassed, "", SSHPolling, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start, err := Retry(tc.provider, tc.failed, tc.code, tc.from)
			if tc.bad != "" {
				require.NotNil(t, err)
				assert.Equal(t, tc.bad, err.Code)
				return
			}
			require.Nil(t, err)
			assert.Equal(t, tc.start, start)
		})
	}
}

func TestCancel(t *testing.T) {
	for _, tc := range []struct {
		name      string
		facts     Facts
		immediate bool
		state     State
		moves     []Move
		bad       deploy.Code
	}{
		{"in the queue", vpc(Pending, Waiting), false, StateStop, []Move{move(Pending, CanceledBy)}, ""},
		{"between two phases", vpc(NetworkConfig, Waiting), false, StateStop, []Move{move(NetworkConfig, CanceledBy)}, ""},
		{"while a boot is awaited", vpc(MonitoringStart, InProgress), false, StateStop, []Move{move(MonitoringStart, CanceledBy)}, ""},
		{"in a phase", vpc(Installation, InProgress), false, Canceling, nil, ""},
		{"in a phase, now", vpc(Installation, InProgress), true, StateStop, []Move{move(Installation, CanceledBy)}, ""},
		{"again", vpc(Installation, InProgress).in(Canceling), false, Canceling, nil, ""},
		{"again, now", vpc(Installation, InProgress).in(Canceling), true, StateStop, []Move{move(Installation, CanceledBy)}, ""},
		{"in a cleanup", vpc(Cleanup, InProgress).in(CleaningUp), true, "", nil, deploy.CodeWrongState},
		{"after the end", vpc(Deployed, Success).in(Succeeded), true, "", nil, deploy.CodeDeploymentEnded},
		{"after a failure", vpc(Installation, FailedRun).in(StateFail), false, "", nil, deploy.CodeDeploymentEnded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := Cancel(tc.facts, tc.immediate)
			if tc.bad != "" {
				require.NotNil(t, err)
				assert.Equal(t, tc.bad, err.Code)
				return
			}
			require.Nil(t, err)
			assert.Equal(t, tc.state, v.State)
			assert.Equal(t, tc.moves, v.Moves)
		})
	}
}

func TestAllowedActions(t *testing.T) {
	vpcFacts := func(s State, failed Key) ActionFacts {
		return ActionFacts{Provider: deploy.ProviderIBMVPC, State: s, FailurePhase: failed, Current: true}
	}
	host := func(s State, open Key, class string, failed Key) ActionFacts {
		f := ActionFacts{Provider: deploy.ProviderScript, State: s, Open: open, ProbeClass: class, Current: true}
		if failed != "" {
			f.FailurePhase, f.FailureCode = failed, class
		}
		return f
	}
	held := func(f ActionFacts) ActionFacts { f.Protected = true; return f }
	old := func(f ActionFacts) ActionFacts { f.Current = false; return f }
	for _, tc := range []struct {
		name  string
		facts ActionFacts
		want  []Action
	}{
		{"queued", vpcFacts(Queued, ""), []Action{ActionCancel}},
		{"running", vpcFacts(Running, ""), []Action{ActionCancel}},
		{"canceling", vpcFacts(Canceling, ""), []Action{ActionCancel}},
		{"failed at the install", vpcFacts(StateFail, Installation), []Action{ActionRetry, ActionRetryFrom, ActionCleanup, ActionReinitialize}},
		{"failed in the queue", vpcFacts(StateFail, Pending), []Action{ActionRetry, ActionCleanup, ActionReinitialize}},
		{"its cleanup failed", vpcFacts(StateFail, Cleanup), []Action{ActionCleanup}},
		{"deployed", vpcFacts(Succeeded, ""), []Action{ActionCleanup, ActionReinitialize}},
		{"deployed and held", held(vpcFacts(Succeeded, "")), []Action{}},
		{"failed and held: a retry would install it anew", held(vpcFacts(StateFail, Installation)), []Action{}},
		{"failed after its install, and held", held(vpcFacts(StateFail, HealthValidation)), []Action{ActionRetry}},
		{"canceled", vpcFacts(StateStop, ""), []Action{ActionCleanup, ActionReinitialize}},
		{"cleaning up", vpcFacts(CleaningUp, ""), []Action{}},
		{"cleaned up", vpcFacts(CleanedUp, ""), []Action{}},
		{"not the node's own any more", old(vpcFacts(StateFail, Installation)), []Action{}},
		{"the script runs", host(Running, ScriptStarted, "", ""), []Action{ActionCancel}},
		{"the host restarts", host(Running, RebootWait, "", ""), []Action{ActionCancel, ActionSkipPolling, ActionProbeNow}},
		{"the host is asked", host(Running, SSHPolling, "refused", ""), []Action{ActionCancel, ActionSkipPolling, ActionProbeNow}},
		{"the host is asked once more", host(Running, HealthValidation, "ok", ""), []Action{ActionCancel, ActionSkipPolling, ActionProbeNow}},
		{"the host shows another key", host(Running, SSHPolling, CodeWrongHost, ""), []Action{ActionCancel, ActionSkipPolling, ActionProbeNow, ActionAcceptHostKey}},
		{"the key is of another provider's host", ActionFacts{Provider: deploy.ProviderIBMVPC, State: Running, Open: HealthValidation, ProbeClass: CodeWrongHost, Current: true}, []Action{ActionCancel}},
		{"canceling while it is asked", host(Canceling, SSHPolling, "refused", ""), []Action{ActionCancel}},
		{"failed, for the key is another one", host(StateFail, Failed, CodeWrongHost, SSHPolling), []Action{ActionAcceptHostKey, ActionRetry, ActionRetryFrom, ActionCleanup}},
		{"failed for another reason", host(StateFail, Failed, "refused", SSHPolling), []Action{ActionRetry, ActionRetryFrom, ActionCleanup}},
		{"failed with the key, and held: nothing is installed anew", held(host(StateFail, Failed, CodeWrongHost, SSHPolling)), []Action{ActionAcceptHostKey, ActionRetry}},
		{"an old one failed with the key", old(host(StateFail, Failed, CodeWrongHost, SSHPolling)), []Action{}},
		{"the host is back", host(Succeeded, Deployed, "ok", ""), []Action{ActionCleanup}},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, AllowedActions(tc.facts)) })
	}
}

func TestRetryFromListsWhatIsAccepted(t *testing.T) {
	assert.Equal(t, []Key{ServerRequested, MonitoringStart, IPXEBoot, ConfigDownload, FoundationStart, NetworkConfig}, RetryFrom(deploy.ProviderIBMVPC, NetworkConfig))
	assert.Empty(t, RetryFrom(deploy.ProviderIBMVPC, Cleanup))
	assert.NotContains(t, RetryFrom(deploy.ProviderIBMVPC, HealthValidation, ClusterFormation), ClusterFormation)
	_, err := Retry(deploy.ProviderIBMVPC, HealthValidation, "", ClusterFormation, ClusterFormation)
	require.NotNil(t, err)
	assert.Equal(t, deploy.CodeInvalid, err.Code)
}

func TestProgressOfACleanup(t *testing.T) {
	f := vpc(Cleanup, InProgress).in(CleaningUp)
	assert.InDelta(t, 0.4, Progress(f, 0.4, nil), 1e-9)
	assert.InDelta(t, 1, Progress(vpc(CleanupCompleted, Success).in(CleanedUp), 0, nil), 1e-9)
}
