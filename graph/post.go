package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/graph/wstransport"
)

// Media types of GraphQL over HTTP.
const (
	typeJSON     = "application/json"
	typeResponse = "application/graphql-response+json"
)

// MaxBody is the largest request body, in bytes.
const MaxBody = 256 << 10

// post serves operations as GraphQL over HTTP (the working draft of 2026): POST
// of application/json, nothing else. It answers 400 for what cannot be parsed,
// 422 for what can and is not valid, and 200 as soon as something was executed.
// To a client that takes application/json only, every well-formed request is
// answered with 200, as the draft has it for that type.
type post struct{}

var _ graphql.Transport = post{}

// Supports everything that the websocket transport, which comes before, does
// not.
func (post) Supports(*http.Request) bool { return true }

func (post) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	answer, ok := negotiate(r.Header.Values("Accept"))
	if !ok {
		fail(w, r, exec, typeResponse, http.StatusNotAcceptable, "INVALID", "the answer is "+typeResponse+" or "+typeJSON)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		fail(w, r, exec, answer, http.StatusMethodNotAllowed, "INVALID", "use POST")
		return
	}
	if access.FromContext(r.Context()) == nil { // before anything of the body is read
		fail(w, r, exec, answer, http.StatusUnauthorized, codeUnauthenticated, "nobody is signed in")
		return
	}
	if kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != typeJSON || !utf8Charset(params["charset"]) {
		fail(w, r, exec, answer, http.StatusUnsupportedMediaType, "INVALID", "the request must be "+typeJSON)
		return
	}
	params, status, problem := readParams(w, r)
	if problem != "" {
		fail(w, r, exec, answer, status, map[int]string{http.StatusRequestEntityTooLarge: "TOO_LARGE"}[status], problem)
		return
	}
	ctx := r.Context()
	op, errs := exec.CreateOperationContext(ctx, params)
	if len(errs) > 0 {
		resp := exec.DispatchError(graphql.WithOperationContext(ctx, op), errs)
		write(w, answer, requestStatus(answer, errs), resp)
		return
	}
	if op.Operation.Operation == "subscription" {
		fail(w, r, exec, answer, http.StatusUnprocessableEntity, codeValidation, "subscriptions are served over a websocket ("+wstransport.Subprotocol+")")
		return
	}
	responses, ctx := exec.DispatchOperation(ctx, op)
	write(w, answer, http.StatusOK, responses(ctx))
}

func utf8Charset(s string) bool { return s == "" || strings.EqualFold(s, "utf-8") }

// readParams reads the request. A problem is a text that may be shown; it never
// repeats the body.
func readParams(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, int, string) {
	start := graphql.Now()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit)
	case err != nil:
		return nil, http.StatusBadRequest, "the request could not be read"
	}
	// Decoding would put other characters in the place of what is not UTF-8.
	if !utf8.Valid(body) {
		return nil, http.StatusBadRequest, "the request is not UTF-8"
	}
	var p struct {
		Query         *string        `json:"query"`
		OperationName *string        `json:"operationName"`
		Variables     map[string]any `json:"variables"`
		Extensions    map[string]any `json:"extensions"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&p); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return nil, http.StatusUnprocessableEntity, "the request must be an object with query (text), operationName (text), variables (object) and extensions (object)"
		}
		return nil, http.StatusBadRequest, "the request is not JSON"
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, http.StatusBadRequest, "the request is more than one JSON value"
	}
	if p.Query == nil {
		return nil, http.StatusUnprocessableEntity, "the request has no query"
	}
	params := &graphql.RawParams{Query: *p.Query, Variables: p.Variables, Extensions: p.Extensions, Headers: r.Header}
	if p.OperationName != nil {
		params.OperationName = *p.OperationName
	}
	params.ReadTime = graphql.TraceTiming{Start: start, End: graphql.Now()}
	return params, 0, ""
}

// negotiate chooses the answer's media type; without a preference it is the
// one made for GraphQL.
func negotiate(accept []string) (string, bool) {
	header := strings.Join(accept, ",")
	if strings.TrimSpace(header) == "" {
		return typeResponse, true
	}
	best, bestQ := "", 0.0
	for _, part := range strings.Split(header, ",") {
		kind, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil || q < 0 || q > 1 {
				continue
			}
		}
		switch kind {
		case typeJSON, typeResponse:
		case "*/*", "application/*":
			kind = typeResponse
		default:
			continue
		}
		if q > bestQ || q == bestQ && q > 0 && kind == typeResponse {
			best, bestQ = kind, q
		}
	}
	return best, best != ""
}

// requestStatus is the status for errors before anything was executed.
func requestStatus(answer string, errs gqlerror.List) int {
	status := http.StatusUnprocessableEntity
	for _, e := range errs {
		switch e.Extensions["code"] {
		case codeUnauthenticated:
			return http.StatusUnauthorized // whatever the media type: nothing of the request was looked at
		case codeForbidden:
			return http.StatusForbidden
		case codeParse:
			status = http.StatusBadRequest
		}
	}
	if answer == typeJSON {
		return http.StatusOK
	}
	return status
}

func fail(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, answer string, status int, code, message string) {
	if code == "" {
		code = "INVALID"
	}
	ctx := graphql.WithOperationContext(r.Context(), &graphql.OperationContext{})
	write(w, answer, status, exec.DispatchError(ctx, gqlerror.List{refusal(code, message)}))
}

func write(w http.ResponseWriter, answer string, status int, resp *graphql.Response) {
	if resp == nil {
		resp = &graphql.Response{Errors: gqlerror.List{refusal(codeInternal, "internal error")}}
	}
	var body []byte
	var err error
	if resp.Data == nil { // nothing was executed: no data entry at all
		body, err = json.Marshal(struct {
			Errors gqlerror.List `json:"errors"`
		}{resp.Errors})
	} else {
		body, err = wstransport.EncodeResponse(resp)
	}
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"errors":[{"message":"internal error"}]}`)
	}
	h := w.Header()
	h.Set("Content-Type", answer+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
