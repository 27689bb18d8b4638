package server

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"sync"
)

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid
	return w
}}

// compressed sends text answers with gzip to callers that accept it. It is for
// JSON and the app's files only: images are sent as they are, by sendfile, and
// upgrades are left alone.
func compressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if r.Method == http.MethodHead || r.Header.Get("Upgrade") != "" || r.Header.Get("Range") != "" ||
			!acceptsGzip(r.Header.Get("Accept-Encoding")) || strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
			next.ServeHTTP(w, r)
			return
		}
		z := &gzipResponse{ResponseWriter: w}
		defer z.close()
		next.ServeHTTP(z, r)
	})
}

func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.ReplaceAll(params, " ", "") != "q=0"
		}
	}
	return false
}

// gzipResponse decides at the first byte whether to compress.
type gzipResponse struct {
	http.ResponseWriter
	z       *gzip.Writer
	decided bool
}

func (g *gzipResponse) WriteHeader(status int) {
	if !g.decided && status >= 200 {
		g.decide(status)
	}
	g.ResponseWriter.WriteHeader(status)
}

func (g *gzipResponse) decide(status int) {
	g.decided = true
	h := g.Header()
	if status == http.StatusNoContent || status == http.StatusNotModified || status == http.StatusPartialContent ||
		h.Get("Content-Encoding") != "" || !compressible(h.Get("Content-Type")) {
		return
	}
	h.Set("Content-Encoding", "gzip")
	h.Del("Content-Length")
	h.Del("Accept-Ranges")
	if etag := h.Get("ETag"); etag != "" && !strings.HasPrefix(etag, "W/") {
		h.Set("ETag", "W/"+etag) // other bytes than those the strong one names
	}
	g.z = gzipWriters.Get().(*gzip.Writer)
	g.z.Reset(g.ResponseWriter)
}

func compressible(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	switch kind {
	case "application/json", "application/graphql-response+json", "text/html", "text/css", "text/javascript", "application/javascript", "image/svg+xml", "text/plain":
		return true
	}
	return false
}

func (g *gzipResponse) Write(b []byte) (int, error) {
	if !g.decided {
		if g.Header().Get("Content-Type") == "" {
			g.Header().Set("Content-Type", http.DetectContentType(b))
		}
		g.WriteHeader(http.StatusOK)
	}
	if g.z != nil {
		return g.z.Write(b)
	}
	return g.ResponseWriter.Write(b)
}

// Flush sends what is buffered.
func (g *gzipResponse) Flush() {
	if g.z != nil {
		_ = g.z.Flush()
	}
	if f, ok := g.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap is for http.ResponseController.
func (g *gzipResponse) Unwrap() http.ResponseWriter { return g.ResponseWriter }

func (g *gzipResponse) close() {
	if g.z == nil {
		return
	}
	_ = g.z.Close() // the client went away: nobody to tell
	g.z.Reset(io.Discard)
	gzipWriters.Put(g.z)
	g.z = nil
}
