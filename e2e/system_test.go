package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/client"
)

// system is one cloud and one server that several tests use.
type system struct {
	*server
	cloud  *cloud
	events *tail
	ctx    context.Context
	viewer string // a token that may only look
}

// TestSystem has everything that needs a running system and does not kill it.
func TestSystem(t *testing.T) {
	ctx := deadline(t)
	c := startCloud(ctx, t)
	s := newServer(t, c, "serve")
	s.start(ctx)
	y := &system{server: s, cloud: c, events: s.follow(ctx), ctx: ctx}
	y.viewer = must(t, append([]string{"token", "create", "looker", "--role=viewer"}, s.data...)...)
	t.Run("command line", y.commandLine)
	t.Run("orders with curl", y.orders)
	t.Run("reports with curl", y.reports)
	t.Run("what a machine is told to fetch", y.contract)
	t.Run("reads with curl", y.reads)
	t.Run("GraphQL over HTTP", y.graphql)
	t.Run("signing in", y.signIn)
	t.Run("sockets that are refused", y.refusedSockets)
	t.Run("sockets that break", y.brokenSockets)
	t.Run("fleet over sockets", y.fleet)
}

// jsonType is what curl is told to send JSON as.
var jsonType = []string{"-H", "Content-Type: application/json"}

func bearer(token string) []string { return []string{"-H", "Authorization: Bearer " + token} }

// args joins lists of arguments for curl.
func args(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// as reads with curl as an operator.
func (y *system) as(t *testing.T, url string, more ...string) reply {
	t.Helper()
	return y.curl(t, url, args(bearer(y.token), more)...)
}

// dark orders a node that never boots by itself, waits until its server runs,
// and boots it as its firmware would.
func (y *system) dark(t *testing.T, name string) *guest {
	t.Helper()
	got := y.as(t, "/api/config/nodes", args(jsonType, []string{"-d", fmt.Sprintf(`{"node_config":{"node_name":%q,"server_profile":%q}}`, name, profile)})...)
	require.Equal(t, 202, got.status, got.body)
	d := got.json(t)
	require.Equal(t, fmt.Sprintf("/api/status/nodes/%v", d["node_id"]), d["monitoring_endpoint"])
	require.Contains(t, d, "estimated_completion")
	g := &guest{system: y, name: name, nodeID: int64(d["node_id"].(float64)), deploymentID: int64(d["deployment_id"].(float64))}
	y.events.until(y.ctx, name+" runs", func(e []client.Event) bool {
		_, ok := find(e, func(e client.Event) bool {
			return e.DeploymentID == g.deploymentID && e.Phase == "monitoring_start" && strings.Contains(e.Message, "the server is running")
		})
		return ok
	})
	for _, sv := range y.cloud.state(t).Servers {
		if strings.HasPrefix(sv.Name, "slw-"+name+"-d") {
			g.ip, g.userData = sv.IP, sv.UserData
		}
	}
	require.NotEmpty(t, g.userData)
	return g
}

// guest is a machine that the test plays, with curl.
type guest struct {
	*system
	name                 string
	nodeID, deploymentID int64
	ip, userData         string
	script               string // the boot script
	token                string
}

// boot fetches the boot script.
func (g *guest) boot(t *testing.T) {
	t.Helper()
	got := g.curl(t, g.userData)
	require.Equal(t, 200, got.status)
	require.Regexp(t, `^text/plain`, got.header["content-type"])
	require.True(t, strings.HasPrefix(got.body, "#!ipxe\n"))
	m := regexp.MustCompile(`slipway\.token=(slr_\S+)`).FindStringSubmatch(got.body)
	require.NotNil(t, m, got.body)
	g.script, g.token = got.body, m[1]
}

// say reports as the machine: fields are the rest of the JSON document.
func (g *guest) say(t *testing.T, phase, status, fields string, more ...string) reply {
	t.Helper()
	if fields != "" {
		fields = "," + fields
	}
	return g.post(t, fmt.Sprintf(`{"server_ip":%q,"phase":%q,"status":%q%s}`, g.ip, phase, status, fields), args(jsonType, more)...)
}

// post sends a body as the machine.
func (g *guest) post(t *testing.T, body string, more ...string) reply {
	t.Helper()
	return g.curlWith(t, []byte(body), "/api/status/phase", args(bearer(g.token), []string{"--data-binary", "@-"}, more)...)
}

// last is the last row of its history.
func (g *guest) last(t *testing.T) row {
	t.Helper()
	rows := g.history(t)
	return rows[len(rows)-1]
}

func (g *guest) history(t *testing.T) []row {
	t.Helper()
	var out struct {
		Rows []row `json:"deployment_history"`
	}
	g.get(fmt.Sprintf("/api/status/history/%d?include=refused", g.nodeID), &out)
	mustBeWhole(t, out.Rows)
	return out.Rows
}

// mustRefuse checks an error document of the contract.
func mustRefuse(t *testing.T, got reply, status int, code string) {
	t.Helper()
	require.Equal(t, status, got.status, got.body)
	d := got.json(t)
	require.Equal(t, code, d["code"], got.body)
	require.NotEmpty(t, d["error"])
	require.Equal(t, got.header["x-request-id"], d["request_id"])
	require.Equal(t, "application/json", got.header["content-type"])
	require.NotContains(t, strings.ToLower(got.body), "sql")
}

// fields are the codes of the bad fields of an error document.
func fields(t *testing.T, got reply) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, _ := got.json(t)["fields"].([]any)
	for _, f := range list {
		one := f.(map[string]any)
		out[one["field"].(string)] = one["code"].(string)
	}
	return out
}
