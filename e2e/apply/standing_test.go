package apply

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// standing is how a deployment stands.
type standing struct {
	State       string
	PhaseKey    string
	PhaseStatus string
	Attempt     int
	Failure     *struct{ PhaseKey, Code, Message, Hint, LogTail string }
	SSHProbe    *struct {
		Target                                               string
		Attempt, MaxAttempts                                 int
		NextAttemptAt, LastAttemptAt                         *time.Time
		LastErrorClass, LastMessage                          string
		OfferedHostKey, OfferedFingerprint, KnownFingerprint string
	}
}

const standingQuery = `query($id: ID!) { deployment(id: $id) { state phaseKey phaseStatus attempt failure { phaseKey code message hint }
	sshProbe { target attempt maxAttempts nextAttemptAt lastAttemptAt lastErrorClass lastMessage offeredHostKey offeredFingerprint knownFingerprint } } }`

func (h *house) standing(id int64) standing {
	h.t.Helper()
	var out struct {
		Data   struct{ Deployment *standing }
		Errors json.RawMessage
	}
	in := map[string]any{"query": standingQuery, "variables": map[string]any{"id": fmt.Sprintf("dep_%d", id)}}
	require.Equal(h.t, http.StatusOK, h.call(http.MethodPost, "/graphql", in, &out))
	require.NotNil(h.t, out.Data.Deployment, "%s", out.Errors)
	return *out.Data.Deployment
}

// await waits until a deployment stands as asked for.
func (h *house) await(id int64, what string, is func(standing) bool) (out standing) {
	h.t.Helper()
	var last string
	defer func() {
		if h.ctx.Err() != nil {
			h.t.Logf("deployment %d was last seen as %s", id, last)
		}
	}()
	eventually(h.ctx, h.t, fmt.Sprintf("deployment %d: %s", id, what), func() bool {
		out = h.standing(id)
		raw, err := json.Marshal(out)
		require.NoError(h.t, err)
		last = string(raw)
		if out.State != "QUEUED" && out.State != "RUNNING" && out.State != "CANCELING" && !is(out) {
			h.t.Fatalf("deployment %d: waiting for %q: %s", id, what, last)
		}
		return is(out)
	})
	return out
}

func (h *house) awaitDeployed(id int64) standing {
	h.t.Helper()
	return h.await(id, "deployed", func(s standing) bool { return s.State == "SUCCEEDED" })
}

// awaitScript waits until a deployment is seen waiting for the script's end.
func (h *house) awaitScript(id int64) standing {
	h.t.Helper()
	return h.await(id, "the script runs", func(s standing) bool { return s.PhaseKey == "script_started" && s.PhaseStatus == "IN_PROGRESS" })
}

func (h *house) awaitFailed(id int64, code string) standing {
	h.t.Helper()
	got := h.await(id, "failed: "+code, func(s standing) bool { return s.State == "FAILED" })
	require.NotNil(h.t, got.Failure)
	require.Equal(h.t, code, got.Failure.Code, "%+v", got.Failure)
	return got
}

// awaitClass waits until polling has met a class of failure at least n times.
func (h *house) awaitClass(id int64, class string, n int) standing {
	h.t.Helper()
	return h.await(id, fmt.Sprintf("%s in attempt %d", class, n), func(s standing) bool {
		require.NotEqual(h.t, "SUCCEEDED", s.State, "it was not to be found well")
		return s.PhaseKey == "ssh_polling" && s.SSHProbe != nil && s.SSHProbe.Attempt >= n && s.SSHProbe.LastErrorClass == class
	})
}

// event is a row of a node's history.
type event struct {
	Phase, Status, Message, State, Outcome, Source, Actor string
	Sequence, Attempt                                     int
	DeploymentID                                          int64  `json:"deployment_id"`
	LogTail                                               string `json:"log_tail"`
}

// history is all that happened to a deployment; it must be numbered without a
// gap.
func (h *house) history(node, deployment int64) []event {
	h.t.Helper()
	var out struct {
		History []event `json:"deployment_history"`
	}
	require.Equal(h.t, http.StatusOK, h.call(http.MethodGet, fmt.Sprintf("/api/status/history/%d?deployment=dep_%d", node, deployment), nil, &out))
	for i, e := range out.History {
		require.Equal(h.t, i+1, e.Sequence)
	}
	return out.History
}

// phases is the way that a history tells, without repetitions.
func phases(list []event) string {
	var out []string
	for _, e := range list {
		if step := e.Phase + " " + e.Status; len(out) == 0 || out[len(out)-1] != step {
			out = append(out, step)
		}
	}
	return strings.Join(out, ", ")
}

// wholeWay is the history of a deployment that nothing went wrong with.
const wholeWay = "pending waiting, pending success, config_stored in_progress, config_stored success, script_started in_progress, script_started success, " +
	"reboot_wait in_progress, reboot_wait success, ssh_polling in_progress, ssh_polling success, health_validation in_progress, health_validation success, deployed success"
