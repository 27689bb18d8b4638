package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script"
)

// The program is the supervisor that the host of the deployment script starts:
// its arguments are understood, its signals are not for the script.
func TestRunScript(t *testing.T) {
	t.Setenv(asSlipway, "1")
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".scripts"), 0o750))
	body := "echo run $SLIPWAY_RUN_ID in $PWD; trap 'exit 4' TERM; while :; do sleep 0.05; done\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".scripts/deployment_service.sh"), []byte(body), 0o600))
	host, err := script.NewHost(script.Config{WorkDir: dir, Program: []string{os.Args[0]}, PassEnv: []string{asSlipway}})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), showLimit)
	defer cancel()
	run := deploy.RunKey{ID: 3, Identity: deploy.NewRunIdentity()}
	require.NoError(t, host.Write(ctx, deploy.ScriptRun{RunKey: run, Documents: []deploy.HostDocument{{NodeID: 1, NodeName: "n", File: "node_01.json", Body: []byte("{}")}}}))
	p, err := host.Start(ctx, run)
	require.NoError(t, err)
	require.Equal(t, deploy.ProcessRunning, p.State)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	until := func(is func() bool) {
		t.Helper()
		for !is() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatal("waited in vain")
			}
		}
	}
	until(func() bool {
		text, _, err := host.Log(ctx, run, 0, 1000)
		require.NoError(t, err)
		return string(text) == "run 3 in "+dir+"\n"
	})
	require.NoError(t, host.Stop(ctx, run, false))
	until(func() bool {
		p, err = host.Look(ctx, run)
		require.NoError(t, err)
		return p.State == deploy.ProcessEnded
	})
	require.Equal(t, 4, p.ExitCode, "%+v", p)
	// Its supervisor may still be writing what it leaves behind.
	until(func() bool { return os.RemoveAll(dir) == nil })
}

func TestRunScriptIsNotForPeople(t *testing.T) {
	t.Setenv(asSlipway, "1")
	out, err := exec.Command(os.Args[0], "--help").CombinedOutput()
	require.NoError(t, err)
	require.NotContains(t, string(out), "run-script")
	for _, args := range [][]string{{"run-script"}, {"run-script", "--work-dir=/nowhere", "--run=0"}, {"run-script", "--work-dir=relative", "--run=1"}} {
		var ended *exec.ExitError
		out, err := exec.Command(os.Args[0], args...).CombinedOutput()
		require.ErrorAs(t, err, &ended, "%s", out)
		require.Equal(t, exitUsage, ended.ExitCode(), "%s", out)
	}
}
