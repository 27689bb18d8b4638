package artifact

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Prefix is the path below which artifacts are served.
const Prefix = "/boot/images/"

// ServeHTTP answers GET and HEAD for Prefix + name. The name comes from the
// pattern's {name} where the router sets it, else from the path after Prefix.
//
// The answer has a strong ETag and X-Checksum-Sha256, both the SHA-256 of the
// whole file, Last-Modified and Content-Length, and honours Range, If-Range,
// If-None-Match and If-Modified-Since (RFC 9110 sections 13 and 14). The file
// itself is handed to net/http, which sends it with sendfile as long as no
// middleware hides the ResponseWriter's ReadFrom.
func (c *Catalogue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "invalid", "artifacts can only be read (GET, HEAD)")
		return
	}
	name := r.PathValue("name")
	if name == "" {
		name = strings.TrimPrefix(r.URL.Path, Prefix)
	}
	if !ValidName(name) { // says nothing about what exists, and keeps paths out of the log
		refuse(w, http.StatusNotFound, "not_found", "no such artifact")
		return
	}
	f, a, err := c.OpenFile(name)
	switch {
	case errors.Is(err, ErrNotFound):
		refuse(w, http.StatusNotFound, "not_found", "no artifact is called "+name)
		return
	case errors.Is(err, ErrBroken):
		c.log.Error("artifact is broken and not served", "artifact", name, "reason", a.Broken)
		refuse(w, http.StatusNotFound, "not_found", "artifact "+name+" is registered, but its file is missing or changed; register it again")
		return
	case err != nil:
		c.log.Error("artifact catalogue cannot be read", "error", err)
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "upstream_unavailable", "the artifact catalogue cannot be read")
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		c.log.Error("artifact cannot be read", "artifact", name, "error", err)
		refuse(w, http.StatusServiceUnavailable, "upstream_unavailable", "the artifact cannot be read")
		return
	}
	h := w.Header()
	h.Set("ETag", `"`+a.SHA256+`"`)
	h.Set("X-Checksum-Sha256", a.SHA256)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	// A name may get new content: caches must ask, which the ETag makes cheap.
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// refuse answers with the error form that every endpoint shares.
func refuse(w http.ResponseWriter, status int, code, text string) {
	body := struct {
		Error     string `json:"error"`
		Code      string `json:"code"`
		RequestID string `json:"request_id,omitempty"`
	}{text, code, w.Header().Get("X-Request-Id")}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client went away: nobody to tell
}
