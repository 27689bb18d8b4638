package apply_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/apply/applytest"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/journal"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/store"
)

var ada = deploy.Actor{Kind: deploy.ActorUser, Name: "ada"}

// keeper is a provider that only notes what it is told of, and which file the
// node has then.
type keeper struct {
	deploy.Provider
	mu     sync.Mutex
	orders map[int64]int  // by deployment
	held   map[int64]bool // by deployment: a file has the content that it asks for
	host   *applytest.Host
	rows   *journal.Journal
	refuse error
}

func (k *keeper) Order(_ context.Context, o deploy.Order) (deploy.Machine, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refuse != nil {
		return deploy.Machine{}, k.refuse
	}
	_, err := k.rows.Intend(context.Background(), deploy.Intent{NodeID: o.NodeID, DeploymentID: o.DeploymentID, Provider: deploy.ProviderScript, Kind: "node_file",
		Name: fmt.Sprintf("%s-%d", o.NodeName, o.DeploymentID), Generation: 1})
	if e, ok := deploy.AsError(err); ok && k.orders[o.DeploymentID] == 0 { // nothing more is asked for when it has ended
		return deploy.Machine{}, &deploy.ProviderError{Code: e.Code, Message: e.Message}
	}
	k.orders[o.DeploymentID]++
	k.held[o.DeploymentID] = false
	for _, body := range k.host.Content() {
		if body == string(o.Spec.Document) {
			k.held[o.DeploymentID] = true
		}
	}
	return deploy.Machine{}, nil
}

type prober func(t health.Target) health.Result

func (p prober) Check(_ context.Context, t health.Target) health.Result { return p(t) }

// house is a service with a host in memory; nothing drives it by itself.
type house struct {
	t      *testing.T
	store  *store.Store
	writer *lifecycle.Writer
	host   *applytest.Host
	kept   *keeper
	*apply.Service
}

func open(t *testing.T, st *store.Store, change ...func(*apply.Deps)) *house {
	t.Helper()
	h := &house{t: t, store: st, host: applytest.New("lab")}
	h.kept = &keeper{orders: map[int64]int{}, held: map[int64]bool{}, host: h.host, rows: journal.New(st, nil)}
	h.writer = lifecycle.New(st, lifecycle.Options{Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	writing.Go(func() { h.writer.Run(ctx) })
	t.Cleanup(func() { cancel(); writing.Wait() })
	h.again(change...)
	return h
}

// again makes the service anew, as a restart does.
func (h *house) again(change ...func(*apply.Deps)) {
	deps := apply.Deps{Host: h.host, Provider: h.kept, Store: h.store, Writer: h.writer, Logger: slog.New(slog.DiscardHandler), KillAfter: time.Minute}
	for _, c := range change {
		c(&deps)
	}
	h.Service = apply.New(deps)
}

// node is a document of the default shape.
func node(name string, last int) map[string]any {
	return map[string]any{
		"using_interfaces": map[string]any{
			"interface_01": map[string]any{"interface_name": "eno1", "type": []string{"Primary"}, "vlan_id": "NULL", "Bond_Slave": "NO",
				"Properties": map[string]any{"IP_ADDRESS": fmt.Sprintf("192.0.2.%d", last), "Netmask": "255.255.255.0", "DNS": "192.0.2.2", "mtu": "1500", "gateway": "192.0.2.1"}},
			"interface_02": map[string]any{"interface_name": "eno2", "type": []string{"Secondary"}, "vlan_id": "101", "Bond_Slave": "NO"},
		},
		"hostname": name, "disk": []string{}, "roles": []string{"Compute"},
	}
}

func body(t *testing.T, nodes ...map[string]any) []byte {
	t.Helper()
	raw, err := json.Marshal(nodes)
	require.NoError(t, err)
	return raw
}

func (h *house) apply(nodes ...map[string]any) apply.Applied {
	h.t.Helper()
	out, err := h.Apply(h.t.Context(), apply.Request{Body: body(h.t, nodes...), Actor: ada})
	require.NoError(h.t, err)
	return out
}

func refused(t *testing.T, err error, code deploy.Code) *deploy.Error {
	t.Helper()
	e, ok := deploy.AsError(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, code, e.Code, e.Message)
	return e
}

// drive has the service look once at what runs, as Run does.
func (h *house) drive(id int64) *apply.Run {
	h.t.Helper()
	r, err := h.Drive(h.t.Context(), id)
	require.NoError(h.t, err)
	return r
}

func (h *house) state(deploymentID int64) (state, phase string) {
	h.t.Helper()
	require.NoError(h.t, h.store.Read.QueryRow(`SELECT state, phase FROM deployments WHERE id = $1`, deploymentID).Scan(&state, &phase))
	return state, phase
}

func keys(e *deploy.Error) string {
	var out []string
	for _, f := range e.Fields {
		out = append(out, f.Field+" "+f.Key)
	}
	return strings.Join(out, "\n")
}

var errDisk = &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: "no space left on device", Hint: "make room"}

var errLost = errors.New("the connection is gone")

// H is the host of a test.
type H = applytest.Host

// finish ends the script of a run, and all of its deployments.
func (h *house) finish(out apply.Applied) {
	h.t.Helper()
	h.host.End(out.Run.ID, 0)
	h.drive(out.Run.ID)
	for _, item := range out.Items {
		_, err := h.writer.Cancel(h.t.Context(), lifecycle.Cancel{DeploymentID: item.DeploymentID, Immediate: true, Actor: ada})
		require.NoError(h.t, err)
	}
}
