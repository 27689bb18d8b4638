package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// ask makes a GraphQL request as an operator.
func (s *server) ask(ctx context.Context, query string, variables map[string]any, out any) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	require.NoError(s.t, err)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/graphql", bytes.NewReader(body))
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	var answer struct {
		Data   json.RawMessage
		Errors json.RawMessage
	}
	require.NoError(s.t, json.Unmarshal(text, &answer), "%s", text)
	require.Empty(s.t, answer.Errors, "%s", text)
	require.NoError(s.t, json.Unmarshal(answer.Data, out), "%s", text)
}

// clusterView is what tests look at of a cluster.
type clusterView struct {
	ID, Name, State string
	Version         int
	Members         []memberView
	Barrier         struct{ Ready, Total int }
	Formation       *struct{ Status, Reason, Message string }
	Health          *struct{ OK bool }
}

type memberView struct {
	State   string
	Node    struct{ Name string }
	Ready   bool
	Choices []string
}

const clusterFields = `id name state version members { state node { name } ready choices } barrier { ready total } formation { status reason message } health { ok }`

// problem is a refusal of a mutation.
type problem struct {
	Code, Message string
	Field         []string
}

func (s *server) orderCluster(ctx context.Context, name string, nodes ...string) clusterView {
	s.t.Helper()
	var list []any
	for _, n := range nodes {
		list = append(list, map[string]any{"name": n, "spec": map[string]any{"ibmVpc": map[string]any{"serverProfile": profile}}})
	}
	var out struct {
		DeployCluster struct {
			Cluster clusterView
			Errors  []problem
		}
	}
	s.ask(ctx, `mutation($in: DeployClusterInput!) { deployCluster(input: $in) { cluster { `+clusterFields+` } errors { code message field } } }`,
		map[string]any{"in": map[string]any{"name": name, "nodes": list, "ntpServers": []string{"pool.ntp.org"}}}, &out)
	require.Empty(s.t, out.DeployCluster.Errors)
	return out.DeployCluster.Cluster
}

func (s *server) cluster(ctx context.Context, id string) clusterView {
	s.t.Helper()
	var out struct{ Cluster clusterView }
	s.ask(ctx, `query($id: ID!) { cluster(by: {id: $id}) { `+clusterFields+` } }`, map[string]any{"id": id}, &out)
	return out.Cluster
}

// until asks for the cluster after every event, until it is as it should be.
func (s *server) until(ctx context.Context, id, what string, is func(clusterView) bool) (c clusterView) {
	s.t.Helper()
	eventually(ctx, s.t, what, func() bool {
		c = s.cluster(ctx, id)
		return is(c)
	})
	return c
}

func inState(state string) func(clusterView) bool {
	return func(c clusterView) bool { return c.State == state }
}

// mustBeClusters compares with what the machines' controller VMs are.
func (c *cloud) mustBeClusters(t *testing.T, members map[string]int) {
	t.Helper()
	s := c.state(t)
	require.Equal(t, len(members), s.ClustersCreated, "each was created once")
	count := map[string]int{}
	for _, vm := range s.ControllerVMs {
		if vm.Cluster == "" {
			continue
		}
		count[vm.Cluster]++
		require.Equal(t, []any{"start", vm.Of}, []any{vm.State, vm.Up}, vm.Address)
		require.Len(t, vm.Members, members[vm.Cluster], vm.Address)
	}
	require.Equal(t, members, count)
}

// TestTwoClustersWhileTheServerIsKilled: two clusters are made at once while the
// server is killed again and again, the formation included. Each is created once.
func TestTwoClustersWhileTheServerIsKilled(t *testing.T) {
	ctx := deadline(t)
	random := dice(t)
	c := startCloud(ctx, t)
	s := newServer(t, c, "serve")
	s.start(ctx)
	events := s.follow(ctx)
	one := s.orderCluster(ctx, "one", "one-1", "one-2", "one-3")
	two := s.orderCluster(ctx, "two", "two-1")
	// Slow enough to be killed in: each stage takes some beats more.
	clear := c.rule(t, `{"match":"slw-one*","fault":"cvm_slow","steps":8}`)
	killed := map[string]int{}
	for n := 0; n < 12; n++ {
		seen := events.until(ctx, "something has begun", func(e []client.Event) bool { return len(e) > 0 })
		if n < 2 { // anywhere in the installation
			more := len(seen) + 5 + random.IntN(10)
			events.until(ctx, "the moment to kill", func(e []client.Event) bool { return len(e) >= more })
		} else { // then all through the formation, of this one: the other is formed sooner
			s.until(ctx, one.ID, "the formation has begun", func(c clusterView) bool { return c.State == "FORMING" || c.State == "DEPLOYED" })
		}
		wait := time.NewTimer(time.Duration(100+random.IntN(900)) * time.Millisecond)
		<-wait.C
		now := s.cluster(ctx, one.ID)
		if now.State == "DEPLOYED" {
			break
		}
		s.proc.kill()
		killed[now.State]++
		s.start(ctx)
	}
	clear()
	t.Logf("killed %v", killed)
	require.Positive(t, killed["FORMING"], "never killed while the cluster was formed")
	for _, id := range []string{one.ID, two.ID} {
		got := s.until(ctx, id, "the cluster is deployed", inState("DEPLOYED"))
		require.True(t, got.Health.OK)
		for _, m := range got.Members {
			require.Equal(t, "MEMBER", m.State)
		}
	}
	c.mustBeClusters(t, map[string]int{"one": 3, "two": 1})
	mustBeWhole(t, s.table())
}

// TestOneBadNodeDoesNotCostTheRest: a node of four fails; the cluster says which,
// goes on without it, and takes it in when it is retried alone. Then all of it is
// released, with proof.
func TestOneBadNodeDoesNotCostTheRest(t *testing.T) {
	ctx := deadline(t)
	c := startCloud(ctx, t)
	s := newServer(t, c, "serve")
	s.start(ctx)
	mend := c.rule(t, `{"match":"slw-bad-4*","fault":"disk_fails"}`)
	cl := s.orderCluster(ctx, "bad", "bad-1", "bad-2", "bad-3", "bad-4")
	blocked := s.until(ctx, cl.ID, "three wait for the fourth, which failed", func(c clusterView) bool { return c.State == "BLOCKED" && c.Barrier.Ready == 3 })
	require.Equal(t, 4, blocked.Barrier.Total)
	i := slices.IndexFunc(blocked.Members, func(m memberView) bool {
		return m.Node.Name == "bad-4"
	})
	require.Equal(t, []string{"RETRY", "REPLACE", "GO_ON_WITHOUT"}, blocked.Members[i].Choices)
	mend()

	var nodes struct {
		BareMetalNode struct {
			ID                string
			CurrentDeployment struct{ ID string }
		}
	}
	s.ask(ctx, `{ bareMetalNode(by: {name: "bad-4"}) { id currentDeployment { id } } }`, nil, &nodes)
	var went struct {
		GoOnWithoutNode struct {
			Cluster clusterView
			Errors  []problem
		}
	}
	s.ask(ctx, `mutation($in: GoOnWithoutNodeInput!) { goOnWithoutNode(input: $in) { cluster { `+clusterFields+` } errors { code message field } } }`,
		map[string]any{"in": map[string]any{"id": cl.ID, "nodeId": nodes.BareMetalNode.ID, "reason": "its disk"}}, &went)
	require.Empty(t, went.GoOnWithoutNode.Errors)
	s.until(ctx, cl.ID, "the three are a cluster", inState("DEPLOYED"))
	c.mustBeClusters(t, map[string]int{"bad": 3})

	var retried struct {
		RetryDeployment struct{ Errors []problem }
	}
	s.ask(ctx, `mutation($id: ID!) { retryDeployment(input: {id: $id}) { errors { code message field } } }`, map[string]any{"id": nodes.BareMetalNode.CurrentDeployment.ID}, &retried)
	require.Empty(t, retried.RetryDeployment.Errors)
	s.until(ctx, cl.ID, "the late one has joined", func(c clusterView) bool {
		return c.State == "DEPLOYED" && !slices.ContainsFunc(c.Members, func(m memberView) bool {
			return m.State != "MEMBER"
		})
	})
	c.mustBeClusters(t, map[string]int{"bad": 4})

	var cleaned struct {
		CleanupCluster struct{ Errors []problem }
	}
	s.ask(ctx, `mutation($in: CleanupClusterInput!) { cleanupCluster(input: $in) { errors { code message field } } }`, map[string]any{"in": map[string]any{"id": cl.ID, "confirmName": "bad"}}, &cleaned)
	require.Empty(t, cleaned.CleanupCluster.Errors)
	s.until(ctx, cl.ID, "everything is gone", inState("CLEANED_UP"))
	state := c.state(t)
	require.Equal(t, []int{0, 0, 0, 0}, []int{state.LiveServers, state.VNIs, state.ReservedIPs, state.DNSRecords}, fmt.Sprint(state.Addresses, state.Records))
	require.Empty(t, slices.DeleteFunc(state.ControllerVMs, func(vm vpcsim.ControllerVM) bool { return vm.Cluster == "" }))
}

// rule arms a fault of the machines that is given as JSON.
func (c *cloud) rule(t testing.TB, rule string) (clear func()) {
	t.Helper()
	resp, err := http.Post(c.url+"/_sim/faults", "application/json", bytes.NewReader([]byte(rule)))
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusCreated, resp.StatusCode, "%s", text)
	var made struct{ ID string }
	require.NoError(t, json.Unmarshal(text, &made))
	return func() {
		r, err := http.NewRequest(http.MethodDelete, c.url+"/_sim/faults/"+made.ID, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
}
