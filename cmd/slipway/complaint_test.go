package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A token that no server knows is good for nothing: whoever makes one in a new
// database is told, and an empty list of tokens is not taken for the server's.
func TestTokensOfAnotherDatabase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	run := func(args ...string) (int, string, []string) {
		p := runSlipway(t, t.TempDir(), append([]string{"token"}, append(args, "--data-dir="+dir)...)...)
		code := p.end(t.Context())
		return code, p.stderr.String(), p.said()
	}
	file := filepath.Join(dir, "slipway.db")
	code, complaints, said := run("list")
	require.Equal(t, exitFailed, code)
	require.Empty(t, said)
	require.Equal(t, "slipway: there is no database "+file+": --data-dir (SLIPWAY_DATA_DIR) must be the server's\n", complaints)
	require.NoDirExists(t, dir)

	code, complaints, said = run("create", "ops")
	require.Equal(t, exitOK, code)
	require.Len(t, said, 1)
	require.Contains(t, complaints, "the database "+file+" is new")
	code, complaints, said = run("revoke", "1")
	require.Equal(t, []any{exitOK, "", []string{"token 1 is revoked"}}, []any{code, complaints, said})
	code, complaints, _ = run("revoke", "7")
	require.Equal(t, exitFailed, code)
	require.Contains(t, complaints, "there is no token 7")
}

// What a server says, or that there is none, is told in words for people, and
// help that nobody asked for does not get into what a script reads.
func TestComplaints(t *testing.T) {
	answer := func(status int, body string) string {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(web.Close)
		return web.URL
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	refused := answer(401, `{"errors":[{"message":"this token is not valid","extensions":{"code":"UNAUTHENTICATED","requestId":"x"}}]}`)
	for _, c := range []struct {
		name, server string
		args         []string
		code         int
		says         string
	}{
		{"nobody is there", nobody, []string{"nodes"}, exitLost, "slipway: reading nodes: " + nobody + " could not be reached: connect: connection refused; is the server running, and is --server (SLIPWAY_SERVER) right?\n"},
		{"nor for REST", nobody, []string{"drift"}, exitLost, nobody + " could not be reached: connect: connection refused"},
		{"a bad token", refused, []string{"nodes"}, exitFailed, "slipway: reading nodes: this token is not valid (unauthenticated)\n"},
		{"somebody else", answer(404, `{"errors":[{"message":"no such path"}]}`), []string{"nodes"}, exitFailed, "slipway: reading nodes: the server answered 404 Not Found; is --server (SLIPWAY_SERVER) the URL of a Slipway?\n"},
		{"an answer with errors", answer(200, `{"errors":[{"message":"first must be 1 to 200","extensions":{"code":"OUT_OF_RANGE"}}]}`), []string{"nodes"}, exitFailed, "slipway: reading nodes: first must be 1 to 200 (out_of_range)\n"},
		{"a run that is not there", answer(404, `{"error":"there is no run 9 of the deployment script","code":"not_found"}`), []string{"script", "log", "9"}, exitFailed, "slipway: run_9: there is no run 9 of the deployment script (not_found)\n"},
		{"a field", answer(404, `{"error":"the provider \"x\" is not set up on this server","code":"not_found","fields":[{"field":"provider","message":"is not set up on this server"}]}`), []string{"drift", "--provider=x"}, exitFailed,
			"slipway: the provider \"x\" is not set up on this server (not_found)\n"},
		{"fields", answer(422, `{"error":"1 field(s) are not acceptable","code":"invalid","fields":[{"field":"limit","message":"must be a whole number"}]}`), []string{"offer"}, exitFailed,
			"slipway: 1 field(s) are not acceptable (invalid); limit must be a whole number\n"},
		{"no URL", "slipway.example", []string{"nodes"}, exitUsage, "must be http:// or https:// with a host"},
		{"no such flag", nobody, []string{"nodes", "--nonsense"}, exitUsage, "slipway: unknown flag --nonsense\n"},
		{"no such phase", nobody, []string{"nodes", "--phase=flying"}, exitUsage, `slipway: --phase: there is no phase "flying"; there are pending, `},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := runSlipway(t, t.TempDir(), append(c.args, "--server="+c.server, "--token=slw_x")...)
			require.Equal(t, c.code, p.end(t.Context()))
			require.Contains(t, p.stderr.String(), c.says)
			require.Empty(t, p.said(), "nothing is on standard output")
		})
	}
}
