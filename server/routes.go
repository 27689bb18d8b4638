package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// rules is the whole face and who may use it, by pattern of http.ServeMux. A
// pattern that is not here cannot be registered.
var rules = map[string]rule{
	"GET /healthz": ruleOpen,
	"GET /readyz":  ruleOpen,
	"GET /metrics": ruleViewer,

	"GET /{$}":              ruleOpen, // redirects to the app
	"GET /monitoring":       ruleOpen, // the app's files have no data; what it asks for needs a session
	"GET /monitoring/":      ruleOpen,
	"POST /api/session":     ruleOpen, // signing in; failures are limited
	"GET /api/session":      ruleViewer,
	"DELETE /api/session":   ruleViewer,
	"GET /api/openapi.json": ruleViewer,
	"/graphql":              ruleViewer,

	"GET /api/status/nodes/{node_id}":        ruleViewer,
	"GET /api/status/deployment/{server_ip}": ruleViewer,
	"GET /api/status/history/{node_id}":      ruleViewer,
	"GET /api/status/history":                ruleViewer,
	"GET /api/status/summary":                ruleViewer,
	"GET /api/status/events":                 ruleViewer,
	"POST /api/status/phase":                 ruleReport,

	"GET /api/export/nodes.csv":     ruleViewer,
	"GET /api/export/nodes.ndjson":  ruleViewer,
	"GET /api/export/events.csv":    ruleViewer,
	"GET /api/export/events.ndjson": ruleViewer,

	"POST /api/config/nodes":     ruleOperator,
	"GET /api/config/nodes":      ruleViewer,
	"GET /api/config/nodes/{id}": ruleViewer,

	"POST /api/config/clusters":                    ruleOperator,
	"GET /api/config/clusters":                     ruleViewer,
	"GET /api/config/clusters/{id}":                ruleViewer,
	"DELETE /api/config/clusters/{id}":             ruleOperator,
	"POST /api/config/clusters/{id}/cancel":        ruleOperator,
	"POST /api/config/clusters/{id}/cleanup":       ruleOperator,
	"POST /api/config/clusters/{id}/go-on-without": ruleOperator,
	"POST /api/config/clusters/{id}/replace":       ruleOperator,
	"POST /api/config/clusters/{id}/health":        ruleOperator,

	"POST /api/reinitialize":                  ruleOperator,
	"POST /api/deployments/{id}/retry":        ruleOperator,
	"POST /api/deployments/{id}/cancel":       ruleOperator,
	"POST /api/nodes/{id}/protection":         ruleOperator,
	"POST /api/deployments/{id}/skip-polling": ruleOperator,
	"POST /api/deployments/{id}/probe":        ruleOperator,
	"POST /api/nodes/{id}/host-key":           ruleOperator,
	"POST /store-deployment-configs":          ruleOperator,
	"GET /node-deployment-progress":           ruleViewer,
	"GET /api/script":                         ruleViewer,
	"POST /api/script/marker/clear":           ruleOperator,
	"GET /api/script/runs":                    ruleViewer,
	"GET /api/script/runs/{id}":               ruleViewer,
	"GET /api/script/runs/{id}/log":           ruleViewer,
	"POST /api/script/runs/{id}/cancel":       ruleOperator,
	"POST /api/cleanup/node/{id}":             ruleOperator,
	"GET /api/cleanup/status":                 ruleViewer,
	"GET /api/resources":                      ruleViewer,
	"GET /api/resources/drift":                ruleOperator, // reads everything in the account
	"POST /api/resources/drift/remove":        ruleAdmin,    // deletes what no node holds
	"GET /api/providers/{provider}/offer":     ruleViewer,
	"POST /api/nodes/adopt":                   ruleAdmin, // whose machine it is cannot be seen
	"POST /api/nodes/{id}/console":            ruleOperator,

	"GET /boot/d/{locator}":        ruleOpen, // the locator is the secret
	"GET /boot/config":             ruleOpen, // names a machine, has no secret
	"GET /boot/images/{name}":      ruleOpen,
	"GET /boot/scripts/{name}":     ruleOpen,
	"GET /boot/programs/{name}":    ruleOpen, // firmware has no token
	"GET /boot/server/{server_ip}": ruleMachine,
	"POST /boot/downloads":         ruleMachine,

	"GET /api/artifacts":           ruleViewer,
	"PUT /api/artifacts/{name}":    ruleAdmin, // what machines run is made of it
	"DELETE /api/artifacts/{name}": ruleAdmin,

	"/": ruleOpen, // nothing is here: 404, or 405 where another method is known
}

// register puts every route into the mux.
func (s *Server) register() error {
	var failed error
	add := func(pattern string, h http.Handler) {
		ru, ok := rules[pattern]
		if !ok || ru == ruleNone {
			failed = fmt.Errorf("route %q has no access rule", pattern)
			return
		}
		s.mux.Handle(pattern, s.guard(pattern, ru, h))
		s.routes = append(s.routes, pattern)
	}
	f := func(pattern string, h http.HandlerFunc) { add(pattern, h) }

	f("GET /healthz", s.healthz)
	f("GET /readyz", s.readyz)
	add("GET /metrics", s.Metrics.handler())
	f("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, appPath, http.StatusFound) })
	app := compressed(http.HandlerFunc(s.app))
	add("GET /monitoring", app)
	add("GET /monitoring/", app)

	f("POST /api/session", s.signIn)
	f("GET /api/session", s.session)
	f("DELETE /api/session", s.signOut)

	f("POST /api/status/phase", s.report)
	add("GET /api/status/history/{node_id}", compressed(http.HandlerFunc(s.history)))
	add("GET /api/status/history", compressed(http.HandlerFunc(s.history)))
	f("GET /api/status/events", s.events)
	f("POST /api/config/nodes", s.orderNode)
	f("POST /api/reinitialize", s.reinitialize)
	f("POST /api/deployments/{id}/retry", s.retry)
	f("POST /api/deployments/{id}/cancel", s.cancel)
	f("POST /api/nodes/{id}/protection", s.protection)
	if s.Fleet != nil && s.Feed != nil {
		for form, export := range map[string]http.HandlerFunc{"nodes": s.exportNodes, "events": s.exportEvents} {
			add("GET /api/export/"+form+".csv", compressed(export))
			add("GET /api/export/"+form+".ndjson", compressed(export))
		}
	}
	if s.Scripts != nil {
		f("POST /store-deployment-configs", s.storeConfigs)
		f("GET /api/script/runs/{id}/log", s.scriptLog)
		f("POST /api/script/runs/{id}/cancel", s.cancelRun)
		f("POST /api/script/marker/clear", s.clearMarker)
		f("POST /api/deployments/{id}/skip-polling", s.skipPolling)
		f("POST /api/deployments/{id}/probe", s.probeNow)
		f("POST /api/nodes/{id}/host-key", s.acceptHostKey)
	}
	if s.Operations != nil {
		f("POST /api/cleanup/node/{id}", s.cleanup)
		f("POST /api/resources/drift/remove", s.removeDrift)
		f("POST /api/nodes/adopt", s.adopt)
		f("POST /api/nodes/{id}/console", s.console)
	}
	if s.Clusters != nil {
		f("POST /api/config/clusters", s.orderCluster)
		f("DELETE /api/config/clusters/{id}", s.deleteCluster)
		f("POST /api/config/clusters/{id}/cancel", s.cancelCluster)
		f("POST /api/config/clusters/{id}/cleanup", s.cleanupCluster)
		f("POST /api/config/clusters/{id}/go-on-without", s.goOnWithout)
		f("POST /api/config/clusters/{id}/replace", s.replaceInCluster)
		f("POST /api/config/clusters/{id}/health", s.clusterHealth)
	}
	s.typed(add)
	f("GET /api/openapi.json", s.openapi)

	if s.GraphQL != nil {
		add("/graphql", compressed(s.limitBody(s.GraphQL, graphqlBody)))
	}
	if s.Boot != nil {
		for pattern := range rules {
			if strings.Contains(pattern, " /boot/") {
				add(pattern, s.Boot)
			}
		}
	}
	if s.Artifacts != nil {
		add("GET /api/artifacts", compressed(s.Artifacts))
		add("PUT /api/artifacts/{name}", s.Artifacts)
		add("DELETE /api/artifacts/{name}", s.Artifacts)
	}
	f("/", s.nothing)
	if failed != nil {
		return failed
	}
	return s.describe()
}

// The largest bodies, in bytes.
const (
	graphqlBody = 1 << 20
	jsonBody    = 256 << 10
	sessionBody = 4 << 10
)

// limitBody bounds a request's body.
func (s *Server) limitBody(next http.Handler, limit int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > limit {
			w.Header().Set("Connection", "close")
			s.refuse(w, r, deploy.Errorf(deploy.CodeTooLarge, "the request is too large"))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		next.ServeHTTP(w, r)
	})
}

// nothing answers where no route is: 405 with the methods that are known
// there, else 404.
func (s *Server) nothing(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(probe); pattern != "" && pattern != "/" {
			allow = append(allow, m)
			if m == http.MethodGet {
				allow = append(allow, http.MethodHead)
			}
		}
	}
	d := &ErrorDocument{Message: "there is nothing here", Code: "not_found", status: http.StatusNotFound}
	if len(allow) > 0 {
		d = &ErrorDocument{
			Message: "this method is not possible here", Code: "invalid", status: http.StatusMethodNotAllowed,
			header: [2]string{"Allow", strings.Join(allow, ", ")},
		}
	}
	s.refuse(w, r, d)
}
