package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// What is refused before the GraphQL API sees it is refused in its words:
// errors without data, and a status that says why.
func TestGraphQLRefusals(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	got := r.call(http.MethodPost, "/graphql", "", `{}`, "Content-Type", jsonType)
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Equal(t, "application/graphql-response+json; charset=utf-8", got.header.Get("Content-Type"))
	require.NotEmpty(t, got.header.Get("WWW-Authenticate"))
	require.JSONEq(t, `{"errors":[{"message":"a token or a session is needed; send Authorization: Bearer <token>, or sign in",
		"extensions":{"code":"UNAUTHENTICATED","requestId":"`+got.header.Get("X-Request-Id")+`"}}]}`, got.body)
	got = r.call(http.MethodPost, "/graphql", "", `{}`, "Content-Type", jsonType, "Accept", "application/json")
	require.Equal(t, "application/json; charset=utf-8", got.header.Get("Content-Type"))
}
