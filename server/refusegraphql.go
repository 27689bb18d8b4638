package server

import (
	"encoding/json"
	"net/http"
	"strings"
)

// graphqlPattern is the route of the GraphQL API.
const graphqlPattern = "/graphql"

// refuser gives the words in which a route refuses.
func (s *Server) refuser(pattern string) func(http.ResponseWriter, *http.Request, error) {
	if pattern == graphqlPattern {
		return s.refuseGraphQL
	}
	return s.refuse
}

// graphqlErrors is an answer without data: nothing was executed.
type graphqlErrors struct {
	Errors []graphqlError `json:"errors"`
}

type graphqlError struct {
	Message    string         `json:"message"`
	Extensions map[string]any `json:"extensions"`
}

// refuseGraphQL answers with an error as GraphQL over HTTP has it when nothing
// of the request was executed: no data entry, and a status that says why, with
// Retry-After where there is one.
func (s *Server) refuseGraphQL(w http.ResponseWriter, r *http.Request, err error) {
	d := s.refused(w, r, err)
	message := d.Message
	if d.Hint != "" {
		message += "; " + d.Hint
	}
	e := graphqlError{message, map[string]any{"code": strings.ToUpper(d.Code)}}
	if d.Retryable {
		e.Extensions["retryable"] = true
	}
	if d.RequestID != "" {
		e.Extensions["requestId"] = d.RequestID
	}
	kind := "application/graphql-response+json"
	if accept := r.Header.Get("Accept"); strings.Contains(accept, "application/json") && !strings.Contains(accept, kind) {
		kind = "application/json" // a client from before the other type
	}
	h := w.Header()
	h.Set("Content-Type", kind+"; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept")
	w.WriteHeader(d.status)
	_ = json.NewEncoder(w).Encode(graphqlErrors{[]graphqlError{e}}) // the client went away: nobody to tell
}
