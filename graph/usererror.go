package graph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/graph/model"
)

// userErrors turns an answer of the core into errors as data. rename gives the
// input's path for a field of the core. Everything that is not such an answer
// comes back as err and becomes a request error without inner text.
func userErrors(err error, rename func(string) string) (list []*model.UserError, other error) {
	if err == nil {
		return []*model.UserError{}, nil
	}
	e, ok := deploy.AsError(err)
	if !ok {
		return nil, err
	}
	if len(e.Fields) == 0 {
		return []*model.UserError{{Code: codeOf(e.Code), Message: sentence(e.Message, e.Hint), Retryable: e.Retryable}}, nil
	}
	for _, f := range e.Fields {
		u := &model.UserError{Code: codeOf(f.Code), Message: f.Message, Field: fieldPath(rename(f.Field)), Key: text(f.Key), Retryable: e.Retryable}
		// A single field with the general code: the general words say more.
		if len(e.Fields) == 1 && f.Code == e.Code && !strings.HasSuffix(e.Message, "not acceptable") {
			u.Message = sentence(e.Message, e.Hint)
		} else if n := len(u.Field); n > 0 {
			u.Message = called(u.Field) + " " + f.Message
		}
		list = append(list, u)
	}
	return list, nil
}

// sentence puts what went wrong and what to do together: as one sentence if
// the hint is written as the rest of one, else as two.
func sentence(message, hint string) string {
	if hint == "" {
		return message
	}
	message = strings.TrimSpace(message)
	ended := strings.HasSuffix(message, ".") || strings.HasSuffix(message, "!") || strings.HasSuffix(message, "?")
	first, size := utf8.DecodeRuneInString(hint)
	switch {
	case ended:
		return message + " " + string(unicode.ToUpper(first)) + hint[size:]
	case unicode.IsUpper(first):
		return message + ". " + hint
	default:
		return message + "; " + hint
	}
}

// called is how a message names a field: by the last part of its path.
func called(path []string) string {
	last := path[len(path)-1]
	if i, err := strconv.Atoi(last); err == nil && len(path) == 2 && path[0] == "cards" {
		return fmt.Sprintf("card %d", i+1)
	}
	return last
}

// fieldPath takes a path with dots apart, in the spelling of the schema. What
// lies in a document of a node is spelt as it is there.
func fieldPath(path string) []string {
	if path == "" {
		return nil
	}
	parts := strings.Split(path, ".")
	for i, p := range parts {
		if i == 0 && p == "cards" || i > 0 && p == "document" && parts[i-1] == "script" {
			break
		}
		parts[i] = camel(p)
	}
	return parts
}

// camel turns snake_case into the schema's camelCase.
func camel(s string) string {
	words := strings.Split(s, "_")
	for i, w := range words {
		if i > 0 && w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}

func same(field string) string { return field }

// specPath gives the input's path for a field of a deployment's spec, which
// the core knows by one flat name for all providers.
func specPath(provider string) func(string) string {
	branch := map[string]string{deploy.ProviderIBMVPC: "ibmVpc", deploy.ProviderRack: "rack", deploy.ProviderScript: "script"}[provider]
	return func(field string) string {
		rest, ok := strings.CutPrefix(field, "spec.")
		switch {
		case !ok && (field == "management_ip" || field == "mac" || field == "serial"):
			rest = field // a conflict with another node names the node's own column
		case !ok || branch == "":
			return field
		}
		if provider == deploy.ProviderScript && rest == "management_ip" {
			rest = "document" // which the address was taken from
		}
		if provider == deploy.ProviderIBMVPC && slices.Contains([]string{"management_ip", "ahv_ip", "cvm_ip", "dns_servers"}, rest) {
			rest = "network." + rest
		}
		return "spec." + branch + "." + rest
	}
}

// at marks errors with the index of their element.
func at(index int, list []*model.UserError) {
	for _, e := range list {
		e.ElementIndex = &index
		e.Field = append([]string{"nodes", fmt.Sprint(index)}, e.Field...)
	}
}
