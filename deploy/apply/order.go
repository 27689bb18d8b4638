package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/hostconfig"
)

// Order checks the document that a node is to be deployed with by itself, and
// gives the specification of that deployment: the document in its canonical
// form, and the address that will be polled. Fields of errors are "document."
// and the path in the document.
func (s *Service) Order(ctx context.Context, name string, document json.RawMessage) (deploy.Spec, []deploy.FieldError, error) {
	spec := deploy.Spec{Provider: deploy.ProviderScript, Document: document}
	if err := s.equipped(); err != nil {
		return spec, nil, err
	}
	if !json.Valid(document) { // it must not reach beyond its own place in the request
		return spec, []deploy.FieldError{{Field: "document", Code: deploy.CodeInvalid, Key: hostconfig.KeyJSONMalformed, Message: "is not JSON"}}, nil
	}
	key, err := json.Marshal(name)
	if err != nil {
		return spec, nil, fmt.Errorf("apply: the name of a node: %w", err)
	}
	prepared, err := s.prepare(ctx, slices.Concat([]byte("{"), key, []byte(":"), document, []byte("}")))
	if err != nil {
		return spec, nil, err
	}
	var bad []deploy.FieldError
	for _, f := range prepared.Errors {
		if f.Field = inDocument(f.Field); f.Field != "" {
			bad = append(bad, f)
		}
	}
	if len(prepared.Plans) == 1 {
		p := prepared.Plans[0]
		spec.Document, spec.ManagementIP = p.document(), p.Target
	}
	return spec, bad, nil
}

// inDocument gives the path in the only card of a request; empty for the
// card's key, which is the node's name and is checked as such.
func inDocument(field string) string {
	rest, ok := strings.CutPrefix(field, "cards.0")
	switch {
	case rest == ".key":
		return ""
	case ok:
		return "document" + rest
	}
	return "document"
}
