package script_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/provider/conformance"
	"github.com/slipwayhq/slipway/provider/script"
)

// What the suite skips: "several nodes at once" and "an order of another run is
// refused" are about providers that make machines, and these exist already; the
// reinstall, audit, adoption and console behaviours need interfaces that a host
// of node files has no use for; and no names are registered.
func TestConformance(t *testing.T) { conformance.Run(t, newBackend) }

// backend is a work directory, and the way to it.
type backend struct {
	*house
	mu     sync.Mutex
	hooks  conformance.Hooks
	calls  int
	broken error
	made   map[string]bool
	now    time.Time
}

// cardSpec is a node's; a card knows no MAC address, but an inventory may.
var cardSpec = deploy.Spec{Provider: deploy.ProviderScript, ManagementIP: "127.0.0.9", MAC: "52-54-00-AB-CD-EF", Document: json.RawMessage(`{"hostname": "SQDN-001"}`)}

func newBackend(t *testing.T) conformance.Fixture {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() { // a sync costs nothing there
		t.Setenv("TMPDIR", "/dev/shm")
	}
	b := &backend{house: newHouse(t, "exit 0"), made: map[string]bool{}, now: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)}
	breakage := map[conformance.Breakage]error{
		conformance.BreakUnavailable: syscall.EIO, conformance.BreakThrottled: syscall.EMFILE, conformance.BreakForbidden: syscall.EACCES,
	}
	return conformance.Fixture{
		Provider: func(t *testing.T, j deploy.Journal) deploy.Provider {
			host := b.host(func(c *script.Config) { c.Step, c.Now = b.step, b.clock })
			return &run{Provider: script.New(host, j), host: host, b: b}
		},
		Spec:       cardSpec,
		Made:       func() map[string]int { return map[string]int{"node_file": b.count(true)} },
		Live:       func() map[string]int { return map[string]int{"node_file": b.count(false)} },
		Boots:      func(*testing.T, string) int { return 0 },
		Now:        b.clock,
		OrderMakes: map[string]int{"node_file": 1},
		Advance:    b.advance,
		Hook:       b.hook,
		Break:      func(k conformance.Breakage) { b.fail(breakage[k]) },
		Repair:     func() { b.fail(nil) },
		Remove: func(t *testing.T, _ string) {
			if err := os.Remove(b.node("node_01.json")); err != nil {
				t.Fatal(err)
			}
		},
		BadSpecs: map[string]func(*deploy.Spec){
			"document":      func(s *deploy.Spec) { s.Document = json.RawMessage("{") },
			"management_ip": func(s *deploy.Spec) { s.ManagementIP = "node" },
			"mac":           func(s *deploy.Spec) { s.MAC = "52:54" },
		},
	}
}

// run is the provider with what the workflow does around an order: the files of
// the run, here of one node, are written when it is journalled.
type run struct {
	*script.Provider
	host *script.Host
	b    *backend
}

// perNode keeps the files of a node's run one write at a time, as the one active
// run of a host does.
var perNode sync.Mutex

func (r *run) Order(ctx context.Context, o deploy.Order) (deploy.Machine, error) {
	o.Run = keyOf(o.DeploymentID)
	perNode.Lock()
	defer perNode.Unlock()
	if m, err := r.Provider.Order(ctx, o); err != nil {
		return m, err
	}
	file := deploy.NodeFileName(int(o.NodeID - 10)) // the suite's first node is 11
	err := r.host.Write(ctx, deploy.ScriptRun{RunKey: keyOf(o.DeploymentID), Documents: []deploy.HostDocument{{NodeID: o.NodeID, NodeName: o.NodeName, File: file, Body: o.Spec.Document}}})
	if err != nil {
		return deploy.Machine{}, err
	}
	if err := r.host.ClearMarker(ctx); err != nil { // as the end of the script does
		return deploy.Machine{}, err
	}
	return r.Provider.Order(ctx, o)
}

func (b *backend) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *backend) advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *backend) hook(h conformance.Hooks) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hooks, b.calls = h, 0
}

func (b *backend) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
}

// step stands between the host and the file system.
func (b *backend) step(_, _ string, do func() error) error {
	b.mu.Lock()
	b.calls++
	n, hooks, broken := b.calls, b.hooks, b.broken
	b.mu.Unlock()
	if broken != nil {
		return broken
	}
	if hooks.Before != nil {
		if err := hooks.Before(n); err != nil {
			return err
		}
	}
	err := do()
	b.count(false)
	if err == nil && hooks.After != nil {
		return hooks.After(n)
	}
	return err
}

// count gives the files that are there, or ever were. What is left under another
// name than a node file's is no node's: it shows as one too many.
func (b *backend) count(ever bool) int {
	entries, err := os.ReadDir(b.path("cluster/nodes"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Error(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".slipway-new-") && ever {
			continue
		}
		n++
		if _, ok := deploy.NodeFileNumber(e.Name()); ok {
			b.made[e.Name()] = true
		}
	}
	if ever {
		return len(b.made)
	}
	return n
}
