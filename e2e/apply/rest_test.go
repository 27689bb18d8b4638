package apply

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func document(m *machine) map[string]any { return card(m.name, m.ip) }

func card(name, ip string) map[string]any {
	return map[string]any{
		"using_interfaces": map[string]any{
			"interface_01": map[string]any{"interface_name": "eno1", "type": []string{"Primary"}, "vlan_id": "NULL", "Bond_Slave": "NO",
				"Properties": map[string]any{"IP_ADDRESS": ip, "Netmask": "255.255.255.0", "DNS": "192.0.2.2", "mtu": "1500", "gateway": ip[:strings.LastIndex(ip, ".")] + ".1"}},
			"interface_02": map[string]any{"interface_name": "eno2", "type": []string{"Secondary"}, "vlan_id": "101", "Bond_Slave": "NO"},
		},
		"hostname": name, "disk": []string{}, "roles": []string{"Compute"},
	}
}

// request is the body of a request for hosts, by address.
func request(hosts ...*machine) map[string]any {
	out := map[string]any{}
	for _, m := range hosts {
		out[m.ip] = document(m)
	}
	return out
}

// answered is what the endpoint for documents answers.
type answered struct {
	Status  int `json:"-"`
	Results []struct {
		Node, File, Status, Action string
		NodeID                     int64  `json:"node_id"`
		NodeName                   string `json:"node_name"`
		DeploymentID               int64  `json:"deployment_id"`
	}
	Marker        string
	Script        string  `json:"deployment_script"`
	RunID         int64   `json:"run_id"`
	DeploymentIDs []int64 `json:"deployment_ids"`
	Success       bool
	Existing      bool
	Error, Code   string
	Fields        []struct{ Field, Key, Code, Message string }
	ActiveRun     *scriptRun `json:"active_run"`
	Plans         []struct {
		File, Action, Content, Target string
		Number                        int
	}
	Obstacle *struct {
		Error, Code string
	}
}

// scriptRun is a run of the script as REST tells it.
type scriptRun struct {
	ID               int64
	State            string
	Nodes            int
	PID              *int
	ExitCode         *int `json:"exit_code"`
	Signal, Problem  *string
	LogBytes         int64      `json:"log_bytes"`
	RequestedBy      string     `json:"requested_by"`
	StartedAt        *time.Time `json:"started_at"`
	EndedAt          *time.Time `json:"ended_at"`
	CancelRequestedB *string    `json:"cancel_requested_by"`
	Documents        []struct {
		File, Content, SHA256 string
		NodeName              string `json:"node_name"`
		DeploymentID          int64  `json:"deployment_id"`
		Attempt               int
	}
}

// call asks the server and gives the status; out may be nil.
func (h *house) call(method, path string, in, out any) int {
	h.t.Helper()
	status, err := h.ask(method, path, in, out)
	require.NoError(h.t, err, "%s %s", method, path)
	return status
}

// ask is call for whoever may not end the test. headers are "Name: value".
func (h *house) ask(method, path string, in, out any, headers ...string) (status int, err error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(h.ctx, method, "http://"+h.addr+path, bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+h.token)
	r.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil || out == nil {
		return resp.StatusCode, err
	}
	if text, ok := out.(*string); ok {
		*text = string(body)
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return resp.StatusCode, fmt.Errorf("%s: %w", body, err)
	}
	return resp.StatusCode, nil
}

// post sends documents, whatever the answer.
func (h *house) post(in any) (out answered) {
	h.t.Helper()
	out.Status = h.call(http.MethodPost, "/store-deployment-configs", in, &out)
	return out
}

// preview asks what would be written.
func (h *house) preview(in any) (out answered) {
	h.t.Helper()
	out.Status = h.call(http.MethodPost, "/store-deployment-configs?dry_run=true", in, &out)
	require.Equal(h.t, http.StatusOK, out.Status, "%+v", out)
	return out
}

// apply sends documents that are to be accepted.
func (h *house) apply(hosts ...*machine) answered {
	h.t.Helper()
	out := h.post(request(hosts...))
	require.Equal(h.t, http.StatusAccepted, out.Status, "%+v", out)
	require.True(h.t, out.Success)
	require.Equal(h.t, "started", out.Script)
	require.Equal(h.t, h.marker(), out.Marker)
	require.Len(h.t, out.DeploymentIDs, len(hosts))
	return out
}

// deployment gives the deployment of a host in an answer.
func (a answered) deployment(t testing.TB, m *machine) int64 {
	t.Helper()
	for _, r := range a.Results {
		if r.NodeName == m.name {
			return r.DeploymentID
		}
	}
	t.Fatalf("%s is not in the answer %+v", m.name, a)
	return 0
}

func (a answered) node(t testing.TB, m *machine) int64 {
	t.Helper()
	for _, r := range a.Results {
		if r.NodeName == m.name {
			return r.NodeID
		}
	}
	t.Fatalf("%s is not in the answer %+v", m.name, a)
	return 0
}

func (h *house) run(id int64) (out scriptRun) {
	h.t.Helper()
	require.Equal(h.t, http.StatusOK, h.call(http.MethodGet, fmt.Sprintf("/api/script/runs/%d", id), nil, &out))
	return out
}

// awaitRun waits until a run has ended.
func (h *house) awaitRun(id int64) (out scriptRun) {
	h.t.Helper()
	eventually(h.ctx, h.t, fmt.Sprintf("run %d has ended", id), func() bool {
		out = h.run(id)
		return out.EndedAt != nil
	})
	return out
}

// log reads the whole output of a run.
func (h *house) log(run int64) string {
	h.t.Helper()
	var page struct {
		Text string
		End  bool
		Next int64 `json:"next_offset"`
	}
	var all strings.Builder
	for !page.End {
		require.Equal(h.t, http.StatusOK, h.call(http.MethodGet, fmt.Sprintf("/api/script/runs/%d/log?offset=%d", run, page.Next), nil, &page))
		all.WriteString(page.Text)
	}
	return all.String()
}
