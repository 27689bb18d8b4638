package store

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// parseURL tells which database an address means, and the file of SQLite.
func parseURL(raw string) (d Dialect, path string, err error) {
	switch scheme, rest, ok := strings.Cut(raw, ":"); {
	case raw == "":
		return "", "", errors.New("database URL is empty: want postgres://… or sqlite:/path/file.db")
	case ok && (scheme == "postgres" || scheme == "postgresql"):
		if _, err := url.Parse(raw); err != nil {
			// The error of url.Parse quotes the address with its password.
			return "", "", errors.New("database URL is not a valid postgres:// address")
		}
		return PostgreSQL, "", nil
	case ok && scheme == "sqlite":
		path = strings.TrimPrefix(rest, "//")
	case strings.Contains(raw, "://"):
		return "", "", fmt.Errorf("database URL has an unknown scheme %q: want postgres:// or sqlite:", scheme)
	default:
		path = raw
	}
	if path == "" || strings.HasPrefix(path, ":") {
		return "", "", errors.New("SQLite needs the path of a file: sqlite:/path/file.db")
	}
	if strings.ContainsAny(path, "?\x00") {
		return "", "", errors.New("SQLite takes no parameters in its URL: want sqlite:/path/file.db")
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", "", fmt.Errorf("path of the SQLite file: %w", err)
	}
	return SQLite, path, nil
}

// RedactURL is a database's address without its secrets.
func RedactURL(raw string) string {
	d, path, err := parseURL(raw)
	if err != nil {
		return "(invalid database URL)"
	}
	if d == SQLite {
		return "sqlite:" + path
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "(invalid database URL)"
	}
	q := u.Query()
	for _, secret := range []string{"password", "sslpassword", "passfile"} {
		if q.Has(secret) {
			q.Set(secret, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}
