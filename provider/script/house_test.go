package script_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/script"
	"github.com/slipwayhq/slipway/provider/script/workdir"
)

// patience is for what other processes do.
const patience = 2 * time.Minute

// house is a work directory with a script in it.
type house struct {
	t      *testing.T
	dir    string
	log    safeBuffer     // Slipway's
	ending map[int64]bool // runs that are ended with the test
}

// newHouse makes a work directory whose script has the body.
func newHouse(t *testing.T, body string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	h.script(body)
	return h
}

func (h *house) script(body string) {
	h.t.Helper()
	require.NoError(h.t, os.MkdirAll(h.path(".scripts"), 0o750))
	require.NoError(h.t, os.WriteFile(h.scriptPath(), []byte("#!/bin/bash\n"+body+"\n"), 0o640))
}

func (h *house) path(name string) string { return filepath.Join(h.dir, name) }
func (h *house) scriptPath() string      { return h.path(".scripts/deployment_service.sh") }
func (h *house) markerPath() string {
	return h.path(".markers/deplyment_status/deployment_in_progress")
}
func (h *house) node(name string) string { return filepath.Join(h.dir, "cluster/nodes", name) }

// host is as a process has it after its start.
func (h *house) host(change ...func(*script.Config)) *script.Host {
	h.t.Helper()
	c := script.Config{Name: "lab", WorkDir: h.dir, Program: []string{os.Args[0]}, Linger: 200 * time.Millisecond, PassEnv: []string{"GORACE"}, Log: slog.New(slog.NewTextHandler(&h.log, nil))}
	for _, f := range change {
		f(&c)
	}
	host, err := script.NewHost(c)
	require.NoError(h.t, err)
	return host
}

// write stores a run of one node.
func (h *house) write(run int64) deploy.ScriptRun {
	h.t.Helper()
	h.ends(run)
	r := runOf(run, "node_01.json", fmt.Sprintf("{\"run\": %d}\n", run))
	require.NoError(h.t, h.host().Write(h.t.Context(), r))
	return r
}

func runOf(run int64, filesAndBodies ...string) deploy.ScriptRun {
	r := deploy.ScriptRun{RunKey: keyOf(run)}
	for i := 0; i < len(filesAndBodies); i += 2 {
		r.Documents = append(r.Documents, deploy.HostDocument{NodeID: int64(i/2 + 1), NodeName: fmt.Sprintf("node-%d", i/2+1), File: filesAndBodies[i], Body: []byte(filesAndBodies[i+1])})
	}
	return r
}

// start writes and starts a run; it is ended with the test.
func (h *house) start(run int64, change ...func(*script.Config)) deploy.RunProcess {
	h.t.Helper()
	h.write(run)
	p, err := h.host(change...).Start(h.t.Context(), keyOf(run))
	require.NoError(h.t, err, "%s", h.said(run))
	return p
}

// ends makes sure that a run's script does not outlive the test.
func (h *house) ends(run int64) {
	if h.ending[run] {
		return
	}
	if h.ending == nil {
		h.ending = map[int64]bool{}
	}
	h.ending[run] = true
	h.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		host := h.host()
		if err := host.Stop(ctx, keyOf(run), true); err != nil {
			h.t.Errorf("ending run %d: %v", run, err)
		}
		h.until(fmt.Sprintf("run %d to be over", run), func() bool {
			p, err := host.Look(ctx, keyOf(run))
			return (err != nil || p.State != deploy.ProcessRunning) && h.supervisorPID(run) == 0
		})
		if h.t.Failed() {
			h.t.Logf("supervisor of run %d: %s\nSlipway: %s", run, h.said(run), h.log.String())
		}
	})
}

func (h *house) said(run int64) string {
	b, _ := os.ReadFile(h.path(workdir.RunDir(keyOf(run)) + "/supervisor.log"))
	return string(b)
}

func (h *house) look(run int64) deploy.RunProcess {
	h.t.Helper()
	p, err := h.host().Look(h.t.Context(), keyOf(run))
	require.NoError(h.t, err)
	return p
}

// end waits for the end of a run.
func (h *house) end(run int64) (p deploy.RunProcess) {
	h.t.Helper()
	h.until(fmt.Sprintf("run %d to end", run), func() bool {
		p = h.look(run)
		return p.State != deploy.ProcessRunning && p.State != deploy.ProcessNone
	})
	return p
}

// until waits for what other processes do.
func (h *house) until(what string, is func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(deadline) {
			h.t.Fatalf("waited in vain for %s", what)
		}
		<-tick.C
	}
}

func (h *house) has(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// output reads all of a run's log.
func (h *house) output(run int64) string {
	h.t.Helper()
	var all bytes.Buffer
	for next := int64(0); ; {
		text, after, err := h.host().Log(h.t.Context(), keyOf(run), next, 4096)
		require.NoError(h.t, err)
		if len(text) == 0 {
			return all.String()
		}
		all.Write(text)
		next = after
	}
}

// wantCode demands a typed failure that names a path or a run, and what to do.
func wantCode(t *testing.T, err error, code deploy.Code, about string) *deploy.ProviderError {
	t.Helper()
	var e *deploy.ProviderError
	if !errors.As(err, &e) || e.Code != code || e.Hint == "" || !strings.Contains(e.Message, about) {
		t.Fatalf("%v; want %s about %s, with a hint", err, code, about)
	}
	return e
}

// safeBuffer is a log that several write to.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// keyOf is a run as one database knows it.
func keyOf(run int64) deploy.RunKey {
	return deploy.RunKey{ID: run, Identity: fmt.Sprintf("%032x", run)}
}
