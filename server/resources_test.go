package server_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

func TestResourcesArePaged(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		m := r.failed("web-01", "10.0.0.1")
		r.failed("web-02", "10.0.0.2")
		golden(t, "resources", r.get(fmt.Sprintf("/api/resources?node_id=%d", m.nodeID)))
		first := r.get("/api/resources?limit=1").json(t)
		require.Len(t, first["resources"], 1)
		second := r.get("/api/resources?limit=1&after=" + first["next_cursor"].(string)).json(t)
		require.Nil(t, second["next_cursor"])
		require.Equal(t, "web-02", second["resources"].([]any)[0].(map[string]any)["node_name"])
		require.Empty(t, r.get("/api/resources?state=gone").json(t)["resources"])
		require.Len(t, r.get("/api/resources?state=held").json(t)["resources"], 2)
		for _, q := range []string{"node_id=%25", "node_id=web", "state=all", "limit=0", "limit=x", "limit=1001", "after=node_1"} {
			require.Equal(t, 422, r.get("/api/resources?"+q).status, q)
		}
		require.Equal(t, 404, r.get("/api/resources?node_id=999").status)
	})
}

func TestDrift(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.cloud.drift = []deploy.Drift{{Problem: deploy.DriftOrphan, Kind: "vni", Name: "slw-lost", CloudID: "vni-1", Message: "no node holds it"}}
	require.Equal(t, 403, r.get("/api/resources/drift").status, "a viewer does not start it")
	list := r.call("GET", "/api/resources/drift", r.operator, "")
	require.Equal(t, 200, list.status, list.body)
	golden(t, "drift", list)
	require.Equal(t, 409, r.call("GET", "/api/resources/drift?provider=rack", r.operator, "").status)
	require.Equal(t, 404, r.call("GET", "/api/resources/drift?provider=%25", r.operator, "").status)

	const path = "/api/resources/drift/remove"
	require.Equal(t, 403, r.command(path, `{"kind":"vni","cloud_id":"vni-1"}`).status, "an operator does not delete what no node holds")
	remove := func(body string) answered { return r.call("POST", path, r.admin, body, "Content-Type", jsonType) }
	for body, status := range map[string]int{
		`{}`: 422, `{"kind":"vni"}`: 422, `{"cloud_id":"vni-1"}`: 422, `{"kind":"vni","name":"slw-"}`: 404, `{"kind":"vni","name":"%"}`: 404, `{"kind":"server","cloud_id":"vni-1"}`: 404,
		`{"kind":"vni","cloud_id":"vni-1","name":"other"}`: 404, `{"kind":"vni","cloud_id":"vni-1","provider":"rack"}`: 409, `{"kind":"vni","cloud_id":"vni-1","all":true}`: 422,
	} {
		got := remove(body)
		require.Equal(t, status, got.status, "%s: %s", body, got.body)
	}
	require.Empty(t, r.cloud.did)
	r.cloud.removal = &deploy.ProviderError{Code: deploy.CodeConflict, Message: "it is being deleted", Temporary: true}
	under := remove(`{"kind":"vni","cloud_id":"vni-1"}`)
	require.Equal(t, 202, under.status, under.body)
	require.Equal(t, false, under.json(t)["done"])
	r.cloud.removal = nil
	done := remove(`{"kind":"vni","cloud_id":"vni-1","name":"slw-lost"}`)
	require.Equal(t, 200, done.status)
	golden(t, "drift-removed", done)
	require.Equal(t, []string{"remove vni vni-1", "remove vni vni-1"}, r.cloud.did)
}

func TestOffer(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	golden(t, "offer", r.get("/api/providers/ibm_vpc/offer"))
	require.Equal(t, 409, r.get("/api/providers/rack/offer").status)
	require.Equal(t, 404, r.get("/api/providers/%25/offer").status)
}

func TestAdoptOverREST(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		const path = "/api/nodes/adopt"
		require.Equal(t, 403, r.command(path, `{"server":"old-server","name":"old-1"}`).status)
		adopt := func(q, body string) answered { return r.call("POST", path+q, r.admin, body, "Content-Type", jsonType) }
		before := r.everything()
		look := adopt("?dry_run=true", `{"server":"old-server"}`)
		require.Equal(t, 200, look.status, look.body)
		golden(t, "adopt-plan", look)
		for body, status := range map[string]int{
			`{}`: 422, `{"server":"old-server"}`: 422, `{"server":"old-server","name":"Old"}`: 422, `{"server":"%","name":"old-1"}`: 404, `{"server":"old","name":"old-1"}`: 404,
			`{"server":"old-server","name":"old-1","provider":"rack"}`: 409, `{"server":"old-server","name":"old-1","labels":7}`: 422, `{"server":"old-server","name":"old-1","x":1}`: 422,
		} {
			got := adopt("", body)
			require.Equal(t, status, got.status, "%s: %s", body, got.body)
		}
		require.Equal(t, before, r.everything())
		made := adopt("", `{"server":"old-server","name":"old-1","labels":{"rack":"r1"}}`)
		require.Equal(t, 201, made.status, made.body)
		golden(t, "adopt", made)
		st := r.get(made.json(t)["monitoring_endpoint"].(string)).json(t)
		require.Equal(t, "deployed", st["current_phase"])
		require.Equal(t, "10.0.0.99", st["server_ip"])
		for _, q := range []string{"", "?dry_run=true"} {
			taken := adopt(q, `{"server":"old-server","name":"old-2"}`)
			require.Equal(t, 409, taken.status)
			require.Contains(t, taken.body, "belongs to the node old-1 already")
		}
	})
}

func TestConsoleOverREST(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.failed("web-01", "10.0.0.1")
	path := fmt.Sprintf("/api/nodes/%d/console", m.nodeID)
	require.Equal(t, 403, r.call("POST", path, r.viewer, "").status)
	got := r.command(path, "")
	require.Equal(t, 200, got.status, got.body)
	golden(t, "console", got)
	require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	require.Equal(t, "wss://cloud.test/1\n", r.command(path, `{"type":"vnc","force":true}`, "Accept", "text/plain").body)
	for _, body := range []string{`{"type":"telnet"}`, `{"force":"very"}`, `{"x":1}`} {
		require.Equal(t, 422, r.command(path, body).status, body)
	}
	require.Equal(t, 404, r.command("/api/nodes/999/console", "").status)
	require.Equal(t, 422, r.command("/api/nodes/%25/console", "").status)
}

// TestAProvidersTroubleIsTold: as its own, and without inner texts.
func TestAProvidersTroubleIsTold(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	m := r.failed("web-01", "10.0.0.1")
	calls := func() []answered {
		return []answered{
			r.command(fmt.Sprintf("/api/cleanup/node/%d?dry_run=true", m.nodeID), `{"confirm":"web-01"}`), r.call("GET", "/api/resources/drift", r.operator, ""),
			r.get("/api/providers/ibm_vpc/offer"), r.command(fmt.Sprintf("/api/nodes/%d/console", m.nodeID), ""),
			r.call("POST", "/api/nodes/adopt", r.admin, `{"server":"old-server","name":"old-1"}`, "Content-Type", jsonType),
		}
	}
	before := r.everything()
	r.cloud.trouble = &deploy.ProviderError{Code: deploy.CodeForbidden, Message: "the key may not do this", Hint: "give it more", Temporary: true}
	for i, got := range calls() {
		require.Equal(t, 503, got.status, "%d: %s", i, got.body)
		require.Equal(t, "upstream_unavailable", got.json(t)["code"])
		require.NotEmpty(t, got.header.Get("Retry-After"))
	}
	r.cloud.trouble = errors.New("panic: inner secret")
	for i, got := range calls() {
		require.Equal(t, 500, got.status, "%d", i)
		require.NotContains(t, got.body, "secret")
	}
	require.Equal(t, before, r.everything())
}

func TestWithoutProvidersToAsk(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), func(p *server.Parts) { p.Operations = nil })
	require.Equal(t, 404, r.command("/api/cleanup/node/1", `{}`).status)
	got := r.call("POST", "/api/config/nodes?dry_run=true", r.operator, goodOrder, "Content-Type", jsonType)
	require.Equal(t, 409, got.status, got.body)
	require.Equal(t, 422, r.command("/api/reinitialize", `{}`).status, "what needs none is there")
}
