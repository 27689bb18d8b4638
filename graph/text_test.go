package graph_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// PostgreSQL keeps no text with U+0000: such an operation is refused before
// anything of it is done, with the place of the text, on either database.
func TestTextsThatCannotBeKeptAreRefused(t *testing.T) {
	const nul = "a\x00b"
	with := func(in m, more m) m {
		out := maps.Clone(in)
		maps.Copy(out, more)
		return m{"input": out}
	}
	each(t, func(t *testing.T, h *house) {
		d := h.order("alpha")
		phases := m{"node": m{"name": "alpha"}, "phaseKey": "pending", "status": "IN_PROGRESS"}
		const (
			report   = `mutation($input:ReportPhaseInput!){x:reportPhase(input:$input){errors{code}}}`
			deployed = `mutation($input:DeployNodeInput!){x:deployNode(input:$input){errors{code}}}`
			many     = `mutation($input:DeployNodesInput!){x:deployNodes(input:$input){errors{code}}}`
			update   = `mutation($input:UpdateNodeInput!){x:updateNode(input:$input){errors{code}}}`
			adopt    = `mutation($input:AdoptServerInput!){x:adoptServer(input:$input){errors{code}}}`
		)
		rows := h.count("deployment_history")
		for where, tc := range map[string]struct {
			doc  string
			vars m
		}{
			"$input.reason":              {verbs["cancel"], with(m{"id": global(d)}, m{"reason": nul})},
			"$input.note":                {verbs["protect"], with(m{"id": nodeOf(d), "protected": true}, m{"note": nul})},
			"$input.confirmNodeName":     {verbs["reinitialize"], m{"input": m{"id": nodeOf(d), "confirmNodeName": nul}}},
			"$input.message":             {report, with(phases, m{"message": nul})},
			"$input.logTail":             {report, with(phases, m{"logTail": nul})},
			"$input.details.a.0.b":       {report, with(phases, m{"details": m{"a": []any{m{"b": nul}}}})},
			"$input.details has a mem":   {report, with(phases, m{"details": m{nul: 1}})},
			"$input.phaseKey":            {report, with(phases, m{"phaseKey": nul})},
			"$input.clusterName":         {deployed, with(vpc("beta"), m{"clusterName": nul})},
			"$input.idempotencyKey":      {deployed, with(vpc("beta"), m{"idempotencyKey": nul})},
			"$input.labels.0.value":      {deployed, with(vpc("beta"), m{"labels": []any{m{"key": "k", "value": nul}}})},
			"$input.spec.ibmVpc.zone":    {deployed, m{"input": m{"name": "beta", "spec": m{"ibmVpc": m{"serverProfile": "p", "zone": nul}}}}},
			"$input.nodes.1.clusterName": {many, m{"input": m{"nodes": []any{vpc("beta"), with(vpc("gamma"), m{"clusterName": nul})["input"]}}}},
			"$input.labels.0.key":        {update, m{"input": m{"id": nodeOf(d), "expectedVersion": 1, "labels": m{"key": nul, "value": "v"}}}}, // a list of one
			"$input.server":              {adopt, m{"input": m{"name": "beta", "server": nul}}},
			"$name":                      {`query($name:String!){bareMetalNode(by:{name:$name}){id}}`, m{"name": nul}},
			"$f.text":                    {`query($f:BareMetalNodeFilter){bareMetalNodes(filter:$f){totalCount}}`, m{"f": m{"text": nul}}},
			"$d":                         {`query($d:String!="a\u0000"){bareMetalNode(by:{name:$d}){id}}`, nil},
			"bareMetalNode(by.name)":     {`{bareMetalNode(by:{name:"a\u0000"}){id}}`, nil},
			"bareMetalNodes(filter.text": {`query{...F} fragment F on Query{bareMetalNodes(filter:{text:"\u0000"}){totalCount}}`, nil},
			"nodes(ids.1)":               {`{nodes(ids:["node_1","\u0000"]){id}}`, nil},
			"cancelDeployment(input.rea": {`mutation{cancelDeployment(input:{id:"dep_1",reason:"\u0000"}){errors{code}}}`, nil},
		} {
			a := h.as("admin", tc.doc, tc.vars)
			require.Equal(t, "INVALID", a.code(t), "%s: %s", where, a.Raw)
			require.Equal(t, http.StatusUnprocessableEntity, a.Status, where)
			require.True(t, strings.HasPrefix(a.Errors[0].Message, where), "%s: %s", where, a.Raw)
			require.Contains(t, a.Errors[0].Message, "U+0000", where)
			require.NotContains(t, a.Raw, `"data"`, where)
		}
		require.Equal(t, rows, h.count("deployment_history"), "nothing was done")
		require.Equal(t, 1, h.count("nodes"))
		long := h.as("operator", report, with(phases, m{"details": m{strings.Repeat("é", 300): nul}}))
		require.Equal(t, "INVALID", long.code(t))
		require.Less(t, len(long.Errors[0].Message), 200, "what the caller made up is bounded")

		// A cursor carries a name, which is a text as well.
		cursor := a64("v1:node.name:1:a\x00")
		for _, c := range []string{cursor, a64("v1:node.name:1:\xff")} {
			a := h.as("viewer", `query($c:Cursor){bareMetalNodes(first:1,after:$c,orderBy:{field:NAME,direction:ASC}){totalCount}}`, m{"c": c})
			require.Equal(t, "INVALID", a.code(t), a.Raw)
		}

		// On a websocket as well.
		s := h.subscribe(`subscription{fleetChanges{__typename}}`, nil)
		s.write(m{"type": "subscribe", "id": "2", "payload": m{"query": `query($n:String!){bareMetalNode(by:{name:$n}){id}}`, "variables": m{"n": nul}}})
		got := s.message()
		for got["id"] != "2" {
			got = s.message()
		}
		require.Equal(t, "error", got["type"], "%v", got)
		require.Equal(t, "INVALID", dig(got, "payload.0.extensions.code"))

		// Every other character is kept as it is.
		const odd = "é \u200b\U0001F680\t\u2028"
		kept := h.verb("protect", m{"id": nodeOf(d), "protected": true, "note": "x" + odd + "x"})
		require.Empty(t, errs(kept, "x.errors"))
		require.Equal(t, "x"+odd+"x", h.ok(`{bareMetalNode(by:{name:"alpha"}){protectNote}}`, nil).get("bareMetalNode.protectNote"))
	})
}

func a64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// What is not UTF-8 is no JSON (RFC 8259, section 8.1): it is refused, not
// changed into something else.
func TestARequestThatIsNotUTF8IsRefused(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		d := h.order("alpha")
		body, err := json.Marshal(m{"query": verbs["cancel"], "variables": m{"input": m{"id": global(d), "reason": "@"}}})
		require.NoError(t, err)
		a := h.send(strings.Replace(string(body), "@", "\xff", 1), "X-Role", "operator")
		require.Equal(t, http.StatusBadRequest, a.Status, a.Raw)
		require.Equal(t, "INVALID", a.code(t))
		require.Equal(t, []any{"CANCEL"}, h.actions(d), "nothing was done")
	})
}
