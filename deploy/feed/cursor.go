package feed

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// Cursor is a place in the stream: opaque to clients, versioned, and bound to
// one database by its epoch.
type Cursor struct {
	Epoch    string
	Position int64
}

// String encodes the cursor for the wire: base64url of "v1:epoch:position".
func (c Cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte("v1:" + c.Epoch + ":" + strconv.FormatInt(c.Position, 10)))
}

// ParseCursor reads a cursor from the wire. What is no cursor at all is an
// error (invalid); one of another database is recognised by its epoch later.
func ParseCursor(s string) (Cursor, error) {
	bad := func(why string) (Cursor, error) {
		return Cursor{}, &deploy.Error{Code: deploy.CodeInvalid, Message: "the cursor is not one of ours: " + why, Hint: "use a cursor exactly as it was given, or leave it out",
			Fields: []deploy.FieldError{{Field: "after", Code: deploy.CodeInvalid, Message: "is not a cursor"}}}
	}
	if len(s) > 200 {
		return bad("too long")
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return bad("not base64url")
	}
	parts := strings.Split(string(raw), ":")
	if len(parts) != 3 || parts[0] != "v1" {
		return bad("unknown version")
	}
	position, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || position < 0 || fmt.Sprint(position) != parts[2] {
		return bad("no position")
	}
	return Cursor{Epoch: parts[1], Position: position}, nil
}
