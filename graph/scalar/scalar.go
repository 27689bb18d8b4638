package scalar

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/slipwayhq/slipway/deploy"
)

// Error is a value that is not of its scalar's form.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

func errorf(format string, args ...any) error { return &Error{Text: fmt.Sprintf(format, args...)} }

// MarshalTime writes RFC 3339 in UTC with microseconds, which is what both
// databases keep.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		b := make([]byte, 0, 32)
		b = append(b, '"')
		b = t.UTC().Truncate(time.Microsecond).AppendFormat(b, time.RFC3339Nano)
		_, _ = w.Write(append(b, '"'))
	})
}

// UnmarshalTime reads RFC 3339 with any offset, in UTC and whole microseconds.
func UnmarshalTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, errorf("a Time is a string")
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, errorf("a Time is RFC 3339 with an offset, for example 2026-11-22T08:40:05Z")
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// MarshalDuration writes whole milliseconds.
func MarshalDuration(d time.Duration) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, strconv.FormatInt(d.Milliseconds(), 10)) })
}

// UnmarshalDuration reads whole milliseconds.
func UnmarshalDuration(v any) (time.Duration, error) {
	var ms int64
	switch n := v.(type) {
	case int:
		ms = int64(n)
	case int64:
		ms = n
	case json.Number:
		var err error
		if ms, err = n.Int64(); err != nil {
			return 0, errorf("a Duration is a whole number of milliseconds")
		}
	default:
		return 0, errorf("a Duration is a whole number of milliseconds")
	}
	if ms > math.MaxInt64/int64(time.Millisecond) || ms < math.MinInt64/int64(time.Millisecond) {
		return 0, errorf("the Duration is too long")
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// MarshalCursor writes a cursor.
func MarshalCursor(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalCursor reads a cursor; who uses it decides whether it is one.
func UnmarshalCursor(v any) (string, error) {
	s, ok := v.(string)
	if !ok || len(s) > 1024 {
		return "", errorf("a Cursor is a string that this server gave out")
	}
	return s, nil
}

// MarshalIPAddress writes an address.
func MarshalIPAddress(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalIPAddress reads an IPv4 or IPv6 address, without zone and prefix,
// in its shortest form.
func UnmarshalIPAddress(v any) (string, error) {
	s, _ := v.(string)
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return "", errorf("an IPAddress is an IPv4 or IPv6 address, for example 10.0.0.7")
	}
	return a.Unmap().String(), nil
}

// MarshalMACAddress writes an address.
func MarshalMACAddress(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalMACAddress reads six pairs of hexadecimal digits, separated by
// colons or hyphens.
func UnmarshalMACAddress(v any) (string, error) {
	s, _ := v.(string)
	mac, ok := deploy.NormalMAC(s)
	if !ok {
		return "", errorf("a MACAddress is six pairs of hexadecimal digits, for example 02:00:5e:00:53:01")
	}
	return mac, nil
}

// MarshalJSONObject writes an object as it is stored.
func MarshalJSONObject(raw json.RawMessage) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		if !json.Valid(raw) { // never break the answer around it
			raw = json.RawMessage("null")
		}
		_, _ = w.Write(raw)
	})
}

// UnmarshalJSONObject reads an object.
func UnmarshalJSONObject(v any) (json.RawMessage, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errorf("a JSONObject is an object")
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, errorf("a JSONObject is an object")
	}
	return raw, nil
}

// MarshalJSON writes a JSON value as it is stored.
func MarshalJSON(raw json.RawMessage) graphql.Marshaler { return MarshalJSONObject(raw) }

// UnmarshalJSON reads any JSON value. The members of its objects are in the
// order of their names.
func UnmarshalJSON(v any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, errorf("a JSON value is expected")
	}
	return raw, nil
}
