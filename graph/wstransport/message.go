package wstransport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Close codes of graphql-transport-ws (PROTOCOL.md).
const (
	CloseBadMessage      = 4400 // a message that the protocol does not know
	CloseUnauthorized    = 4401 // subscribe before connection_ack
	CloseForbidden       = 4403 // connection_init refused, or the credential has expired
	CloseInitTimeout     = 4408 // no connection_init in time
	CloseDuplicateID     = 4409 // the operation's id is in use
	CloseTooManyInits    = 4429 // a second connection_init
	maxOperationIDLength = 256
)

// Message types of graphql-transport-ws.
const (
	typeInit      = "connection_init"
	typeAck       = "connection_ack"
	typePing      = "ping"
	typePong      = "pong"
	typeSubscribe = "subscribe"
	typeNext      = "next"
	typeError     = "error"
	typeComplete  = "complete"
)

// CloseError is an InitFunc's refusal with a close code of its own.
type CloseError struct {
	Code   int    // 4000 to 4999
	Reason string // at most 123 bytes; longer ones are cut
}

func (e *CloseError) Error() string { return fmt.Sprintf("close %d: %s", e.Code, e.Reason) }

// message is what a peer sends.
type message struct {
	ID      *string         `json:"id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

func decodeMessage(data []byte) (message, error) {
	var m message
	// Decoding would put other characters in the place of what is not UTF-8.
	if !utf8.Valid(data) {
		return m, errors.New("Messages must be UTF-8")
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, errors.New("Invalid JSON")
	}
	switch m.Type {
	case typeInit, typePing, typePong:
		if p := bytes.TrimSpace(m.Payload); len(p) > 0 && p[0] != '{' && !bytes.Equal(p, []byte("null")) {
			return m, fmt.Errorf("The payload of %s must be an object", m.Type)
		}
	case typeSubscribe, typeComplete:
		if m.ID == nil || *m.ID == "" || len(*m.ID) > maxOperationIDLength {
			return m, fmt.Errorf("A %s needs an id of 1 to %d bytes", m.Type, maxOperationIDLength)
		}
	case "":
		return m, errors.New("A message needs a type")
	default:
		return m, errors.New("Unknown message type")
	}
	return m, nil
}

// decodeParams reads the payload of a subscribe. Numbers keep their digits, as
// gqlgen's own transports do it.
func decodeParams(payload json.RawMessage) (*graphql.RawParams, error) {
	var p struct {
		Query         *string        `json:"query"`
		OperationName string         `json:"operationName"`
		Variables     map[string]any `json:"variables"`
		Extensions    map[string]any `json:"extensions"`
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	if err := dec.Decode(&p); err != nil || p.Query == nil {
		return nil, errors.New("The payload of subscribe must be an object with a query")
	}
	return &graphql.RawParams{Query: *p.Query, OperationName: p.OperationName, Variables: p.Variables, Extensions: p.Extensions}, nil
}

// EncodeResponse gives a response as JSON. gqlgen's data is compact JSON
// already, so the common case only copies it.
func EncodeResponse(r *graphql.Response) ([]byte, error) {
	if len(r.Errors) > 0 || len(r.Extensions) > 0 || r.Label != "" || len(r.Path) > 0 || r.HasNext != nil || len(r.Data) == 0 {
		return json.Marshal(r)
	}
	b := make([]byte, 0, len(r.Data)+len(`{"data":}`))
	b = append(b, `{"data":`...)
	b = append(b, r.Data...)
	return append(b, '}'), nil
}

func encodeErrors(errs gqlerror.List) []byte {
	b, err := json.Marshal(errs)
	if err != nil { // an extension that is no JSON: the message alone always is
		b, _ = json.Marshal(gqlerror.List{{Message: "internal error"}})
	}
	return b
}

// envelope gives the bytes before a payload; a message ends with '}'.
func envelope(typ string, id []byte) []byte {
	b := make([]byte, 0, len(id)+48)
	b = append(b, `{"id":`...)
	b = append(b, id...)
	b = append(b, `,"type":"`...)
	b = append(b, typ...)
	return append(b, `","payload":`...)
}

func completeMessage(id []byte) []byte {
	b := make([]byte, 0, len(id)+32)
	b = append(b, `{"id":`...)
	b = append(b, id...)
	return append(b, `,"type":"complete"}`...)
}
