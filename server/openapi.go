package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// openapi answers GET /api/openapi.json.
func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(s.openAPI) // the client went away: nobody to tell
}

// describe completes the OpenAPI document by the endpoints that are served by
// hand, and renders it.
func (s *Server) describe() error {
	doc := s.api.OpenAPI()
	for _, d := range s.byHand() {
		s.addOperation(doc, d)
	}
	var err error
	if s.openAPI, err = json.Marshal(doc); err != nil {
		return fmt.Errorf("render the OpenAPI document: %w", err)
	}
	return nil
}

// described is an endpoint that huma does not serve.
type described struct {
	pattern string
	id      string
	summary string
	tag     string
	params  []*huma.Param
	body    any      // of the request, nil = none
	bare    bool     // the body may be missing
	types   []string // of the request's body
	answer  any      // of success, nil = none
	kinds   []string // of the answer; empty = application/json
	status  int
	dry     any // answered with 200 beside the other, nil = it is not
	errors  []int
	events  string // of a stream: which there are
	refusal any    // of errors, nil = ErrorDocument
	open    bool
}

func query1(name, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: doc, Schema: &huma.Schema{Type: "string"}}
}

func path1(name, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "path", Required: true, Description: doc, Schema: &huma.Schema{Type: "string"}}
}

// byHand lists them.
func (s *Server) byHand() []described {
	const jsonType, form = "application/json", "application/x-www-form-urlencoded"
	history := []*huma.Param{
		query1("deployment", "Only of this deployment."), query1("after", "Only what comes after this cursor."),
		query1("limit", "1 to 1000: one page. Without it the history is complete."), query1("include", "refused: refused reports too."),
	}
	events := []*huma.Param{
		query1("after", "Cursor; Last-Event-ID wins over it. Without one, the stream begins now, a page with the oldest."),
		query1("deployment", "Ids, separated by commas. A stream that names deployments ends when all of them have ended."),
		query1("node", "Ids, separated by commas."), query1("batch", "Id."), query1("phase", "Keys, separated by commas."),
		query1("status", "Statuses, separated by commas."), query1("source", "Sources, separated by commas."),
		query1("include", "refused: refused reports too."), query1("limit", "Of a page, 1 to 1000."),
	}
	both := []string{jsonType, form}
	refusals := []int{400, 401, 403, 404, 409, 413, 415, 422, 503}
	dry := []*huma.Param{query1("dry_run", "true: show what would become of it; nothing is done.")}
	deployment, node := []*huma.Param{path1("id", "Database id or global id of the deployment.")}, []*huma.Param{path1("id", "Database id or global id of the node.")}
	script := []string{"text/plain"}
	file := []string{"application/octet-stream"}
	list := []described{
		{pattern: "POST /api/status/phase", id: "report", summary: "Report a phase of a machine's deployment", tag: "status", body: ReportRequest{}, types: []string{jsonType, form}, answer: ReportAnswer{}, status: 200, errors: []int{400, 401, 403, 404, 409, 413, 415, 422, 429, 503}},
		{pattern: "GET /api/status/history/{node_id}", id: "node-history", summary: "A node's history, oldest first", tag: "status", params: append([]*huma.Param{path1("node_id", "Database id or global id.")}, history...), answer: HistoryAnswer{}, status: 200, errors: []int{401, 403, 404, 422, 503}},
		{pattern: "GET /api/status/history", id: "address-history", summary: "The same by management address", tag: "status", params: append([]*huma.Param{query1("server_ip", "Management address.")}, history...), answer: HistoryAnswer{}, status: 200, errors: []int{401, 403, 404, 422, 503}},
		{pattern: "GET /api/status/events", id: "events", summary: "Events as they happen (Server-Sent Events), or a page of them (JSON)", tag: "status", params: events, answer: EventPage{}, kinds: []string{jsonType, "text/event-stream"}, events: "Events phase, heartbeat, reset and end; id is the cursor, data of phase is a row of the history.", status: 200, errors: []int{401, 403, 422, 503}},
		{pattern: "POST /api/config/nodes", id: "order-node", summary: "Order a machine and deploy it", tag: "config", params: dry, body: OrderRequest{}, types: []string{jsonType}, answer: OrderAnswer{}, status: 202, dry: PlanAnswer{}, errors: []int{400, 401, 403, 409, 413, 415, 422, 503}},
		{pattern: "POST /api/reinitialize", id: "reinitialize", summary: "Install a node's present machine anew; its data is lost", tag: "config", body: ReinitializeRequest{}, types: both, answer: OrderAnswer{}, status: 202, errors: refusals},
		{pattern: "POST /api/deployments/{id}/retry", id: "retry", summary: "Begin another attempt of a failed deployment", tag: "deployments", params: deployment, body: RetryRequest{}, bare: true, types: both, answer: VerbAnswer{}, status: 202, errors: refusals},
		{pattern: "POST /api/deployments/{id}/cancel", id: "cancel", summary: "End a deployment; what was made for it stays", tag: "deployments", params: deployment, body: CancelRequest{}, bare: true, types: both, answer: VerbAnswer{}, status: 202, errors: refusals},
		{pattern: "POST /api/nodes/{id}/protection", id: "protect", summary: "Protect a node from cleanup and reinitialize, or no longer", tag: "config", params: node, body: ProtectionRequest{}, types: both, answer: ProtectionAnswer{}, status: 200, errors: refusals},
		{pattern: "POST /api/session", id: "sign-in", summary: "Change a sign-in code into a session cookie", tag: "session", body: signInRequest{}, types: []string{jsonType}, status: 204, errors: []int{400, 401, 403, 415, 422, 429}, open: true},
		{pattern: "GET /api/session", id: "session", summary: "Who is signed in", tag: "session", answer: sessionAnswer{}, status: 200, errors: []int{401}},
		{pattern: "DELETE /api/session", id: "sign-out", summary: "End the session", tag: "session", status: 204, errors: []int{401, 403}},
		{pattern: "GET /healthz", id: "health", summary: "The process answers", tag: "operation", answer: healthAnswer{}, status: 200, open: true},
		{pattern: "GET /readyz", id: "ready", summary: "The process can do its work", tag: "operation", answer: readyAnswer{}, status: 200, errors: []int{503}, open: true},
		{pattern: "GET /metrics", id: "metrics", summary: "Prometheus metrics", tag: "operation", answer: "", kinds: script, status: 200, errors: []int{401, 403}},
		{pattern: "GET /api/openapi.json", id: "openapi", summary: "This document", tag: "operation", answer: map[string]any{}, status: 200, errors: []int{401, 403}},
	}
	if s.Fleet != nil && s.Feed != nil {
		list = append(list, exportsByHand(events)...)
	}
	if s.Scripts != nil {
		list = append(list, scriptsByHand(deployment, node, dry, refusals)...)
	}
	if s.Clusters != nil {
		list = append(list, clustersByHand(dry, refusals)...)
	}
	if s.Operations != nil {
		list = append(list,
			described{pattern: "POST /api/cleanup/node/{id}", id: "cleanup", summary: "Release everything that a node holds", tag: "cleanup", params: append(node, dry...), body: CleanupRequest{}, types: both, answer: CleanupAnswer{}, status: 202, dry: CleanupAnswer{}, errors: refusals},
			described{pattern: "POST /api/resources/drift/remove", id: "remove-orphan", summary: "Delete one thing that no node holds; 202 while it is under way", tag: "resources", body: RemoveDriftRequest{}, types: both, answer: RemoveDriftAnswer{}, status: 202, dry: RemoveDriftAnswer{}, errors: refusals},
			described{pattern: "POST /api/nodes/adopt", id: "adopt", summary: "Take an existing machine into care", tag: "config", params: dry, body: AdoptRequest{}, types: both, answer: AdoptAnswer{}, status: 201, dry: AdoptAnswer{}, errors: refusals},
			described{pattern: "POST /api/nodes/{id}/console", id: "console", summary: "Open the console of a node's machine", tag: "config", params: node, body: ConsoleRequest{}, bare: true, types: both, answer: ConsoleAnswer{}, status: 200, errors: refusals},
		)
	}
	if s.Artifacts != nil {
		one := path1("name", "1 to 128 of letters, digits, dot, underscore, hyphen; begins with a letter or digit.")
		sum := &huma.Param{Name: "X-Checksum-Sha256", In: "header", Description: "SHA-256 of the file in hex; another one is refused.", Schema: &huma.Schema{Type: "string"}}
		list = append(list,
			described{pattern: "GET /api/artifacts", id: "artifacts", summary: "The files that machines fetch, and who may still fetch them", tag: "artifacts", answer: ArtifactList{}, status: 200, errors: []int{401, 403, 503}},
			described{pattern: "PUT /api/artifacts/{name}", id: "upload-artifact", summary: "Upload a file for machines; 201 if the name is new. 409 while machines may still fetch another of this name", tag: "artifacts", params: []*huma.Param{one, sum, query1("kind", "kernel, initrd, hypervisor, cvm, installer, image (without it) or another word."), query1("version", "For people.")}, body: "", types: file, answer: Artifact{}, status: 201, dry: Artifact{}, errors: []int{400, 401, 403, 409, 413, 422, 503, 507}},
			described{pattern: "DELETE /api/artifacts/{name}", id: "remove-artifact", summary: "Take a file out of the catalogue; 409 while machines may still fetch it", tag: "artifacts", params: []*huma.Param{one}, status: 204, errors: []int{401, 403, 404, 409, 503}},
		)
	}
	if s.Boot == nil {
		return list
	}
	return append(list,
		described{pattern: "GET /boot/d/{locator}", id: "boot", summary: "The boot script of the machine that has this locator", tag: "boot", params: []*huma.Param{path1("locator", "Secret, 43 characters.")}, answer: "", kinds: script, status: 200, open: true},
		described{pattern: "GET /boot/config", id: "boot-name", summary: "A boot script that names the machine and changes nothing", tag: "boot", params: []*huma.Param{query1("mgmt_ip", "Management address."), query1("node_id", "Id."), query1("mac", "Boot interface."), query1("serial", "Serial number.")}, answer: "", kinds: script, status: 200, open: true},
		described{pattern: "GET /boot/images/{name}", id: "artifact", summary: "A boot file or image, with Range, ETag and X-Checksum-Sha256", tag: "boot", params: []*huma.Param{path1("name", "Of the catalogue.")}, answer: "", kinds: file, status: 200, errors: []int{404}, open: true},
		described{pattern: "GET /boot/scripts/{name}", id: "script", summary: "A shell script that machines run", tag: "boot", params: []*huma.Param{path1("name", "File name.")}, answer: "", kinds: script, status: 200, errors: []int{404}, open: true},
		described{pattern: "GET /boot/programs/{name}", id: "boot-program", summary: "A boot program for firmware that boots over HTTP, with Range, ETag and X-Checksum-Sha256", tag: "boot", params: []*huma.Param{path1("name", "File name.")}, answer: "", kinds: file, status: 200, errors: []int{404}, open: true},
		described{pattern: "GET /boot/server/{server_ip}", id: "node-configuration", summary: "The machine's configuration, for the machine itself", tag: "boot", params: []*huma.Param{path1("server_ip", "Its management address."), query1("format", "sh: shell assignments.")}, answer: map[string]any{}, kinds: []string{jsonType, "text/plain"}, status: 200, errors: []int{401, 403, 409, 422, 503}},
		described{pattern: "POST /boot/downloads", id: "download-slot", summary: "May this machine download its images now? 429 is not yet, with its place in the queue and Retry-After", tag: "boot", body: DownloadRequest{}, types: []string{form, jsonType}, answer: DownloadAnswer{}, kinds: []string{jsonType, "text/plain"}, status: 200, errors: []int{401, 403, 404, 409, 413, 422, 429, 503}},
	)
}

// scriptsByHand lists those of the deployment script and of hosts that are
// waited for after it.
func scriptsByHand(deployment, node, dry []*huma.Param, refusals []int) []described {
	const jsonType = "application/json"
	both := []string{jsonType, "application/x-www-form-urlencoded"}
	run := []*huma.Param{path1("id", "Database id or global id of the run.")}
	key := &huma.Param{Name: "Idempotency-Key", In: "header", Description: "The same key twice is one run.", Schema: &huma.Schema{Type: "string"}}
	piece := []*huma.Param{
		run[0], query1("offset", "Where to begin, in bytes; Last-Event-ID wins over it."), query1("limit", "4 to 65536: the longest piece, in bytes."),
	}
	return []described{
		{pattern: "POST /store-deployment-configs", id: "apply", summary: "Write configurations of nodes and start the deployment script over them", tag: "script", params: append([]*huma.Param{key}, dry...), body: DocumentsRequest{}, types: []string{jsonType}, answer: ApplyAnswer{}, status: 202, dry: ApplyPlan{}, errors: []int{400, 401, 403, 409, 413, 415, 422, 503}, refusal: ApplyRefusal{}},
		{pattern: "GET /api/script/runs/{id}/log", id: "script-log", summary: "A piece of a run's output (JSON or text), or all that comes (Server-Sent Events)", tag: "script", params: piece, answer: LogPage{}, kinds: []string{jsonType, "text/plain", "text/event-stream"}, events: "Events log, whose data is {text, offset, next_offset}, and end, whose data is the run; id is the offset to go on from.", status: 200, errors: []int{401, 403, 404, 409, 422, 503}},
		{pattern: "POST /api/script/runs/{id}/cancel", id: "cancel-run", summary: "Have a running script ended; its deployments are canceled then", tag: "script", params: run, body: CancelRunRequest{}, bare: true, types: both, answer: RunAnswer{}, status: 202, errors: refusals},
		{pattern: "POST /api/script/marker/clear", id: "clear-marker", summary: "Remove the marker of a run in progress that no living script has made", tag: "script", answer: MarkerAnswer{}, status: 200, errors: refusals},
		{pattern: "POST /api/deployments/{id}/skip-polling", id: "skip-polling", summary: "Say that a host is well although it could not be reached", tag: "deployments", params: deployment, body: SkipPollingRequest{}, types: both, answer: VerbAnswer{}, status: 202, errors: refusals},
		{pattern: "POST /api/deployments/{id}/probe", id: "probe", summary: "Have the next attempt to reach a host begin now", tag: "deployments", params: deployment, answer: ProbeAnswer{}, status: 202, errors: refusals},
		{pattern: "POST /api/nodes/{id}/host-key", id: "accept-host-key", summary: "Trust the host key that a node's host has offered when it was last asked", tag: "config", params: node, body: HostKeyRequest{}, types: both, answer: HostKeyAnswer{}, status: 200, errors: refusals},
	}
}

// ArtifactList documents the answer to GET /api/artifacts.
type ArtifactList struct {
	Artifacts []Artifact `json:"artifacts" doc:"By name."`
}

// Artifact documents a file that machines fetch.
type Artifact struct {
	Name       string    `json:"name"`
	Kind       string    `json:"kind"`
	Version    string    `json:"version"`
	Size       int64     `json:"size" doc:"Bytes."`
	SHA256     string    `json:"sha256"`
	State      string    `json:"state" enum:"ready,broken"`
	Problem    *string   `json:"problem" doc:"Why it is broken."`
	InPlace    bool      `json:"in_place" doc:"It lies where it was when it was registered, and is not a copy."`
	Registered time.Time `json:"registered_at"`
	InUseBy    []string  `json:"in_use_by" doc:"Nodes whose deployment may still fetch it."`
}

// DownloadRequest asks for a download slot.
type DownloadRequest struct {
	Bytes int64 `json:"bytes,omitempty" minimum:"0" doc:"What the machine is about to download."`
}

// DownloadAnswer gives one.
type DownloadAnswer struct {
	Admitted bool `json:"admitted"`
}

func (s *Server) addOperation(doc *huma.OpenAPI, d described) {
	method, path, _ := strings.Cut(d.pattern, " ")
	schema := func(v any) *huma.Schema {
		t := reflect.TypeOf(v)
		return doc.Components.Schemas.Schema(t, true, t.Name())
	}
	op := &huma.Operation{
		OperationID: d.id, Method: method, Path: path, Summary: d.summary, Tags: []string{d.tag}, Parameters: d.params,
		Responses: map[string]*huma.Response{},
	}
	if !d.open {
		op.Security = tokenSecurity
	}
	if d.body != nil {
		op.RequestBody = &huma.RequestBody{Required: !d.bare, Content: map[string]*huma.MediaType{}}
		for _, kind := range d.types {
			op.RequestBody.Content[kind] = &huma.MediaType{Schema: schema(d.body)}
		}
	}
	ok := &huma.Response{Description: http.StatusText(d.status)}
	if d.answer != nil {
		kinds := d.kinds
		if len(kinds) == 0 {
			kinds = []string{"application/json"}
		}
		ok.Content = map[string]*huma.MediaType{}
		for _, kind := range kinds {
			sch := schema(d.answer)
			if kind == "text/event-stream" {
				sch = &huma.Schema{Type: "string", Description: d.events}
			}
			ok.Content[kind] = &huma.MediaType{Schema: sch}
		}
	}
	op.Responses[fmt.Sprint(d.status)] = ok
	if d.dry != nil {
		op.Responses["200"] = &huma.Response{Description: http.StatusText(http.StatusOK), Content: map[string]*huma.MediaType{"application/json": {Schema: schema(d.dry)}}}
	}
	var refusal any = ErrorDocument{}
	if d.refusal != nil {
		refusal = d.refusal
	}
	for _, code := range d.errors {
		op.Responses[fmt.Sprint(code)] = &huma.Response{
			Description: http.StatusText(code),
			Content:     map[string]*huma.MediaType{"application/json": {Schema: schema(refusal)}},
		}
	}
	doc.AddOperation(op)
}
