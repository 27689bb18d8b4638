package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy"
)

// Fixture is a provider's backend, fresh for each test, and what is expected
// of it.
type Fixture struct {
	// Provider gives a provider over the backend, as a process has it after its
	// start. It is called again for every "restart", with the same journal.
	Provider func(t *testing.T, j deploy.Journal) deploy.Provider
	// Spec can be ordered.
	Spec deploy.Spec
	// Made counts what the backend has ever made, by the kinds of the journal.
	Made func() map[string]int
	// Live counts what the backend has now, likewise. The rest of the fixture
	// down to Advance is for providers that can release, reinstall or audit.
	Live func() map[string]int
	// Boots counts how often a machine was made to boot; BootsFrom is the URL it
	// was last told to boot from.
	Boots     func(t *testing.T, serverID string) int
	BootsFrom func(t *testing.T, serverID string) string
	// Stray makes something behind the provider's back that has a name as the
	// provider gives them, and gives its kind and id.
	Stray func(t *testing.T) (kind, id string)
	// Parent gives the deploy.Drift.Parent of what a row stands for.
	Parent func(r deploy.Resource) string
	// Now is the provider's clock.
	Now func() time.Time
	// OrderMakes and NamesMake are what one node's Order, and its RegisterNames
	// after that, make.
	OrderMakes, NamesMake map[string]int
	// Cluster is the name of the cluster that the node creates, whose address is
	// Spec.ClusterVIP; empty if it creates none.
	Cluster string
	// Advance lets time pass, on the provider's clock and on the backend's.
	Advance func(d time.Duration)
	// Hook is told of every call to the backend from now on, counted from 1,
	// in place of what was told before; nil for a provider that has no backend.
	Hook func(Hooks)
	// Sparse is for a fixture all of whose calls another one of the same provider
	// makes too: of its calls that change nothing only each fourth is cut.
	Sparse bool
	// Break makes every call fail in this way until Repair; nil as above.
	Break  func(Breakage)
	Repair func()
	// Remove deletes a machine behind the provider's back; nil as above.
	Remove func(t *testing.T, serverID string)
	// BadSpecs spoil one field of Spec, by the name of the field, in a way that
	// only the backend can tell.
	BadSpecs map[string]func(*deploy.Spec)
}

// withoutCluster is the fixture for a node that creates no cluster: a cluster's
// address is one node's only.
func (f Fixture) withoutCluster() Fixture {
	if f.Spec.ClusterVIP != "" {
		f.Spec.ClusterVIP, f.Cluster = "", ""
		f.OrderMakes = maps.Clone(f.OrderMakes)
		f.OrderMakes["reserved_ip"]--
	}
	return f
}

// Hooks are called around the n-th call to the backend, from 1. An error ends
// the call: from Before it is never sent, from After its answer is lost. Calls
// may come from several goroutines.
type Hooks struct {
	Before, After func(n int) error
	// Read is told before Before when the n-th call changes nothing at the
	// backend. A fixture that cannot tell never calls it.
	Read func(n int)
}

// Breakage is a way in which a backend fails.
type Breakage string

// The ways.
const (
	BreakUnavailable Breakage = "unavailable" // the service is down
	BreakThrottled   Breakage = "throttled"   // too many calls
	BreakForbidden   Breakage = "forbidden"   // the identity lacks a permission
)

// The node of every test.
const (
	nodeID       = 11
	nodeName     = "node-a"
	deploymentID = 7
)

// bootURL is what the order's BootURL gives.
const bootURL = "http://127.0.0.1:8080/boot/d/locator"

func order(spec deploy.Spec) deploy.Order {
	return deploy.Order{
		NodeID: nodeID, NodeName: nodeName, DeploymentID: deploymentID, Attempt: 1, Spec: spec,
		BootURL: func(context.Context) (string, error) { return bootURL, nil },
		Note:    func(context.Context, string) {},
	}
}

func names(f Fixture, ip string) deploy.Names {
	return deploy.Names{NodeID: nodeID, NodeName: nodeName, DeploymentID: deploymentID, ManagementIP: ip, ClusterName: f.Cluster, ClusterVIP: f.Spec.ClusterVIP}
}

// patience is how many temporary failures in a row are borne.
const patience = 100

// persist repeats a step as the workflow does, letting time pass where the
// provider asks for it. Any other failure than a typed temporary one ends it.
func persist[T any](ctx context.Context, f Fixture, step func(ctx context.Context) (T, error)) (T, error) {
	for range patience {
		result, err := step(ctx)
		var e *deploy.ProviderError
		if err == nil || ctx.Err() != nil || !errors.As(err, &e) || !e.Temporary || e.Wait <= 0 {
			return result, err
		}
		f.Advance(e.Wait)
	}
	var none T
	return none, fmt.Errorf("not done after %d tries", patience)
}

func persistOrder(t *testing.T, f Fixture, p deploy.Provider, o deploy.Order) deploy.Machine {
	t.Helper()
	m, err := persist(t.Context(), f, func(ctx context.Context) (deploy.Machine, error) { return p.Order(ctx, o) })
	if err != nil {
		t.Fatalf("order: %v", err)
	}
	return m
}

func persistNames(t *testing.T, f Fixture, p deploy.Provider, n deploy.Names) {
	t.Helper()
	if err := tryNames(t.Context(), f, p, n); err != nil {
		t.Fatalf("names: %v", err)
	}
}

func tryNames(ctx context.Context, f Fixture, p deploy.Provider, n deploy.Names) error {
	_, err := persist(ctx, f, func(ctx context.Context) (struct{}, error) { return struct{}{}, p.RegisterNames(ctx, n) })
	return err
}

// temporary demands a typed failure that another try may cure.
func temporary(t *testing.T, err error) *deploy.ProviderError {
	t.Helper()
	var e *deploy.ProviderError
	if !errors.As(err, &e) {
		t.Fatalf("%v is no deploy.ProviderError", err)
	}
	if !e.Temporary || e.Wait <= 0 || e.Code == "" || e.Message == "" {
		t.Fatalf("%#v is not temporary, or does not say what happened and how long to wait", e)
	}
	return e
}

// final demands a typed failure that another try cannot cure.
func final(t *testing.T, err error) *deploy.ProviderError {
	t.Helper()
	var e *deploy.ProviderError
	if !errors.As(err, &e) {
		t.Fatalf("%v is no deploy.ProviderError", err)
	}
	if e.Temporary || e.Code == "" || e.Message == "" || e.Hint == "" {
		t.Fatalf("%#v is temporary, or does not say what happened and what to do", e)
	}
	return e
}

func wantMade(t *testing.T, f Fixture, parts ...map[string]int) {
	t.Helper()
	want := map[string]int{}
	for _, part := range parts {
		for kind, n := range part {
			want[kind] += n
		}
	}
	got := f.Made()
	maps.DeleteFunc(got, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(got, want) {
		t.Fatalf("the backend made %v, want %v", got, want)
	}
}
