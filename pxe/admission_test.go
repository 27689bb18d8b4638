package pxe_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// ask posts to /boot/downloads; a kind that begins with text asks for one line.
func (r *rig) ask(token, body string, header ...string) (int, http.Header, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), "POST", r.web.URL+"/boot/downloads", strings.NewReader(body))
	require.NoError(r.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return res.StatusCode, res.Header, string(text)
}

// downloading is a machine that has come to its images, with its token.
func (r *rig) downloading(name, ip string) (node, string) {
	r.t.Helper()
	n := r.order(name, ip, nil)
	r.admit(n)
	secret := token(r.t, r.boot("/boot/d/"+n.locator))
	status, _, _ := r.call("GET", "/boot/server/"+ip, secret)
	require.Equal(r.t, 200, status)
	r.say(n, phase.ImageDownload, phase.InProgress, phase.ByMachine)
	return n, secret
}

func TestDownloadsWaitForASlot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, settings())
		first, firstToken := r.downloading("web-01", "10.240.0.10")
		second, secondToken := r.downloading("web-02", "10.240.0.11")

		status, _, body := r.ask(firstToken, "bytes=100")
		require.Equal(t, 200, status)
		require.JSONEq(t, `{"admitted":true}`, body)

		status, header, body := r.ask(secondToken, `{"bytes":100}`, "Content-Type", "application/json")
		require.Equal(t, 429, status)
		require.Equal(t, "2", header.Get("Retry-After"))
		var said map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &said))
		require.Equal(t, map[string]any{"error": "waiting for a download slot: 0 before this machine, 1 downloading", "code": "rate_limited",
			"admitted": false, "position": 0.0, "running": 1.0, "retry_after_seconds": 2.0}, said)

		status, header, body = r.ask(secondToken, "bytes=100", "Accept", "text/plain")
		require.Equal(t, 429, status)
		require.Equal(t, "2", header.Get("Retry-After"))
		require.Equal(t, "waiting for a download slot: 0 before this machine, 1 downloading\n", body)

		r.say(first, phase.ImageDownload, phase.Success, phase.ByMachine)
		status, _, body = r.ask(secondToken, "", "Accept", "text/plain")
		require.Equal(t, 200, status)
		require.Equal(t, "admitted\n", body)

		r.say(second, phase.Failed, phase.FailedRun, phase.ByMachine)
		status, _, body = r.ask(secondToken, "bytes=1", "Accept", "text/plain")
		require.Equal(t, 409, status)
		require.Contains(t, body, "deployment_ended")
	})
}

func TestWhoMayAskForASlot(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	_, secret := r.downloading("web-01", "10.240.0.10")
	status, _, _ := r.ask("", "bytes=1")
	require.Equal(t, 401, status)
	operator, _, err := r.access.CreateToken(t.Context(), access.NewToken{Name: "op", Role: access.RoleOperator})
	require.NoError(t, err)
	status, _, _ = r.ask(operator, "bytes=1")
	require.Equal(t, 403, status)
	for body, want := range map[string]int{"bytes=x": 422, "bytes=-1": 422, `{"bytes":"x"}`: 422, "bytes=" + strings.Repeat("1", 5000): 413, "%zz": 422} {
		status, _, answer := r.ask(secret, body)
		require.Equal(t, want, status, "%q answered %s", body, answer)
	}
	status, _, _ = r.call("GET", "/boot/downloads", secret)
	require.Equal(t, 405, status)

	early := r.order("web-02", "10.240.0.11", nil)
	r.admit(early)
	status, _, body := r.ask(token(t, r.boot("/boot/d/"+early.locator)), "bytes=1", "Accept", "text/plain")
	require.Equal(t, 409, status)
	require.Contains(t, body, "out_of_order")
}

func TestAQueuedMachineSeesItsPlace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		r := newRig(t, st, settings())
		n := r.order("web-01", "10.240.0.10", nil)
		require.NoError(t, r.writer.Do(t.Context(), []int64{n.deployment}, nil, func(tx *lifecycle.Tx) error {
			return tx.Await(n.deployment, phase.Pending, "slot", "25 running of 25 slots; 3 before this one in the queue")
		}))
		require.Contains(t, r.boot("/boot/d/"+n.locator), "echo Slipway: 25 running of 25 slots, 3 before this one in the queue\n")
	})
}

// A machine that boots before its order is on record has no address yet: it asks again, and nothing is wrong.
func TestAMachineThatIsFasterThanItsOrder(t *testing.T) {
	r := newRig(t, storetest.SQLite(t), settings())
	n := r.order("web-01", "10.240.0.10", nil)
	r.say(n, phase.Pending, phase.Success, phase.ByWorkflow)
	_, err := r.st.Write.ExecContext(t.Context(), `UPDATE nodes SET management_ip = NULL`)
	require.NoError(t, err)
	early := r.boot("/boot/d/" + n.locator)
	require.Contains(t, early, "its address is not on record yet")
	require.Contains(t, early, "chain --replace")
	require.NotContains(t, early, "slipway.token")
	require.NoError(t, r.writer.Learn(t.Context(), lifecycle.NodeFacts{NodeID: n.id, ManagementIP: "10.240.0.10"}))
	require.Contains(t, r.boot("/boot/d/"+n.locator), "slipway.ip=10.240.0.10 ")
}
