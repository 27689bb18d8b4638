package graph_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/bulk"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/graph"
)

const (
	bulkFields  = `id action mode reason selection state total counts{state count} maxParallel stopAfterFailures requestedBy{kind name} canceledBy finishedAt version`
	bulkDoc     = `mutation($input:BulkDeploymentActionInput!){x:bulkDeploymentAction(input:$input){matched operation{` + bulkFields + `} errors{code message field}}}`
	previewDoc  = `query($input:BulkSelectionInput!){x:bulkPreview(input:$input){chosen matched leftOut{reason count} confirmation errors{code message field}}}`
	bulkItems   = `query($id:ID!,$first:Int,$after:Cursor,$states:[BulkItemState!]){bulkOperation(id:$id){` + bulkFields + ` items(first:$first,after:$after,states:$states){pageInfo{hasNextPage hasPreviousPage endCursor} edges{cursor node{number}} nodes{number state code message startedAt finishedAt bareMetalNode{name} deployment{id state node{name}} newDeployment{id}}}}}`
	cancelsBulk = `mutation($id:ID!){x:cancelBulkOperation(input:{id:$id}){operation{state canceledBy} errors{code}}}`
)

// failing orders nodes whose deployments have failed where their server is ordered.
func (h *house) failing(names ...string) (list []string) {
	h.t.Helper()
	for _, name := range names {
		d := h.order(name)
		h.report(d, phase.Pending, phase.Success, "")
		h.report(d, phase.ServerRequested, phase.FailedRun, "no quota for "+name)
		list = append(list, fmt.Sprintf("dep_%d", d.DeploymentID))
	}
	return list
}

func (h *house) bulkNow(id any, vars m) answer {
	h.t.Helper()
	if vars == nil {
		vars = m{}
	}
	vars["id"] = id
	if vars["first"] == nil {
		vars["first"] = 50
	}
	return h.ok(bulkItems, vars)
}

func TestBulkDeploymentAction(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.failing("f-1", "f-2", "f-3")
		h.order("on-its-way")
		p := h.ok(previewDoc, m{"input": m{"action": "CLEANUP", "nodeFilter": m{}}})
		require.Equal(t, m{"chosen": 4.0, "matched": 3.0, "leftOut": []any{m{"reason": "WRONG_STATE", "count": 1.0}}, "confirmation": "clean up 3", "errors": []any{}}, p.get("x"))
		p = h.ok(previewDoc, m{"input": m{"action": "RETRY", "filter": m{"states": []string{"FAILED"}}}})
		require.Nil(t, p.get("x.confirmation"))
		p = h.ok(previewDoc, m{"input": m{"action": "PROBE_NOW", "nodeFilter": m{}, "ids": []string{}}})
		require.Equal(t, []string{"INVALID action", "INVALID ids"}, errs(p, "x.errors"))

		in := m{"action": "RETRY", "nodeFilter": m{"failurePhases": []string{"SERVER_REQUESTED"}}, "expectedCount": 2, "maxParallel": 2, "stopAfterFailures": 2, "reason": "again", "idempotencyKey": "k"}
		a := h.ok(bulkDoc, m{"input": in})
		require.Equal(t, []string{"VERSION_MISMATCH expectedCount"}, errs(a, "x.errors"))
		require.Contains(t, a.get("x.errors.0.message"), "3 deployments match now, not 2")
		require.Equal(t, m{"x": m{"matched": 0.0, "operation": nil, "errors": a.get("x.errors")}}, a.Data)
		clean := m{"action": "CLEANUP", "nodeFilter": in["nodeFilter"], "expectedCount": 3, "confirm": "yes"}
		require.Equal(t, []string{"CONFIRMATION_MISMATCH confirm"}, errs(h.ok(bulkDoc, m{"input": clean}), "x.errors"))
		none := m{"action": "RETRY", "nodeFilter": m{}, "expectedCount": 3, "maxParallel": 0}
		require.Equal(t, []string{"OUT_OF_RANGE maxParallel"}, errs(h.ok(bulkDoc, m{"input": none}), "x.errors"))
		require.Equal(t, 0, h.count("bulk_operations"))

		in["expectedCount"] = 3
		a = h.ok(bulkDoc, m{"input": in})
		require.Empty(t, errs(a, "x.errors"), a.Raw)
		op := a.get("x.operation").(m)
		require.Equal(t, []any{"RETRY", nil, "again", "RUNNING", 3.0, 2.0, 2.0}, []any{op["action"], op["mode"], op["reason"], op["state"], op["total"], op["maxParallel"], op["stopAfterFailures"]})
		require.Equal(t, m{"nodeFilter": m{"failurePhases": []any{"SERVER_REQUESTED"}}}, op["selection"])
		require.Equal(t, m{"kind": "TOKEN", "name": "tester"}, op["requestedBy"])
		require.Equal(t, op["id"], h.ok(bulkDoc, m{"input": in}).get("x.operation.id"), "the same key is the same operation")

		require.NoError(t, h.bulk.Tick(t.Context()))
		now := h.bulkNow(op["id"], m{"states": []string{"RUNNING"}})
		require.Equal(t, []any{m{"state": "WAITING", "count": 1.0}, m{"state": "RUNNING", "count": 2.0}}, now.get("bulkOperation.counts"))
		require.Equal(t, "f-1", now.get("bulkOperation.items.nodes.0.bareMetalNode.name"))
		require.Equal(t, "QUEUED", now.get("bulkOperation.items.nodes.0.deployment.state"))
		require.Equal(t, "f-2", now.get("bulkOperation.items.nodes.1.deployment.node.name"))
		require.Nil(t, now.get("bulkOperation.items.nodes.0.newDeployment"))
		page := h.bulkNow(op["id"], m{"first": 2})
		require.Equal(t, m{"hasNextPage": true, "hasPreviousPage": false, "endCursor": "2"}, page.get("bulkOperation.items.pageInfo"))
		page = h.bulkNow(op["id"], m{"first": 2, "after": page.get("bulkOperation.items.pageInfo.endCursor")})
		require.Equal(t, []any{m{"cursor": "3", "node": m{"number": 3.0}}}, page.get("bulkOperation.items.edges"))

		ended := h.ok(cancelsBulk, m{"id": op["id"]})
		require.Equal(t, m{"state": "CANCELING", "canceledBy": "tester"}, ended.get("x.operation"))
		list := h.ok(`{bulkOperations{nodes{id state} edges{cursor} pageInfo{hasNextPage}} node(id:"`+op["id"].(string)+`"){id ...on BulkOperation{total}}}`, nil)
		require.Equal(t, op["id"], list.get("bulkOperations.nodes.0.id"))
		require.EqualValues(t, 3, list.get("node.total"))
		for _, id := range []string{"bulk_99", "dep_1", "?"} {
			require.Nil(t, h.ok(`query($id:ID!){bulkOperation(id:$id){id}}`, m{"id": id}).get("bulkOperation"), id)
			require.Equal(t, "NOT_FOUND", strings.Fields(errs(h.ok(cancelsBulk, m{"id": id}), "x.errors")[0])[0])
		}
		require.Equal(t, "FORBIDDEN", h.as("viewer", bulkDoc, m{"input": in}).code(t))
	})
}

func TestBulkOperationIsFollowed(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ids := h.failing("f-1", "f-2")
		a := h.ok(bulkDoc, m{"input": m{"action": "CLEANUP", "ids": ids, "expectedCount": 2, "confirm": "clean up 2"}})
		id := a.get("x.operation.id")
		s := h.subscribe(`subscription($id:ID!){bulkOperationChanges(id:$id,heartbeatSeconds:1){at operation{id state version counts{state count}}}}`, m{"id": id})
		first := s.next()
		require.Equal(t, "RUNNING", dig(first, "operation.state"))
		require.Equal(t, dig(first, "operation.version"), dig(s.next(), "operation.version"), "a sign of life")
		require.NoError(t, h.bulk.Tick(t.Context()))
		for _, id := range ids {
			var n int64
			_, err := fmt.Sscanf(id, "dep_%d", &n)
			require.NoError(t, err)
			for _, status := range []phase.Status{phase.InProgress, phase.Success} {
				_, err := h.writer.Report(t.Context(), lifecycle.Report{DeploymentID: n, Phase: phase.Cleanup, Status: status, As: phase.ByWorkflow, Source: "orchestrator"})
				require.NoError(t, err)
			}
		}
		require.NoError(t, h.bulk.Tick(t.Context()))
		for last := first; ; last = s.next() {
			if dig(last, "operation.state") == "DONE" {
				require.Equal(t, []any{m{"state": "SUCCEEDED", "count": 2.0}}, dig(last, "operation.counts"))
				break
			}
		}
		require.Equal(t, "complete", s.message()["type"])
		gone := h.subscribe(`subscription{bulkOperationChanges(id:"bulk_77"){at}}`, nil)
		require.Equal(t, "NOT_FOUND", dig(gone.message(), "payload.0.extensions.code"))
	})
}

func TestFailureGroups(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.failing("f-1", "f-2", "f-3")
		d := h.order("other")
		h.report(d, phase.Pending, phase.FailedRun, "no slot")
		const doc = `query($f:BareMetalNodeFilter){failureGroups(filter:$f){phase phaseKey code count newestAt oldestAt message hint retryable nodes(first:2){nodes{name} totalCount pageInfo{hasNextPage}}}}`
		a := h.ok(doc, nil)
		require.Len(t, a.get("failureGroups"), 2)
		g := a.get("failureGroups.0").(m)
		require.Equal(t, []any{"SERVER_REQUESTED", "server_requested", "reported_failure", 3.0, "no quota for f-3"}, []any{g["phase"], g["phaseKey"], g["code"], g["count"], g["message"]})
		require.Equal(t, []any{m{"name": "f-1"}, m{"name": "f-2"}}, dig(g, "nodes.nodes"))
		require.EqualValues(t, 3, dig(g, "nodes.totalCount"))
		require.Equal(t, true, dig(g, "nodes.pageInfo.hasNextPage"))
		require.Less(t, g["oldestAt"], g["newestAt"])
		a = h.ok(doc, m{"f": m{"text": "f-2"}})
		require.EqualValues(t, 1, a.get("failureGroups.0.nodes.totalCount"), "the group's machines are among those that match")
		a = h.ok(`{bareMetalNodes(filter:{failureCodes:["reported_failure"],failurePhases:[PENDING]}){nodes{name}} fleetSummary(filter:{failurePhases:[PENDING]}){total}}`, nil)
		require.Equal(t, []any{m{"name": "other"}}, a.get("bareMetalNodes.nodes"))
		require.EqualValues(t, 1, a.get("fleetSummary.total"))
	})
}

func TestSeriesOverTime(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.finish(h.order("done"))
		h.failing("f-1")
		const doc = `query($p:Provider,$s:String,$ph:Phase,$from:Time!,$to:Time!,$b:Duration!){
			durationSeries(provider:$p,serverProfile:$s,phase:$ph,from:$from,to:$to,bucket:$b){start count p50 p95}
			successSeries(provider:$p,serverProfile:$s,from:$from,to:$to,bucket:$b){provider serverProfile buckets{start succeeded failed canceled}}}`
		from := time.Now().UTC().Add(-30 * time.Minute).Truncate(time.Second)
		vars := m{"from": from, "to": from.Add(2 * time.Hour), "b": time.Hour.Milliseconds(), "p": "IBM_VPC", "s": "bx2d-metal-96x384"}
		a := h.ok(doc, vars)
		require.Len(t, a.get("durationSeries"), 2)
		require.EqualValues(t, 1, a.get("durationSeries.0.count"))
		require.NotNil(t, a.get("durationSeries.0.p95"))
		require.Equal(t, m{"start": from.Add(time.Hour).Format(time.RFC3339), "count": 0.0, "p50": nil, "p95": nil}, a.get("durationSeries.1"))
		b := a.get("successSeries.0.buckets.0").(m)
		require.Equal(t, []any{1.0, 1.0, 0.0}, []any{b["succeeded"], b["failed"], b["canceled"]})
		vars["ph"] = "IMAGE_DOWNLOAD"
		require.EqualValues(t, 1, h.ok(doc, vars).get("durationSeries.0.count"))
		vars["b"] = 1000
		require.Equal(t, "OUT_OF_RANGE", h.as("viewer", doc, vars).code(t))
	})
}

// What the settings page does: only an admin may, and a secret is told once.
func TestTokensAndSessions(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		keys := access.New(h.st)
		admin := func(doc string, vars m) answer {
			t.Helper()
			a := h.as("admin", doc, vars)
			require.Empty(t, a.Errors, a.Raw)
			return a
		}
		const makeDoc = `mutation($input:CreateApiTokenInput!){x:createApiToken(input:$input){secret token{id name role createdBy expiresAt lastUsedAt revokedAt active current} errors{code field}}}`
		a := admin(makeDoc, m{"input": m{"name": "ci", "role": "OPERATOR", "days": 30}})
		require.Empty(t, errs(a, "x.errors"), a.Raw)
		secret := a.get("x.secret").(string)
		p, err := keys.Authenticate(t.Context(), secret)
		require.NoError(t, err)
		require.Equal(t, []any{"ci", access.RoleOperator}, []any{p.Name, p.Role})
		tok := a.get("x.token").(m)
		require.Equal(t, []any{"ci", "OPERATOR", "tester", true, false, nil}, []any{tok["name"], tok["role"], tok["createdBy"], tok["active"], tok["current"], tok["revokedAt"]})
		require.NotNil(t, tok["expiresAt"])
		require.Equal(t, []string{"REQUIRED name"}, errs(admin(makeDoc, m{"input": m{"name": "", "role": "ADMIN"}}), "x.errors"))
		require.Equal(t, []string{"OUT_OF_RANGE days"}, errs(admin(makeDoc, m{"input": m{"name": "x", "role": "ADMIN", "days": 0}}), "x.errors"))

		list := admin(`{apiTokens{id name active}}`, nil)
		require.Equal(t, []any{m{"id": tok["id"], "name": "ci", "active": true}}, list.get("apiTokens"))
		require.NotContains(t, list.Raw, secret)
		const revoke = `mutation($id:ID!){x:revokeApiToken(input:{id:$id}){token{id active revokedAt} errors{code field}}}`
		for range 2 {
			a = admin(revoke, m{"id": tok["id"]})
			require.Equal(t, false, a.get("x.token.active"), a.Raw)
			require.NotNil(t, a.get("x.token.revokedAt"))
		}
		_, err = access.New(h.st).Authenticate(t.Context(), secret)
		require.Error(t, err)
		for _, id := range []any{"tok_99", "ses_1", "?"} {
			require.Contains(t, errs(admin(revoke, m{"id": id}), "x.errors")[0], "NOT_FOUND")
		}

		a = admin(`mutation{x:createSignIn(input:{name:"ada",role:VIEWER}){code errors{code}}}`, nil)
		session, _, err := keys.SignIn(t.Context(), a.get("x.code").(string))
		require.NoError(t, err)
		who := admin(`{sessions{id name role createdBy current}}`, nil)
		require.Equal(t, m{"id": who.get("sessions.0.id"), "name": "ada", "role": "VIEWER", "createdBy": "tester", "current": false}, who.get("sessions.0"))
		a = admin(`mutation($id:ID!){x:endSession(input:{id:$id}){errors{code}}}`, m{"id": who.get("sessions.0.id")})
		require.Empty(t, errs(a, "x.errors"))
		require.Empty(t, admin(`{sessions{id}}`, nil).get("sessions"))
		_, err = access.New(h.st).Authenticate(t.Context(), session)
		require.Error(t, err)

		for _, doc := range []string{`{apiTokens{id}}`, `{sessions{id}}`, `mutation{createSignIn(input:{name:"x",role:ADMIN}){code}}`, `mutation{createApiToken(input:{name:"x",role:ADMIN}){secret}}`} {
			require.Equal(t, "FORBIDDEN", h.as("operator", doc, nil).code(t), doc)
		}
		require.Contains(t, h.log.String(), "create_token")
		require.NotContains(t, h.log.String(), secret)
	})
}

// A server without these parts says so.
func TestFleetPartsThatAreNotThere(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.strip()
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.ok(bulkDoc, m{"input": m{"action": "RETRY", "nodeFilter": m{}, "expectedCount": 1}}), "x.errors"))
		require.Equal(t, []string{"WRONG_STATE"}, errs(h.ok(previewDoc, m{"input": m{"action": "RETRY", "nodeFilter": m{}}}), "x.errors"))
		a := h.ok(`{bulkOperations{nodes{id}} bulkOperation(id:"bulk_1"){id}}`, nil)
		require.Empty(t, a.get("bulkOperations.nodes"))
		require.Equal(t, "WRONG_STATE", h.as("admin", `{apiTokens{id}}`, nil).code(t))
	})
}

// Ten thousand are one operation, taken at once.
func TestManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.order("first")
		require.NoError(t, h.st.InTx(t.Context(), func(tx *sql.Tx) error { return multiply(t.Context(), tx, d.DeploymentID, bulk.Most-1) }))
		begun := time.Now()
		a := h.ok(bulkDoc, m{"input": m{"action": "CANCEL", "mode": "IMMEDIATE", "nodeFilter": m{"states": []string{"QUEUED"}}, "expectedCount": bulk.Most}})
		require.Empty(t, errs(a, "x.errors"), a.Raw)
		t.Logf("%d deployments in %v", bulk.Most, time.Since(begun))
		require.NoError(t, h.st.InTx(t.Context(), func(tx *sql.Tx) error { return multiply(t.Context(), tx, d.DeploymentID, 1) }))
		p := h.ok(previewDoc, m{"input": m{"action": "CANCEL", "nodeFilter": m{}}})
		require.Equal(t, []string{"OUT_OF_RANGE"}, errs(p, "x.errors"))
	})
}

// multiply makes n more nodes with a queued deployment each.
func multiply(ctx context.Context, tx *sql.Tx, like int64, n int) error {
	var most int64
	if err := tx.QueryRowContext(ctx, `SELECT MAX(id) FROM nodes`).Scan(&most); err != nil {
		return err
	}
	numbers := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `, n)
	for _, q := range []string{
		numbers + fmt.Sprintf(`INSERT INTO nodes (name, provider, server_profile, state, deployment_status, created_at, updated_at)
			SELECT 'more-' || (i + %d), 'ibm_vpc', 'p', 'queued', 'pending', created_at, updated_at FROM n, nodes WHERE nodes.name = 'first'`, most),
		fmt.Sprintf(`INSERT INTO deployments (node_id, number, state, phase, phase_status, provider, config, requested_by_kind, requested_by, created_at, updated_at)
			SELECT m.id, 1, d.state, d.phase, d.phase_status, d.provider, d.config, 'token', 't', d.created_at, d.updated_at FROM nodes m, deployments d WHERE m.current_deployment_id IS NULL AND d.id = %d`, like),
		`UPDATE nodes SET current_deployment_id = (SELECT d.id FROM deployments d WHERE d.node_id = nodes.id) WHERE current_deployment_id IS NULL`,
	} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

// strip makes the API anew, without bulk operations and the management of access.
func (h *house) strip() {
	d := h.deps
	d.Bulk, d.Keys = nil, nil
	h.handler = graph.NewHandler(d)
}
