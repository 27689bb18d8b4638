package phase

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
)

// TestTheTable holds the table against the published one.
func TestTheTable(t *testing.T) {
	const m, h = time.Minute, time.Hour
	type row struct {
		key      Key
		ordinal  int
		owner    Owner
		maySkip  bool
		repeat   bool
		deadline time.Duration
		retries  int
		weight   float64
	}
	want := []row{
		{Pending, 1, OwnerWorkflow, false, false, 24 * h, 0, 0},
		{ServerRequested, 2, OwnerWorkflow, false, true, 15 * m, 2, 2},
		{MonitoringStart, 3, OwnerWorkflow, false, true, 60 * m, 0, 20},
		{IPXEBoot, 4, OwnerBoot, false, true, 15 * m, 0, 3},
		{ConfigDownload, 5, OwnerBoot, false, true, 10 * m, 0, 2},
		{FoundationStart, 6, OwnerMachine, true, true, 10 * m, 0, 3},
		{NetworkConfig, 7, OwnerMachine, true, true, 5 * m, 0, 3},
		{StorageDiscovery, 8, OwnerMachine, true, true, 10 * m, 0, 3},
		{ImageDownload, 9, OwnerMachine, true, true, 45 * m, 0, 16},
		{Installation, 10, OwnerMachine, true, true, 60 * m, 0, 26},
		{PostInstall, 11, OwnerMachine, true, true, 15 * m, 0, 6},
		{ClusterFormation, 12, OwnerWorkflow, false, true, 30 * m, 0, 8},
		{DNSRegistration, 13, OwnerWorkflow, false, true, 10 * m, 3, 2},
		{HealthValidation, 14, OwnerWorkflow, false, true, 20 * m, 0, 6},
		{Deployed, 15, OwnerWorkflow, false, false, 0, 0, 0},
	}
	got := Catalogue(deploy.ProviderIBMVPC)
	require.Len(t, got, len(want))
	for i, w := range want {
		d := got[i]
		assert.Equal(t, w, row{d.Key, d.Ordinal, d.Owner, d.MachineMaySkip, d.Repeatable, d.Deadline, d.Retries, d.Weight})
	}
	keys := func(provider string) (out []Key) {
		for _, d := range Catalogue(provider) {
			out = append(out, d.Key)
		}
		return out
	}
	vpc := keys(deploy.ProviderIBMVPC)
	assert.Equal(t, slices.DeleteFunc(slices.Clone(vpc), func(k Key) bool { return k == ServerRequested }), keys(deploy.ProviderRack))
	assert.Equal(t, []Key{Pending, ConfigStored, ScriptStarted, RebootWait, SSHPolling, HealthValidation, Deployed}, keys(deploy.ProviderScript))
	for k, d := range map[Key]time.Duration{ConfigStored: 2 * m, ScriptStarted: 60 * m, SSHPolling: 15 * m, Cleanup: 60 * m} {
		assert.Equal(t, d, definitions[k].Deadline, k)
	}
	assert.GreaterOrEqual(t, definitions[RebootWait].Deadline, 90*time.Second, "the wait itself must fit")
	assert.Equal(t, 3, definitions[Cleanup].Retries)
	assert.Nil(t, Catalogue("abacus"))
}

func TestEveryPhase(t *testing.T) {
	for _, d := range All() {
		assert.NotEmpty(t, d.Label, d.Key)
		assert.NotEmpty(t, d.Description, d.Key)
		assert.Equal(t, !d.Terminal, d.Deadline > 0, "%s: every phase but a terminal one has a deadline", d.Key)
		assert.GreaterOrEqual(t, d.Weight, 0.0, d.Key)
		assert.Equal(t, d.Owner == OwnerMachine, d.MachineMaySkip, "%s: the machine passes over its own phases only", d.Key)
		got, ok := Lookup(d.Key)
		assert.True(t, ok)
		assert.Equal(t, d, got)
	}
	_, ok := Lookup("raid_setup")
	assert.False(t, ok)
	all := All()
	assert.True(t, slices.IsSortedFunc(all, func(a, b Definition) int { return a.Ordinal - b.Ordinal }))
	for _, provider := range Providers() {
		table := Catalogue(provider)
		assert.Equal(t, First(provider), table[0].Key)
		assert.Equal(t, Pending, table[0].Key)
		assert.Equal(t, Deployed, table[len(table)-1].Key)
		sum := 0.0
		for i, d := range table {
			sum += d.Weight
			assert.Equal(t, i == len(table)-1, d.Terminal, "%s: %s", provider, d.Key)
			if i > 0 {
				assert.Greater(t, d.Ordinal, table[i-1].Ordinal, "%s: ordinals are unique and in order at %s", provider, d.Key)
			}
		}
		if provider == deploy.ProviderIBMVPC {
			assert.Equal(t, 100.0, sum)
		}
		assert.Positive(t, sum)
	}
}

func TestProgressIsMonotone(t *testing.T) {
	typical := map[Key]float64{MonitoringStart: 1440, Installation: 2000, ImageDownload: 600}
	for _, provider := range Providers() {
		for _, weights := range []map[Key]float64{nil, typical} {
			for _, skip := range [][]Key{nil, {ClusterFormation}, {ClusterFormation, DNSRegistration}} {
				last := -1.0
				for _, d := range Catalogue(provider) {
					if slices.Contains(skip, d.Key) {
						continue
					}
					for _, share := range []float64{-1, 0, 0.25, 0.5, 1, 7} {
						p := Progress(Facts{Provider: provider, State: Running, Open: d.Key, Skip: skip}, share, weights)
						assert.GreaterOrEqual(t, p, last, "%s at %s, share %v", provider, d.Key, share)
						assert.LessOrEqual(t, p, 1.0)
						last = p
					}
				}
				assert.Equal(t, 1.0, Progress(Facts{Provider: provider, State: Succeeded, Open: Deployed, Skip: skip}, 0, weights), "a finished node shows 100")
			}
		}
	}
	f := Facts{Provider: deploy.ProviderIBMVPC, State: Running, Open: Installation, OpenStatus: InProgress}
	assert.InDelta(t, 0.52, Progress(f, 0, nil), 1e-9)
	assert.InDelta(t, 0.65, Progress(f, 0.5, nil), 1e-9)
	assert.Zero(t, Progress(Facts{Provider: "abacus", State: Running, Open: Installation}, 1, nil))
}

func TestDecideBoot(t *testing.T) {
	run := func(open Key, reboots int) BootFacts {
		return BootFacts{Provider: deploy.ProviderIBMVPC, State: Running, Open: open, Reboots: reboots}
	}
	rack := func(f BootFacts) BootFacts { f.Provider = deploy.ProviderRack; return f }
	in := func(s State, open Key) BootFacts {
		return BootFacts{Provider: deploy.ProviderIBMVPC, State: s, Open: open}
	}
	for _, tc := range []struct {
		name     string
		f        BootFacts
		vpc      BootDecision
		rackSays BootDecision
	}{
		{"queued", in(Queued, Pending), BootWait, BootWait},
		{"waited for", run(MonitoringStart, 0), BootInstall, BootInstall},
		{"the script again", run(IPXEBoot, 0), BootAgain, BootAgain},
		{"the script again in the last attempt", run(IPXEBoot, 2), BootAgain, BootAgain},
		{"in the middle", run(ConfigDownload, 0), BootAttempt, BootAttempt},
		{"in the middle again", run(Installation, 1), BootAttempt, BootAttempt},
		{"in the middle a third time", run(Installation, 2), BootFail, BootFail},
		{"before post-install has ended", run(PostInstall, 0), BootAttempt, BootAttempt},
		{"after it", run(DNSRegistration, 0), BootStop, BootDisk},
		{"after it, whatever happened before", run(HealthValidation, 9), BootStop, BootDisk},
		{"forming the cluster", run(ClusterFormation, 0), BootStop, BootDisk},
		{"deployed", in(Succeeded, Deployed), BootStop, BootDisk},
		{"failed in the middle", in(StateFail, Installation), BootStop, BootDisk},
		{"being canceled", in(Canceling, Installation), BootStop, BootDisk},
		{"canceled", in(StateStop, Installation), BootStop, BootDisk},
		{"being cleaned up", in(CleaningUp, Cleanup), BootStop, BootDisk},
		{"cleaned up", in(CleanedUp, CleanupCompleted), BootStop, BootDisk},
		{"never deployed", in("", ""), BootStop, BootStop},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.vpc, DecideBoot(tc.f))
			assert.Equal(t, tc.rackSays, DecideBoot(rack(tc.f)))
		})
	}
	assert.Equal(t, BootInstall, DecideBoot(run(ServerRequested, 0)), "it may boot before the order's answer is stored")
	assert.Equal(t, BootStop, DecideBoot(rack(run(ServerRequested, 0))), "a rack has no such phase")
	each(func(f Facts, name string) {
		d := DecideBoot(BootFacts{Provider: f.Provider, State: f.State, Open: f.Open})
		installs := d == BootInstall || d == BootAgain || d == BootAttempt
		assert.False(t, installs && (f.State != Running || f.Provider == deploy.ProviderScript), "%s: a machine with nothing to install is never installed", name)
	})
}

func TestParseStatus(t *testing.T) {
	for want, words := range map[Status]string{
		InProgress: "in_progress started starting running",
		Success:    "success completed complete ok succeeded done",
		FailedRun:  "failed error failure",
	} {
		for _, w := range strings.Fields(words) {
			for _, spelled := range []string{w, strings.ToUpper(w), "  " + w + "\n"} {
				got, ok := ParseStatus(spelled)
				assert.True(t, ok, spelled)
				assert.Equal(t, want, got, spelled)
			}
		}
	}
	for _, w := range []string{"", "waiting", "skipped", "timed_out", "canceled", "in progress", "успех", "ok!"} {
		_, ok := ParseStatus(w)
		assert.False(t, ok, "%q cannot be sent", w)
	}
	assert.True(t, Waiting.Open() && InProgress.Open())
	for _, s := range []Status{Success, FailedRun, TimedOut, Skipped, CanceledBy} {
		assert.False(t, s.Open(), s)
	}
}

func FuzzParseStatus(f *testing.F) {
	for _, s := range []string{"ok", " Done ", "FAILED", "", "\x00", "in_progress\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseStatus(s)
		if ok != (got == InProgress || got == Success || got == FailedRun) {
			t.Fatalf("%q: %q, %v", s, got, ok)
		}
		if again, same := ParseStatus(string(got)); ok && (!same || again != got) {
			t.Fatalf("%q reads as %q, which reads as %q", s, got, again)
		}
	})
}
