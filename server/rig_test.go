package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/apply"
	"github.com/slipwayhq/slipway/deploy/apply/applytest"
	"github.com/slipwayhq/slipway/deploy/cluster"
	"github.com/slipwayhq/slipway/deploy/feed"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/operation"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
	"github.com/slipwayhq/slipway/server"
)

// rig is the server on real parts: database, writer, feed, access.
type rig struct {
	t      testing.TB
	st     *store.Store
	writer *lifecycle.Writer
	feed   *feed.Feed
	access *access.Service
	srv    *server.Server
	cloud  *fakeCloud
	host   *applytest.Host // of the deployment script
	nudged []int64         // deployments whose host was to be asked at once
	cvms   *controllers
	groups *cluster.Service
	web    *httptest.Server

	viewer, operator, admin string // API tokens
}

type option func(*server.Parts)

func newRig(t testing.TB, st *store.Store, opts ...option) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{t: t, st: st, access: access.New(st), feed: feed.New(st, feed.Options{})}
	r.cloud = &fakeCloud{t: t}
	metrics := server.NewMetrics()
	r.writer = lifecycle.New(st, lifecycle.Options{OnCommit: r.feed.Wake, OnOutcome: metrics.Report})
	done := make(chan struct{}, 3)
	go func() { r.writer.Run(ctx); done <- struct{}{} }()
	go func() { _ = r.feed.Run(ctx); done <- struct{}{} }()
	statuses := query.NewStatuses(st.Ent(), nil)
	r.host = applytest.New("lab")
	scripts := apply.New(apply.Deps{Host: r.host, Provider: ordering{}, Store: st, Writer: r.writer, LookEvery: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	go func() { scripts.Run(ctx); done <- struct{}{} }()
	planner := operation.New(operation.Deps{
		Providers: map[string]deploy.Provider{deploy.ProviderIBMVPC: r.cloud, deploy.ProviderRack: bareProvider{}}, Store: st, Writer: r.writer,
		Typical: statuses, BaseURL: "http://slipway.test:8080", Slots: 25, Logger: slog.New(slog.DiscardHandler),
	})
	r.cvms = &controllers{}
	r.groups = cluster.New(cluster.Deps{Store: st, Writer: r.writer, CVMs: r.cvms, Planner: planner, Installer: "install.sh", Logger: slog.New(slog.DiscardHandler)})
	p := server.Parts{
		Clusters: r.groups,
		Scripts:  scripts, Settings: server.Settings{ScriptLogEvery: 5 * time.Millisecond},
		Nudge: func(_ context.Context, deploymentID int64, _ deploy.Actor) error {
			r.nudged = append(r.nudged, deploymentID)
			return nil
		},
		Store: st, Access: r.access, Lifecycle: r.writer, Statuses: statuses, Fleet: query.NewFleet(st.Ent(), statuses, nil), Feed: r.feed, Metrics: metrics,
		Operations: planner,
		Strangers:  access.NewStrangers(r.writer.Stranger, nil, nil),
		GraphQL:    http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":{}}`) }),
		Boot:       http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "boot "+r.URL.Path) }),
		Artifacts: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Method+" "+r.PathValue("name"))
		}),
		Log: slog.New(slog.DiscardHandler),
	}
	for _, o := range opts {
		o(&p)
	}
	var err error
	r.srv, err = server.New(p)
	require.NoError(t, err)
	r.web = httptest.NewServer(r.srv)
	t.Cleanup(func() {
		r.srv.Drain()
		r.web.Close()
		cancel()
		for range cap(done) {
			<-done
		}
	})
	<-r.feed.Ready()
	r.viewer, r.operator, r.admin = r.token(access.RoleViewer), r.token(access.RoleOperator), r.token(access.RoleAdmin)
	return r
}

// ordering is a provider that takes every order.
type ordering struct{ deploy.Provider }

func (ordering) Order(context.Context, deploy.Order) (deploy.Machine, error) {
	return deploy.Machine{}, nil
}

func each(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, st *store.Store) { fn(t, newRig(t, st)) })
}

func (r *rig) token(role access.Role) string {
	r.t.Helper()
	secret, _, err := r.access.CreateToken(r.t.Context(), access.NewToken{Name: string(role) + "-token", Role: role})
	require.NoError(r.t, err)
	return secret
}

// machine is a node whose machine has booted and has a report token.
type machine struct {
	nodeID, deploymentID int64
	name, ip, token      string
}

// order makes a node that waits for its machine's first boot.
func (r *rig) order(name, ip string) machine {
	r.t.Helper()
	ctx := r.t.Context()
	d, err := r.writer.Deploy(ctx, lifecycle.NewDeployment{
		Name: name, Spec: deploy.Spec{Provider: deploy.ProviderIBMVPC, ServerProfile: "bx2d-metal-96x384"}, Actor: deploy.System,
	})
	require.NoError(r.t, err)
	require.NoError(r.t, r.writer.Learn(ctx, lifecycle.NodeFacts{NodeID: d.NodeID, ManagementIP: ip}))
	for _, k := range []string{phase.Pending, phase.ServerRequested} {
		r.workflow(d.DeploymentID, k, phase.Success)
	}
	return machine{nodeID: d.NodeID, deploymentID: d.DeploymentID, name: name, ip: ip}
}

func (r *rig) workflow(deploymentID int64, key string, s phase.Status) {
	r.t.Helper()
	_, err := r.writer.Report(r.t.Context(), lifecycle.Report{
		DeploymentID: deploymentID, Phase: key, Status: s, Message: key + " by the workflow", Source: deploy.SourceOrchestrator,
		Actor: deploy.System, As: phase.ByWorkflow,
	})
	require.NoError(r.t, err)
}

// boot makes a machine that runs its install environment.
func (r *rig) boot(name, ip string) machine {
	r.t.Helper()
	m := r.order(name, ip)
	ctx := r.t.Context()
	a, err := r.writer.Boot(ctx, lifecycle.BootRequest{DeploymentID: m.deploymentID, Remote: ip})
	require.NoError(r.t, err)
	require.Equal(r.t, phase.BootInstall, a.Decision)
	m.token, err = r.access.CreateReportToken(ctx, m.nodeID, m.deploymentID, a.Attempt, name)
	require.NoError(r.t, err)
	_, err = r.writer.ConfigServed(ctx, m.deploymentID, a.Attempt, ip)
	require.NoError(r.t, err)
	return m
}

// answered is an HTTP answer.
type answered struct {
	status int
	header http.Header
	body   string
}

func (a answered) json(t testing.TB) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &out), a.body)
	return out
}

// fields are the bad fields of an error document with their codes.
func (a answered) fields(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, _ := a.json(t)["fields"].([]any)
	for _, f := range list {
		m := f.(map[string]any)
		out[m["field"].(string)] = m["code"].(string)
	}
	return out
}

// call sends a request; headers come in pairs.
func (r *rig) call(method, path, token, body string, headers ...string) answered {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.web.URL+path, strings.NewReader(body))
	require.NoError(r.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := noRedirect.Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return answered{res.StatusCode, res.Header, string(data)}
}

var noRedirect = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

const jsonType, formType = "application/json", "application/x-www-form-urlencoded"

func (r *rig) get(path string, headers ...string) answered {
	r.t.Helper()
	return r.call(http.MethodGet, path, r.viewer, "", headers...)
}

// report posts a report as JSON.
func (r *rig) report(m machine, key, status string, extra ...any) answered {
	r.t.Helper()
	in := map[string]any{"server_ip": m.ip, "phase": key, "status": status}
	for i := 0; i+1 < len(extra); i += 2 {
		in[extra[i].(string)] = extra[i+1]
	}
	body, err := json.Marshal(in)
	require.NoError(r.t, err)
	return r.call(http.MethodPost, "/api/status/phase", m.token, string(body), "Content-Type", jsonType)
}

func (r *rig) events(deploymentID int64) int {
	r.t.Helper()
	var n int
	require.NoError(r.t, r.st.Read.QueryRowContext(r.t.Context(),
		fmt.Sprintf("SELECT count(*) FROM deployment_history WHERE deployment_id = %d", deploymentID)).Scan(&n))
	return n
}

// settle waits until the feed has read everything that is committed.
func (r *rig) settle() {
	r.t.Helper()
	var target int64
	require.NoError(r.t, r.st.Read.QueryRowContext(r.t.Context(), "SELECT position FROM stream_counter").Scan(&target))
	start := r.feed.Cursor(0)
	s := r.feed.Nodes(&start, 10*time.Millisecond) // an event may come without a node
	defer s.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	for r.feed.Head().Position < target {
		_, err := s.Next(ctx)
		require.NoError(r.t, err)
	}
}
