package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/provider/ibmvpc"
)

func TestSpans(t *testing.T) {
	for text, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "0": 0, "0d": 0, "36h": 36 * time.Hour, "1m30s": 90 * time.Second} {
		var s span
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, time.Duration(s), text)
	}
	for _, text := range []string{"", "d", "-1d", "1.5d", "-3h", "90", "forever", "99999999d"} {
		require.Error(t, new(span).UnmarshalText([]byte(text)), text)
	}
}

func TestRetentionFlags(t *testing.T) {
	read := func(args ...string) retentionFlags {
		var f retentionFlags
		p, err := kong.New(&f)
		require.NoError(t, err)
		_, err = p.Parse(args)
		require.NoError(t, err)
		return f
	}
	require.Equal(t, retentionFlags{KeepEvents: span(90 * 24 * time.Hour)}, read())
	require.Equal(t, retentionFlags{KeepEvents: span(7 * 24 * time.Hour), ArchiveDir: "/var/archive"}, read("--keep-events", "7d", "--archive-dir=/var/archive"))
	require.Equal(t, retentionFlags{DropEvents: true}, read("--keep-events=0", "--drop-events"))
}

func TestDeadlineOverrides(t *testing.T) {
	f := installFlags{Deadline: map[string]string{"installation": "2h", "bx2d-metal-96x384/installation": "3h", "a/b/image_download": "1m"}}
	d, err := f.deadlines()
	require.NoError(t, err)
	of := func(profile, key string) time.Duration {
		def, ok := phase.Lookup(key)
		require.True(t, ok)
		return d.of(deploy.ProviderIBMVPC, profile, def)
	}
	require.Equal(t, 3*time.Hour, of("bx2d-metal-96x384", phase.Installation), "the profile's own")
	d.allow(phase.Installation, 5*time.Hour)
	d.allow(phase.RebootWait, time.Minute)
	d.allow(phase.SSHPolling, time.Hour)
	require.Equal(t, 5*time.Minute, of("other", phase.RebootWait), "the table has more")
	require.Equal(t, time.Hour, of("other", phase.SSHPolling))
	require.Equal(t, 2*time.Hour, of("other", phase.Installation), "that of all profiles")
	require.Equal(t, time.Minute, of("a/b", phase.ImageDownload), "a profile's name may have a slash")
	require.Equal(t, 45*time.Minute, of("other", phase.ImageDownload), "the table's")
	for _, bad := range []string{"lunch", "deployed", "p/lunch", "/installation", ""} {
		_, err := installFlags{Deadline: map[string]string{bad: "2h"}}.deadlines()
		require.Error(t, err, bad)
	}
	for _, bad := range []string{"", "2", "1ms", "-2h"} {
		_, err := installFlags{Deadline: map[string]string{"installation": bad}}.deadlines()
		require.Error(t, err, bad)
	}
}

// wired is a whole Slipway without machines, that can be stopped and started.
type wired struct {
	*app
	t *testing.T
}

func wire(t *testing.T, cfg appConfig) *wired {
	t.Helper()
	deadlines := cfg.Install.Deadline
	p, err := kong.New(&cfg.Install)
	require.NoError(t, err)
	_, err = p.Parse(nil) // the defaults
	require.NoError(t, err)
	cfg.Install.Deadline = deadlines
	cfg.Listen, cfg.Logger, cfg.IBM = "127.0.0.1:0", slog.New(slog.DiscardHandler), ibmvpc.Config{}
	a, err := startApp(t.Context(), cfg)
	require.NoError(t, err)
	return &wired{a, t}
}

func (w *wired) stop() { require.NoError(w.t, w.Stop()) }

// install deploys a rack machine and brings it to its installation.
func (w *wired) install(name string, i int) lifecycle.Deployed {
	w.t.Helper()
	d, err := w.Writer.Deploy(w.t.Context(), lifecycle.NewDeployment{Name: name, Actor: deploy.System,
		Spec: deploy.Spec{Provider: deploy.ProviderRack, MAC: fmt.Sprintf("02:00:00:00:02:%02x", i), ManagementIP: fmt.Sprintf("127.64.2.%d", i)}})
	require.NoError(w.t, err)
	require.Eventually(w.t, func() bool {
		var at string
		require.NoError(w.t, w.Store.Read.QueryRow(`SELECT phase FROM deployments WHERE id = $1`, d.DeploymentID).Scan(&at))
		return at == phase.MonitoringStart
	}, 2*time.Minute, 10*time.Millisecond, "a slot is free")
	_, err = w.Writer.Boot(w.t.Context(), lifecycle.BootRequest{DeploymentID: d.DeploymentID, Remote: "127.64.2.1"})
	require.NoError(w.t, err)
	_, err = w.Writer.ConfigServed(w.t.Context(), d.DeploymentID, 1, "127.64.2.1")
	require.NoError(w.t, err)
	w.say(d, phase.Installation, phase.InProgress)
	return d
}

func (w *wired) say(d lifecycle.Deployed, key string, s phase.Status) {
	w.t.Helper()
	_, err := w.Writer.Report(w.t.Context(), lifecycle.Report{DeploymentID: d.DeploymentID, Phase: key, Status: s, As: phase.ByMachine, Source: deploy.SourceInstallerScript})
	require.NoError(w.t, err)
}

func (w *wired) deadline(d lifecycle.Deployed) (at time.Time) {
	w.t.Helper()
	require.NoError(w.t, w.Store.Read.QueryRow(`SELECT deadline_at FROM phase_runs WHERE deployment_id = $1 AND finished_at IS NULL`, d.DeploymentID).Scan(&at))
	return at
}

// query asks the API.
func (w *wired) query(doc string) map[string]any {
	w.t.Helper()
	token, _, err := w.Access.CreateToken(w.t.Context(), access.NewToken{Name: "t", Role: access.RoleViewer, CreatedBy: "test"})
	require.NoError(w.t, err)
	body, err := json.Marshal(map[string]string{"query": doc})
	require.NoError(w.t, err)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.URL+"/graphql", bytes.NewReader(body))
	require.NoError(w.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	var out struct{ Data map[string]any }
	require.NoError(w.t, json.Unmarshal(raw, &out), "%s", raw)
	return out.Data
}

// TestOurOwnDowntimeIsGivenToMachines stops a whole Slipway, says that this was
// an hour ago, and starts it again.
func TestOurOwnDowntimeIsGivenToMachines(t *testing.T) {
	cfg := appConfig{Data: dataFlags{DataDir: t.TempDir()}, Install: installFlags{Deadline: map[string]string{"installation": "2h", "p/installation": "5h"}}}
	w := wire(t, cfg)
	d := w.install("web-01", 1)
	before := w.deadline(d)
	require.WithinDuration(t, time.Now().Add(2*time.Hour), before, 5*time.Minute, "the override")
	held := w.install("web-02", 2)
	var version int
	require.NoError(t, w.Store.Read.QueryRow(`SELECT version FROM deployments WHERE id = $1`, held.DeploymentID).Scan(&version))
	require.NoError(t, w.Writer.SetMaintenance(t.Context(), lifecycle.MaintenanceChange{DeploymentID: held.DeploymentID, On: true, ExpectedVersion: version, Actor: deploy.System}))
	stands := w.deadline(held)
	w.stop()

	st, err := store.Open(t.Context(), cfg.Data.database(), store.Options{})
	require.NoError(t, err)
	_, err = st.Write.Exec(`UPDATE phase_runs SET deadline_at = $1 WHERE deployment_id = $2 AND finished_at IS NULL`, time.Now().UTC().Add(-time.Minute), d.DeploymentID)
	require.NoError(t, err)
	_, err = st.Write.Exec(`UPDATE replicas SET heartbeat_at = $1`, time.Now().UTC().Add(-time.Hour))
	require.NoError(t, err)
	require.NoError(t, st.Close())

	w = wire(t, cfg)
	defer w.stop()
	require.Eventually(t, func() bool { return w.deadline(d).After(time.Now()) }, 2*time.Minute, 10*time.Millisecond, "the deadline passed while nobody was there")
	require.WithinDuration(t, time.Now().Add(time.Hour), w.deadline(d), 5*time.Minute, "an hour, and the machines' longest back-off")
	require.True(t, stands.Equal(w.deadline(held)), "a clock that stands is not moved twice")
	var state string
	require.NoError(t, w.Store.Read.QueryRow(`SELECT state FROM deployments WHERE id = $1`, d.DeploymentID).Scan(&state))
	require.Equal(t, phase.Running, state)
}

// TestTheKeepersAreWired: statistics are computed, and old events removed, by
// the parts of a running Slipway.
func TestTheKeepersAreWired(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	cfg := appConfig{Data: dataFlags{DataDir: t.TempDir()}}
	w := wire(t, cfg)
	require.Nil(t, w.query(`{serverInfo{streamRetention}}`)["serverInfo"].(map[string]any)["streamRetention"], "without a policy events are kept for ever")
	for i := range 5 {
		d := w.install(fmt.Sprintf("web-%d", i), i+1)
		w.say(d, phase.PostInstall, phase.InProgress)
		w.say(d, phase.Failed, phase.FailedRun)
	}
	w.stop()
	// Four weeks later.
	cfg.Now = func() time.Time { return time.Now().Add(29 * 24 * time.Hour) }
	cfg.Retention = retentionFlags{KeepEvents: span(7 * 24 * time.Hour), ArchiveDir: dir}
	w = wire(t, cfg)
	defer w.stop()
	require.Eventually(t, func() bool {
		var events, rows int
		require.NoError(t, w.Store.Read.QueryRow(`SELECT (SELECT COUNT(*) FROM deployment_history), (SELECT COUNT(*) FROM phase_stats WHERE phase = 'installation' AND samples = 5)`).Scan(&events, &rows))
		return events == 0 && rows == 2
	}, 2*time.Minute, 10*time.Millisecond)
	files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	got := w.query(`{serverInfo{streamRetention} phaseCatalog(provider:RACK){key typicalDuration}}`)
	require.InDelta(t, (7 * 24 * time.Hour).Milliseconds(), got["serverInfo"].(map[string]any)["streamRetention"], 0)
	known := false
	for _, p := range got["phaseCatalog"].([]any) {
		one := p.(map[string]any)
		known = known || one["key"] == phase.Installation && one["typicalDuration"] != nil
	}
	require.True(t, known)
}
