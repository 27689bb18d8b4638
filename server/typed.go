package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/query"
)

// humaMux hands huma's routes to the router, where each needs its access rule.
type humaMux struct {
	add func(pattern string, h http.Handler)
}

func (m humaMux) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	m.add(pattern, compressed(http.HandlerFunc(f)))
}

func (humaMux) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

// The types of the typed endpoints.
type (
	nodeInput struct {
		NodeID string `path:"node_id" doc:"Database id or global id, for example 7 or node_7." example:"7"`
	}
	addressInput struct {
		ServerIP string `path:"server_ip" doc:"Management address." example:"10.240.0.10"`
	}
	statusOutput struct {
		Body query.NodeStatus
	}
	summaryOutput struct {
		Body query.Summary
	}
	nodesInput struct {
		Limit string `query:"limit" doc:"1 to 1000, 100 without it."`
		After string `query:"after" doc:"The next_cursor of the page before."`
	}
	nodesOutput struct {
		Body query.NodePage
	}
	nodeConfigInput struct {
		ID string `path:"id" doc:"Database id or global id."`
	}
	nodeOutput struct {
		Body query.NodeCard
	}
)

// typed registers the endpoints that huma serves: those whose input is a path
// or a few parameters and whose answer is one document.
func (s *Server) typed(add func(string, http.Handler)) {
	s.api = humago.New(humaMux{add}, humaConfig(s.Settings.Version))
	read := func(path, id, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"status"},
			Errors: []int{401, 403, 404, 422, 503}, Security: tokenSecurity, SkipValidateParams: true,
		}
	}
	huma.Register(s.api, read("/api/status/nodes/{node_id}", "node-status", "How a node and its current deployment stand"),
		func(ctx context.Context, in *nodeInput) (*statusOutput, error) {
			var bad fieldErrors
			hint := query.MachineHint{NodeID: bad.id("node_id", "node", in.NodeID)}
			return s.nodeStatus(ctx, hint, bad.err())
		})
	huma.Register(s.api, read("/api/status/deployment/{server_ip}", "address-status", "The same by management address"),
		func(ctx context.Context, in *addressInput) (*statusOutput, error) {
			var bad fieldErrors
			hint := query.MachineHint{IP: bad.ip("server_ip", in.ServerIP)}
			return s.nodeStatus(ctx, hint, bad.err())
		})
	huma.Register(s.api, read("/api/status/summary", "summary", "The fleet in numbers"),
		func(ctx context.Context, _ *struct{}) (*summaryOutput, error) {
			sum, err := s.Statuses.Summary(ctx)
			if err != nil {
				return nil, s.typedError(ctx, err)
			}
			return &summaryOutput{sum}, nil
		})
	if s.Operations != nil {
		s.typedOperations(read)
	}
	if s.Scripts != nil {
		s.typedScripts(read)
	}
	if s.Clusters != nil {
		s.typedClusters(read)
	}
	list := read("/api/config/nodes", "list-nodes", "Nodes, the newest first, page by page")
	list.Tags = []string{"config"}
	huma.Register(s.api, list, func(ctx context.Context, in *nodesInput) (*nodesOutput, error) {
		var bad fieldErrors
		limit := bad.limit(in.Limit, 100)
		before := bad.optionalID("after", "node", in.After)
		if err := bad.err(); err != nil {
			return nil, s.typedError(ctx, err)
		}
		page, err := s.Statuses.Nodes(ctx, before, limit)
		if err != nil {
			return nil, s.typedError(ctx, err)
		}
		return &nodesOutput{page}, nil
	})
	one := read("/api/config/nodes/{id}", "get-node", "One node")
	one.Tags = []string{"config"}
	huma.Register(s.api, one, func(ctx context.Context, in *nodeConfigInput) (*nodeOutput, error) {
		var bad fieldErrors
		id := bad.id("id", "node", in.ID)
		if err := bad.err(); err != nil {
			return nil, s.typedError(ctx, err)
		}
		card, err := s.Statuses.Node(ctx, id)
		if err != nil {
			return nil, s.typedError(ctx, err)
		}
		return &nodeOutput{card}, nil
	})
}

// typedOperations registers those that ask the operation service.
func (s *Server) typedOperations(read func(path, id, summary string) huma.Operation) {
	tagged := func(tag string, op huma.Operation) huma.Operation {
		op.Tags = []string{tag}
		return op
	}
	huma.Register(s.api, tagged("cleanup", read("/api/cleanup/status", "cleanup-status", "Cleanups that are under way or ended of late, with their proofs")), s.cleanups)
	huma.Register(s.api, tagged("resources", read("/api/resources", "list-resources", "What was made in clouds for nodes")), s.resources)
	drift := tagged("resources", read("/api/resources/drift", "drift", "How the journal and a provider's cloud differ"))
	drift.Errors = append(drift.Errors, http.StatusConflict)
	huma.Register(s.api, drift, s.drift)
	offer := tagged("config", read("/api/providers/{provider}/offer", "offer", "What can be ordered at a provider; at most a minute old"))
	offer.Errors = append(offer.Errors, http.StatusConflict)
	huma.Register(s.api, offer, s.offer)
}

func (s *Server) nodeStatus(ctx context.Context, hint query.MachineHint, bad error) (*statusOutput, error) {
	if bad != nil {
		return nil, s.typedError(ctx, bad)
	}
	st, err := s.Statuses.NodeStatus(ctx, hint)
	if err != nil {
		return nil, s.typedError(ctx, err)
	}
	return &statusOutput{st}, nil
}

// typedError gives huma an error in the words of the REST shim.
func (s *Server) typedError(ctx context.Context, err error) error {
	d := *s.document(err)
	d.RequestID = requestID(ctx)
	if d.cause != nil && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "request failed", "request_id", d.RequestID, "route", noteOf(ctx).pattern, "error", d.cause)
	}
	if d.header[0] == "" {
		return &d
	}
	return huma.ErrorWithHeaders(&d, http.Header{d.header[0]: {d.header[1]}})
}

var tokenSecurity = []map[string][]string{{"token": {}}, {"session": {}}}

// humaConfig is huma without what Slipway does itself: documentation pages, the
// schema links in answers, and its own error documents.
func humaConfig(version string) huma.Config {
	if version == "" {
		version = "dev"
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Slipway", Version: version,
				Description: "The REST shim for scripts and curl. Everything else is in the GraphQL API at /graphql.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token":   {Type: "http", Scheme: "bearer", Description: "An API token; POST /api/status/phase also takes a machine's report token."},
					"session": {Type: "apiKey", In: "cookie", Name: cookieName, Description: "A signed-in browser."},
				},
			},
		},
		Formats: map[string]huma.Format{
			"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat,
			"text/plain": {Marshal: marshalLine, Unmarshal: json.Unmarshal}, "plain": {Marshal: marshalLine, Unmarshal: json.Unmarshal},
		},
		DefaultFormat: "application/json",
	}
}

// marshalLine writes an answer's one-line form; what has none is JSON.
func marshalLine(w io.Writer, v any) error {
	if l, ok := v.(liner); ok {
		_, err := fmt.Fprintln(w, oneLine(l.Line()))
		return err
	}
	return json.NewEncoder(w).Encode(v)
}

func init() {
	// huma has one constructor of error documents for a program. What reaches
	// it was found by huma itself: a parameter or body that it could not read.
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		d := &ErrorDocument{Message: msg, Code: string(deploy.CodeInvalid), status: status}
		for code, st := range statusOf {
			if st == status && status != http.StatusUnprocessableEntity {
				d.Code = string(code)
			}
		}
		if status >= http.StatusInternalServerError {
			d.Code = codeInternal
		}
		for _, err := range errs {
			f := ErrorField{Code: string(deploy.CodeInvalid), Message: err.Error()}
			if detailer, ok := err.(huma.ErrorDetailer); ok {
				detail := detailer.ErrorDetail()
				f.Field, f.Message = strings.TrimPrefix(detail.Location, "body."), detail.Message
			}
			d.Fields = append(d.Fields, f)
		}
		return d
	}
}
