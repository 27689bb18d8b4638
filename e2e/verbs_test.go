package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim"
)

// verbs is one cloud and one server on which operators do what they can do.
type verbs struct {
	*system
	admin string // a token
}

// TestVerbs orders, retries, cancels, installs anew, protects, cleans up,
// adopts and compares, over the command line and over REST.
func TestVerbs(t *testing.T) {
	ctx := deadline(t)
	c := startCloud(ctx, t)
	s := newServer(t, c, "serve")
	s.start(ctx)
	v := &verbs{system: &system{server: s, cloud: c, events: s.follow(ctx), ctx: ctx}}
	v.admin = must(t, append([]string{"token", "create", "chief", "--role=admin"}, s.data...)...)
	t.Run("a plan changes nothing", v.plan)
	t.Run("deploy, protect, clean up with proof", v.cleanup)
	t.Run("fail, retry, install anew", v.retry)
	t.Run("cancel", v.cancel)
	t.Run("two orders of one name at once", v.sameName)
	t.Run("adopt, console, offer", v.adopt)
	t.Run("drift", v.drift)
	t.Run("nothing is left", v.nothingLeft)
}

// asAdmin runs a command with the admin's token.
func (v *verbs) asAdmin(args ...string) result {
	v.t.Helper()
	return slipway(v.t, []string{"SLIPWAY_SERVER=" + v.base, "SLIPWAY_TOKEN=" + v.admin}, args...)
}

// held counts what the account has.
func (v *verbs) held(t *testing.T) [4]int {
	t.Helper()
	s := v.cloud.state(t)
	return [4]int{s.LiveServers, s.VNIs, s.ReservedIPs, s.DNSRecords}
}

// card is a node as REST tells of it.
func (v *verbs) card(t *testing.T, name string) client.NodeCard {
	t.Helper()
	n, err := v.api.FindNode(v.ctx, name)
	require.NoError(t, err)
	return n
}

// post sends JSON as an operator.
func (v *verbs) post(t *testing.T, path, body string, more ...string) reply {
	t.Helper()
	return v.as(t, path, args(jsonType, []string{"-d", body}, more)...)
}

func (v *verbs) plan(t *testing.T) {
	before := v.cloud.state(t)
	good := v.cli("plan", "verb-1", "--profile="+profile)
	require.Equal(t, 0, good.code, "%s%s", good.out, good.stderr)
	for _, line := range []string{`✓ Name +verb-1 is free`, `✓ Provider +ibm_vpc is set up and answers`, `✓ Artifacts +present, with sha256: .*installer\.sh`, `· Queue +starts at once: 0 of 25`, `It can be deployed`} {
		require.Regexp(t, `(?m)`+line, good.out)
	}
	same := v.cli("deploy", "verb-1", "--profile="+profile, "--dry-run")
	require.Equal(t, good.out, same.out, "the same list")
	bad := v.cli("plan", "Verb_1", "--profile="+profile, "--installer=nothing.sh")
	require.Equal(t, 1, bad.code, bad.out)
	require.Regexp(t, `✗ Name +name must be`, bad.out)
	require.Regexp(t, `✗ Artifacts +nothing\.sh is not registered`, bad.out)
	unknown := v.cli("plan", "verb-1", "--profile=bx9-metal-1x1")
	require.Equal(t, 1, unknown.code, unknown.out)
	require.Contains(t, unknown.out, "bx9-metal-1x1")
	after := v.cloud.state(t)
	require.Equal(t, before.ServersCreated+before.VNIsCreated+before.ReservedIPsCreated+before.DNSRecordsCreated, after.ServersCreated+after.VNIsCreated+after.ReservedIPsCreated+after.DNSRecordsCreated)
	var nodes struct{ Nodes []any }
	v.get("/api/config/nodes", &nodes)
	require.Empty(t, nodes.Nodes)
}

func (v *verbs) cleanup(t *testing.T) {
	done := v.cli("deploy", "verb-1", "--profile="+profile, "--watch")
	require.Equal(t, 0, done.code, "%s%s", done.out, done.stderr)
	n, held := v.card(t, "verb-1"), v.held(t)
	require.NotZero(t, held[0])
	path := fmt.Sprintf("/api/cleanup/node/%d", n.ID)

	// Nothing of this touches anything.
	taken := v.cli("plan", "verb-1", "--profile="+profile)
	require.Equal(t, 1, taken.code)
	require.Regexp(t, `✗ Name +a node named verb-1 exists and is deployed`, taken.out)
	mustRefuse(t, v.post(t, "/api/config/nodes", fmt.Sprintf(`{"node_config":{"node_name":"verb-1","server_profile":%q}}`, profile)), 409, "name_in_use")
	require.Equal(t, 0, v.cli("protect", "verb-1", "--note=ask Ann").code)
	for _, refused := range []result{v.cli("cleanup", "verb-1", "--confirm=verb-1"), v.cli("reinitialize", "verb-1", "--confirm=verb-1")} {
		require.Equal(t, 1, refused.code)
		require.Contains(t, refused.stderr, "verb-1 is protected: ask Ann")
	}
	mustRefuse(t, v.post(t, path, `{"confirm":"verb-1"}`), 409, "wrong_state")
	mustRefuse(t, v.post(t, "/api/reinitialize", fmt.Sprintf(`{"node_id":%d}`, n.ID)), 409, "wrong_state")
	require.Equal(t, 0, v.cli("unprotect", "verb-1").code)
	mustRefuse(t, v.post(t, path, `{}`), 422, "confirmation_mismatch")
	for _, id := range []string{"%25", "verb", "verb-1", "*"} {
		require.Contains(t, []int{404, 422}, v.post(t, "/api/cleanup/node/"+id, `{"confirm":"verb-1"}`).status, id)
	}
	silent := v.cli("cleanup", "verb-1")
	require.Equal(t, 2, silent.code, "nobody can be asked")
	require.Contains(t, silent.stderr, "--confirm=verb-1")
	require.Equal(t, 1, v.cli("cleanup", "verb-1", "--confirm=verb").code)
	dry := v.cli("cleanup", "verb-1", "--dry-run")
	require.Equal(t, 0, dry.code, dry.stderr)
	require.Regexp(t, `(?m)^  server .* slw-verb-1\S* `, dry.out)
	require.Equal(t, held, v.held(t))
	require.Equal(t, "deployed", v.card(t, "verb-1").DeploymentStatus)

	gone := v.cli("cleanup", "verb-1", "--confirm=verb-1", "--watch")
	require.Equal(t, 0, gone.code, "%s%s", gone.out, gone.stderr)
	require.Contains(t, gone.out, "verb-1: cleaned up, everything is gone")
	require.Equal(t, [4]int{}, v.held(t))
	var status struct {
		CleanedUp []struct {
			NodeName string `json:"node_name"`
			Steps    []client.ReleaseStep
		} `json:"cleaned_up"`
	}
	v.get("/api/cleanup/status", &status)
	require.Len(t, status.CleanedUp, 1)
	require.NotEmpty(t, status.CleanedUp[0].Steps)
	for _, step := range status.CleanedUp[0].Steps {
		require.Equal(t, "success", step.Status, "%+v", step)
		require.NotEmpty(t, step.Message, "the proof of %s %s", step.Kind, step.Name)
	}
	after := v.card(t, "verb-1")
	require.Equal(t, "cleanup_completed", after.DeploymentStatus)
	require.Nil(t, after.ManagementIP, "its address is free")
	list := v.cli("resources", "verb-1", "--gone")
	require.Equal(t, 0, list.code, list.stderr)
	require.Regexp(t, `(?m)^verb-1 +server .* gone `, list.out, "its rows are kept")
	require.NotContains(t, v.cli("resources").out, "verb-1")
	mustRefuse(t, v.post(t, path, `{"confirm":"verb-1"}`), 409, "wrong_state")
	require.Contains(t, v.cli("plan", "verb-1", "--profile="+profile).out, "was cleaned up and is deployed again")
}

// machineFault makes machines misbehave; the function it gives ends that.
func (v *verbs) machineFault(t *testing.T, rule string) (clear func()) {
	t.Helper()
	resp, err := http.Post(v.cloud.url+"/_sim/faults", "application/json", strings.NewReader(rule))
	require.NoError(t, err)
	var made struct{ ID string }
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&made))
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	return func() {
		r, err := http.NewRequest(http.MethodDelete, v.cloud.url+"/_sim/faults/"+made.ID, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Less(t, resp.StatusCode, 300)
	}
}

func (v *verbs) retry(t *testing.T) {
	heal := v.machineFault(t, `{"match":"slw-verb-2*","fault":"disk_fails"}`)
	failed := v.cli("deploy", "verb-2", "--profile="+profile, "--watch")
	require.Equal(t, 1, failed.code, "%s%s", failed.out, failed.stderr)
	require.Regexp(t, `(?m)^verb-2: failed in installation: `, failed.out)
	heal()
	made := v.cloud.state(t).ServersCreated
	bad := v.cli("retry", "verb-2", "--from=deployed")
	require.Equal(t, 1, bad.code)
	again := v.cli("retry", "verb-2", "--watch")
	require.Equal(t, 0, again.code, "%s%s", again.out, again.stderr)
	require.Regexp(t, `(?m)^verb-2: attempt 2 begins once it has a slot`, again.out)
	require.Regexp(t, `(?m)^verb-2: deployed at `, again.out)
	require.Equal(t, made, v.cloud.state(t).ServersCreated, "the same server was made to boot again")
	n := v.card(t, "verb-2")
	mustRefuse(t, v.post(t, fmt.Sprintf("/api/deployments/%d/retry", *n.DeploymentID), `{}`), 409, "wrong_state")
	mustRefuse(t, v.post(t, fmt.Sprintf("/api/deployments/dep_%d/cancel", *n.DeploymentID), `{}`), 409, "deployment_ended")

	held := v.held(t)
	anew := v.cli("reinitialize", "verb-2", "--confirm=verb-2", "--watch")
	require.Equal(t, 0, anew.code, "%s%s", anew.out, anew.stderr)
	require.Regexp(t, `(?m)^verb-2: deployment 2 of verb-2 was accepted `, anew.out)
	require.Regexp(t, `(?m)^verb-2: deployed at `, anew.out)
	require.Equal(t, held, v.held(t), "nothing else was ordered")
	require.Equal(t, made, v.cloud.state(t).ServersCreated)
	// The first deployment can no longer take the server away.
	now := v.card(t, "verb-2")
	require.NotEqual(t, *n.DeploymentID, *now.DeploymentID)
	mustRefuse(t, v.post(t, fmt.Sprintf("/api/deployments/%d/retry", *n.DeploymentID), `{}`), 409, "wrong_state")
	old := v.post(t, "/graphql", fmt.Sprintf(`{"query":"mutation { cleanupDeployment(input: {id: \"dep_%d\", confirmNodeName: \"verb-2\"}) { errors { code } } }"}`, *n.DeploymentID))
	require.JSONEq(t, `{"data":{"cleanupDeployment":{"errors":[{"code":"WRONG_STATE"}]}}}`, old.body)
	require.Equal(t, held, v.held(t))
}

func (v *verbs) cancel(t *testing.T) {
	g := v.dark(t, "dark-verb")
	canceled := v.cli("cancel", "dark-verb", "--reason=not needed")
	require.Equal(t, 0, canceled.code, canceled.stderr)
	require.Regexp(t, `^dark-verb: canceled: `, canceled.out)
	require.Contains(t, g.history(t)[len(g.history(t))-1].Message, "not needed")
	twice := v.cli("cancel", fmt.Sprintf("dep_%d", g.deploymentID), "--now")
	require.Equal(t, 1, twice.code)
	require.Contains(t, twice.stderr, "deployment_ended")
	require.Equal(t, 1, v.cli("retry", "dark-verb").code, "it did not fail")
	require.Contains(t, v.cli("resources", "dark-verb").out, " present ", "what was made stays until it is cleaned up")
	// A machine that wakes up now is not installed.
	late := v.curl(t, g.userData)
	require.Equal(t, 200, late.status)
	require.NotContains(t, late.body, "slipway.token=")
}

func (v *verbs) sameName(t *testing.T) {
	before := v.cloud.state(t).ServersCreated
	const n = 4
	codes := make([]int, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			codes[i] = v.post(t, "/api/config/nodes", fmt.Sprintf(`{"node_config":{"node_name":"verb-3","server_profile":%q}}`, profile)).status
		})
	}
	all.Wait()
	won := 0
	for _, c := range codes {
		if c == 202 {
			won++
		} else {
			require.Equal(t, 409, c)
		}
	}
	require.Equal(t, 1, won)
	require.Equal(t, 0, v.cli("watch", "verb-3").code, "the refused ones took nothing away from it")
	require.Equal(t, before+1, v.cloud.state(t).ServersCreated)
	list := v.cli("resources", "verb-3")
	require.Equal(t, 0, list.code)
	require.Regexp(t, `(?m)^verb-3 +server .* present `, list.out)
}

func (v *verbs) adopt(t *testing.T) {
	offer := v.cli("offer")
	require.Equal(t, 0, offer.code, offer.stderr)
	require.Regexp(t, `(?m)^`+profile+` .* yes`, offer.out)
	require.Contains(t, offer.out, vpcsim.DefaultManagementSubnet)
	console := v.cli("console", "verb-3")
	require.Equal(t, 0, console.code, console.stderr)
	require.Regexp(t, `^wss?://\S+\n$`, console.out)

	made := v.cloudMake(t, "bare_metal_servers", map[string]any{
		"name": "old-server", "profile": map[string]any{"name": profile}, "zone": map[string]any{"name": v.cloudList(t, "subnets")[0]["zone"].(map[string]any)["name"]},
		"initialization":             map[string]any{"image": map[string]any{"id": v.cloudList(t, "images")[0]["id"]}, "keys": []any{}},
		"primary_network_attachment": map[string]any{"virtual_network_interface": map[string]any{"subnet": map[string]any{"id": v.cloudList(t, "subnets")[0]["id"]}}},
	})
	eventually(v.ctx, t, "the old server has its address", func() bool {
		for _, s := range v.cloud.state(t).Servers {
			if s.ID == made["id"] && s.IP != "" {
				return true
			}
		}
		return false
	})
	require.Equal(t, 1, v.cli("adopt", "old-server", "--name=old-1").code, "an operator may not")
	dry := v.asAdmin("adopt", "old-server", "--dry-run")
	require.Equal(t, 0, dry.code, dry.stderr)
	require.Contains(t, dry.out, "nothing was done")
	_, err := v.api.FindNode(v.ctx, "old-1")
	require.ErrorIs(t, err, client.ErrNotFound)
	adopted := v.asAdmin("adopt", "old-server", "--name=old-1")
	require.Equal(t, 0, adopted.code, adopted.stderr)
	n := v.card(t, "old-1")
	require.Equal(t, "deployed", n.DeploymentStatus)
	require.True(t, n.Protected)
	require.Equal(t, 1, v.cli("cleanup", "old-1", "--confirm=old-1").code, "an adopted machine is protected")
	require.Equal(t, 1, v.asAdmin("adopt", "old-server", "--name=old-2").code, "it is one node's")
}

// cloudCall speaks to the cloud as somebody else with the same account would.
func (v *verbs) cloudCall(t *testing.T, method, path string, in any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(in)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(context.WithoutCancel(v.ctx), method, v.cloud.url+"/v1/"+path, bytes.NewReader(raw))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Less(t, resp.StatusCode, 300, "%s %s: %s", method, path, body)
	var out map[string]any
	require.NoError(t, json.Unmarshal(body, &out))
	return out
}

const cloudVersion = "?version=2025-01-01&generation=2"

func (v *verbs) cloudMake(t *testing.T, what string, in any) map[string]any {
	t.Helper()
	return v.cloudCall(t, http.MethodPost, what+cloudVersion, in)
}

func (v *verbs) cloudList(t *testing.T, what string) []map[string]any {
	t.Helper()
	var out []map[string]any
	list, ok := v.cloudCall(t, http.MethodGet, what+cloudVersion, nil)[what].([]any)
	require.True(t, ok)
	for _, one := range list {
		out = append(out, one.(map[string]any))
	}
	require.NotEmpty(t, out)
	return out
}

func (v *verbs) drift(t *testing.T) {
	agree := v.cli("drift")
	require.Equal(t, 0, agree.code, "%s%s", agree.out, agree.stderr)
	require.Contains(t, agree.out, "journal and cloud agree")
	lost := v.cloudMake(t, "virtual_network_interfaces", map[string]any{"name": "slw-lost-d999-g1-mgmt", "subnet": map[string]any{"id": v.cloudList(t, "subnets")[0]["id"]}})
	found := v.cli("drift")
	require.Equal(t, 1, found.code, "%s%s", found.out, found.stderr)
	require.Regexp(t, fmt.Sprintf(`(?m)^orphan +vni/%s +slw-lost`, lost["id"]), found.out)
	remove := "--remove=vni/" + lost["id"].(string)
	require.Equal(t, 1, v.cli("drift", remove).code, "an operator may not")
	require.Equal(t, 1, v.asAdmin("drift", "--remove=vni/slw-").code)
	require.Equal(t, 2, v.asAdmin("drift", "--remove=vni").code)
	held := v.held(t)
	gone := v.asAdmin("drift", remove)
	require.Equal(t, 0, gone.code, "%s%s", gone.out, gone.stderr)
	require.Equal(t, held[1]-1, v.held(t)[1])
	require.Equal(t, 0, v.cli("drift").code)
}

// nothingLeft cleans everything up at once, some of it by the command line and
// some over REST.
func (v *verbs) nothingLeft(t *testing.T) {
	require.Equal(t, 0, v.cli("unprotect", "old-1").code)
	dark := v.card(t, "dark-verb")
	got := v.post(t, fmt.Sprintf("/api/cleanup/node/node_%d", dark.ID), `{"confirm":"dark-verb"}`)
	require.Equal(t, 202, got.status, got.body)
	require.NotEmpty(t, got.json(t)["plan"])
	var all sync.WaitGroup
	results := map[string]*result{"old-1": {}, "verb-2": {}, "verb-3": {}}
	for name, r := range results {
		all.Go(func() { *r = v.cli("cleanup", name, "--confirm="+name, "--watch") })
	}
	all.Wait()
	for name, r := range results {
		require.Equal(t, 0, r.code, "%s: %s%s", name, r.out, r.stderr)
	}
	v.events.until(v.ctx, "dark-verb is cleaned up", func(e []client.Event) bool {
		_, ok := find(e, func(e client.Event) bool { return e.DeploymentID == *dark.DeploymentID && e.State == "cleaned_up" })
		return ok
	})
	require.Equal(t, [4]int{}, v.held(t))
	require.Equal(t, 0, v.cli("drift").code)
	mustBeWhole(t, v.table())
}
