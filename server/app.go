package server

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// appPath is where the app lives.
const appPath = "/monitoring"

// appPolicy lets the app load what Slipway serves and nothing else. Styles may
// be inline: the component library sets them on elements.
const appPolicy = "default-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// app serves the monitoring app. Its files below assets/ carry a hash of their
// content in their names and are kept by browsers for ever; index.html is never
// kept, and is the answer for every other path, because the app has its own
// routes.
func (s *Server) app(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", appPolicy)
	if s.App == nil {
		s.notBuilt(w, r)
		return
	}
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, appPath), "/")
	if strings.HasPrefix(name, "assets/") || path.Ext(name) != "" && name != "index.html" {
		s.asset(w, r, name)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	s.file(w, r, "index.html")
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request, name string) {
	if !fs.ValidPath(name) || strings.HasPrefix(path.Base(name), ".") {
		s.refuse(w, r, errNoFile)
		return
	}
	if strings.HasPrefix(name, "assets/") {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	s.file(w, r, name)
}

func (s *Server) file(w http.ResponseWriter, r *http.Request, name string) {
	f, err := s.App.Open(name)
	if err == nil {
		defer f.Close()
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil && info.Mode().IsRegular() {
			if seeker, ok := f.(io.ReadSeeker); ok {
				http.ServeContent(w, r, name, info.ModTime(), seeker)
				return
			}
		}
	}
	w.Header().Del("Cache-Control")
	if name == "index.html" {
		s.notBuilt(w, r)
		return
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.refuse(w, r, err)
		return
	}
	s.refuse(w, r, errNoFile)
}

var errNoFile = &ErrorDocument{Message: "there is no such file", Code: "not_found", status: http.StatusNotFound}

// notBuilt says that this binary has no app and how to get it.
func (s *Server) notBuilt(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, notBuiltPage)
	}
}

const notBuiltPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Slipway</title>
<h1>The monitoring app is not in this binary</h1>
<p>Slipway itself runs: its APIs at <code>/graphql</code> and <code>/api</code> answer.</p>
<p>Run <code>make build</code>, which builds the app first and then the binary, and start that one.</p>
</html>
`
