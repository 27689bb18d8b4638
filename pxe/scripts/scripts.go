package scripts

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed *.sh
var sources embed.FS

// The names under which the scripts are served.
const (
	FoundationInit = "foundation-init.sh"
	NetworkConfig  = "network-config.sh"
	PostInstall    = "post-install.sh"
	Report         = "report.sh"
)

// Script is one served script.
type Script struct {
	Name string
	// Content is what a machine gets: the source with line markers.
	Content []byte
	// SHA256 of Content, lower-case hexadecimal.
	SHA256 string
}

// load reads and marks the scripts, once.
var load = sync.OnceValue(func() []Script {
	names, err := fs.Glob(sources, "*.sh")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	slices.Sort(names)
	list := make([]Script, 0, len(names))
	for _, name := range names {
		source, err := sources.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("embedded script %s: %v", name, err)) // it was just listed
		}
		content := mark(name, source)
		sum := sha256.Sum256(content)
		list = append(list, Script{Name: name, Content: content, SHA256: hex.EncodeToString(sum[:])})
	}
	return list
})

// All returns the scripts, sorted by name. The caller must not change their content.
func All() []Script { return slices.Clone(load()) }

// Get returns the script of that name, and whether there is one.
func Get(name string) (Script, bool) {
	list := load()
	i := slices.IndexFunc(list, func(s Script) bool { return s.Name == name })
	if i < 0 {
		return Script{}, false
	}
	return list[i], true
}

// Set serves the scripts over HTTP. The zero value is ready to use.
type Set struct{}

// Sums gives the SHA-256 in hex of every script by name.
func (Set) Sums() map[string]string {
	sums := map[string]string{}
	for _, s := range load() {
		sums[s.Name] = s.SHA256
	}
	return sums
}

// ServeHTTP answers GET and HEAD for the script that the path ends with, or that
// the route's {name} is, with Range and ETag (RFC 9110 sections 14 and 8.8.3)
// and its sum in X-Checksum-Sha256. It is open: the scripts hold no secret.
func (Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if name == "" {
		name = r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	}
	s, ok := Get(name)
	if !ok {
		http.Error(w, "there is no script of that name", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "a script can only be fetched", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/x-shellscript; charset=utf-8")
	h.Set("ETag", `"sha256-`+s.SHA256+`"`)
	h.Set("X-Checksum-Sha256", s.SHA256)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache") // ask again, the ETag makes that cheap
	http.ServeContent(w, r, s.Name, time.Time{}, bytes.NewReader(s.Content))
}
