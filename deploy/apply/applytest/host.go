package applytest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Host is a host in memory. Its fields may be changed with Set.
type Host struct {
	Name string
	// NotReady, WriteFails and StartFails are given instead of doing it.
	NotReady, WriteFails, StartFails error
	// IgnoresTerm: the script ends only when it is killed.
	IgnoresTerm bool

	mu      sync.Mutex
	Files   map[string][]byte
	before  map[int64]map[string][]byte // by run; nil body: it was not there
	Runs    map[int64]*deploy.RunProcess
	Starts  []int64  // runs whose script was started, in order
	Signals []string // what was sent, "1 TERM"
	Output  map[int64][]byte
	marker  int64 // run that made it
}

var _ deploy.ScriptHost = (*Host)(nil)

// New makes a host without files.
func New(name string) *Host {
	return &Host{Name: name, Files: map[string][]byte{}, before: map[int64]map[string][]byte{}, Runs: map[int64]*deploy.RunProcess{}, Output: map[int64][]byte{}}
}

// Set changes the host, with nobody looking at it meanwhile.
func (h *Host) Set(change func(h *Host)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

// End ends the script of a run with an exit code.
func (h *Host) End(run int64, code int) {
	h.Set(func(h *Host) { h.end(run, code, "") })
}

// Vanish has the script of a run gone without a word.
func (h *Host) Vanish(run int64) {
	h.Set(func(h *Host) { h.Runs[run].State = deploy.ProcessLost })
}

func (h *Host) end(run int64, code int, signal string) {
	p := h.Runs[run]
	p.State, p.ExitCode, p.Signal, p.EndedAt = deploy.ProcessEnded, code, signal, time.Now()
	h.marker = 0
}

// Host names it.
func (h *Host) Host() string { return h.Name }

// Ready gives NotReady.
func (h *Host) Ready(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.NotReady
}

// List gives the files.
func (h *Host) List(context.Context) ([]deploy.NodeFile, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []deploy.NodeFile
	for name, body := range h.Files {
		if n, ok := deploy.NodeFileNumber(name); ok {
			out = append(out, deploy.NodeFile{Name: name, Number: n, Body: body})
		}
	}
	slices.SortFunc(out, func(a, b deploy.NodeFile) int { return cmp.Compare(a.Number, b.Number) })
	return out, nil
}

// Write writes the files of a run, and makes the marker.
func (h *Host) Write(_ context.Context, run deploy.ScriptRun) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !run.Valid() {
		return &deploy.ProviderError{Code: deploy.CodeInvalid, Message: "a run without number or identity", Hint: "give it both"}
	}
	if h.WriteFails != nil {
		return h.WriteFails
	}
	if h.before[run.ID] == nil {
		h.before[run.ID] = map[string][]byte{}
		for _, d := range run.Documents {
			h.before[run.ID][d.File] = h.Files[d.File]
		}
	}
	for _, d := range run.Documents {
		h.Files[d.File] = d.Body
	}
	h.marker = run.ID
	return nil
}

// Undo puts the files back.
func (h *Host) Undo(_ context.Context, run deploy.ScriptRun) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for file, body := range h.before[run.ID] {
		if body == nil {
			delete(h.Files, file)
			continue
		}
		h.Files[file] = body
	}
	delete(h.before, run.ID)
	if h.marker == run.ID {
		h.marker = 0
	}
	return nil
}

// Start starts the script, once a run.
func (h *Host) Start(_ context.Context, key deploy.RunKey) (deploy.RunProcess, error) {
	run := key.ID
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.Runs[run]; p != nil {
		return *p, nil
	}
	if h.StartFails != nil {
		return deploy.RunProcess{}, h.StartFails
	}
	for id, p := range h.Runs {
		if p.State == deploy.ProcessRunning {
			return deploy.RunProcess{}, &deploy.ProviderError{Code: deploy.CodeRunActive, Message: fmt.Sprintf("run %d is active", id)}
		}
	}
	h.Runs[run] = &deploy.RunProcess{State: deploy.ProcessRunning, PID: 4000 + int(run), StartedAt: time.Now()}
	h.Starts = append(h.Starts, run)
	return *h.Runs[run], nil
}

// Look tells how a run stands.
func (h *Host) Look(_ context.Context, key deploy.RunKey) (deploy.RunProcess, error) {
	run := key.ID
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.Runs[run]
	if p == nil {
		return deploy.RunProcess{State: deploy.ProcessNone}, nil
	}
	out := *p
	out.LogBytes = int64(len(h.Output[run]))
	return out, nil
}

// Stop signals the script.
func (h *Host) Stop(_ context.Context, key deploy.RunKey, hard bool) error {
	run := key.ID
	h.mu.Lock()
	defer h.mu.Unlock()
	signal := "SIGTERM"
	if hard {
		signal = "SIGKILL"
	}
	h.Signals = append(h.Signals, fmt.Sprintf("%d %s", run, signal))
	if p := h.Runs[run]; p != nil && p.State == deploy.ProcessRunning && (hard || !h.IgnoresTerm) {
		h.end(run, 0, signal)
	}
	return nil
}

// Log reads the output.
func (h *Host) Log(_ context.Context, key deploy.RunKey, offset int64, limit int) ([]byte, int64, error) {
	run := key.ID
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.Output[run]
	from := min(offset, int64(len(all)))
	to := min(from+int64(limit), int64(len(all)))
	return slices.Clone(all[from:to]), to, nil
}

// Marker tells how the marker stands.
func (h *Host) Marker(context.Context) (deploy.Marker, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.Runs[h.marker]
	return deploy.Marker{Path: "/marker", Present: h.marker != 0, RunID: h.marker, Alive: p != nil && p.State == deploy.ProcessRunning}, nil
}

// ClearMarker removes the marker.
func (h *Host) ClearMarker(context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.marker = 0
	return nil
}

// Content is a copy of the files.
func (h *Host) Content() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(h.Files)) {
		out[name] = string(h.Files[name])
	}
	return out
}
