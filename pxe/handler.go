package pxe

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/pxe/artifact"
	"github.com/slipwayhq/slipway/pxe/nodeconfig"
)

// Lifecycle decides and records what becomes of a boot.
type Lifecycle interface {
	Boot(ctx context.Context, r lifecycle.BootRequest) (lifecycle.BootAnswer, error)
	ConfigServed(ctx context.Context, deploymentID int64, attempt int, remote string) (lifecycle.Receipt, error)
	Report(ctx context.Context, r lifecycle.Report) (lifecycle.Receipt, error)
}

// Strangers notes what comes from machines that are not known.
type Strangers interface {
	Stranger(ctx context.Context, code, remote, path, summary string)
}

// Secrets resolves boot locators and mints report tokens.
type Secrets interface {
	Locate(ctx context.Context, locator string) (access.Located, error)
	CreateReportToken(ctx context.Context, nodeID, deploymentID int64, attempt int, nodeName string) (string, error)
}

// Machines reads what is known of a machine.
type Machines interface {
	// Machine reads a node and one of its deployments.
	Machine(ctx context.Context, deploymentID int64) (query.Machine, error)
	// FindMachine reads the node that a hint names, with its current
	// deployment; not_found if there is none.
	FindMachine(ctx context.Context, hint query.MachineHint) (query.Machine, error)
	// Waiting is what a deployment waits for in words: its place in the queue.
	Waiting(ctx context.Context, deploymentID int64) (string, error)
}

// Artifacts is the catalogue of boot files and images.
type Artifacts interface {
	http.Handler
	Get(name string) (artifact.Artifact, error)
	List() ([]artifact.Artifact, error)
}

// Scripts is the set of served shell scripts.
type Scripts interface {
	http.Handler
	// Sums gives the SHA-256 in hex of every script by file name.
	Sums() map[string]string
}

// Settings are what an operator decides about installs.
type Settings struct {
	// BaseURL is how machines reach Slipway, without a slash at its end. Empty:
	// the host that the request was sent to.
	BaseURL string
	// Kernel and Initrd are the artifacts of the install environment.
	Kernel, Initrd string
	// KernelArgs follow on the kernel's command line, console=… among them.
	KernelArgs []string
	// Installer is the artifact that installs a node whose spec names none, with
	// its arguments and its time limit in seconds (0 = one hour).
	Installer        string
	InstallerArgs    []string
	InstallerTimeout int
	// Images are the artifacts that every node downloads. Empty: everything in
	// the catalogue of kind hypervisor, cvm or image.
	Images []string
	// Access is how the installed system will be reached.
	Access nodeconfig.Access
	// Resources of the controller virtual machine.
	Resources nodeconfig.Resources
	// Storage is the disk layout of a node whose spec has none, by server
	// profile; the entry "" is for every other profile.
	Storage map[string]nodeconfig.Storage
	// Networks are those of rack machines: the one that holds a machine's
	// address fills in what its spec does not say.
	Networks   []deploy.Subnet
	DNSServers []string // when neither spec nor provider nor network names any
	Domain     string
	Heartbeat  int // seconds between signs of life, 0 = 30
}

// Handler answers everything below /boot/. The caller's identity is taken from
// the request's context (access.FromContext), where the server puts it.
type Handler struct {
	set       Settings
	lifecycle Lifecycle
	secrets   Secrets
	machines  Machines
	artifacts Artifacts
	scripts   Scripts
	programs  Programs
	strangers Strangers
	admission Admission
	log       *slog.Logger
	mux       *http.ServeMux
}

// Parts are what a Handler is made of.
type Parts struct {
	Settings  Settings
	Lifecycle Lifecycle
	Secrets   Secrets
	Machines  Machines
	Artifacts Artifacts
	Scripts   Scripts
	Programs  Programs // nil = there are none
	Strangers Strangers
	Admission Admission    // nil = downloads are not limited
	Log       *slog.Logger // nil = slog.Default()
}

// New makes the handler. An unusable base URL or kernel argument is an error
// here and not at the first boot.
func New(p Parts) (*Handler, error) {
	if p.Settings.BaseURL != "" && !isBase(p.Settings.BaseURL) {
		return nil, fmt.Errorf("base URL %q: must be http:// or https:// with a host and without a slash at its end", p.Settings.BaseURL)
	}
	for _, w := range append([]string{p.Settings.Kernel, p.Settings.Initrd}, p.Settings.KernelArgs...) {
		if !isWord(w) {
			return nil, fmt.Errorf("%q cannot be part of a kernel command line in a boot script", w)
		}
	}
	h := &Handler{
		set: p.Settings, lifecycle: p.Lifecycle, secrets: p.Secrets, machines: p.Machines,
		artifacts: p.Artifacts, scripts: p.Scripts, programs: p.Programs, strangers: p.Strangers, admission: p.Admission, log: p.Log, mux: http.NewServeMux(),
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	for pattern, f := range h.routes() {
		h.mux.Handle(pattern, f)
	}
	return h, nil
}

// routes is the whole face, by pattern of http.ServeMux.
func (h *Handler) routes() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /boot/d/{locator}":        http.HandlerFunc(h.boot),
		"GET /boot/config":             http.HandlerFunc(h.named),
		"GET /boot/server/{server_ip}": http.HandlerFunc(h.configuration),
		"GET /boot/images/{name}":      h.artifacts,
		"GET /boot/scripts/{name}":     h.scripts,
		"GET /boot/programs/{name}":    http.HandlerFunc(h.program),
		"POST /boot/downloads":         http.HandlerFunc(h.downloads),
	}
}

// ServeHTTP routes below /boot/.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// base is the URL that the machine is told to use.
func (h *Handler) base(r *http.Request) (string, error) {
	if h.set.BaseURL != "" {
		return h.set.BaseURL, nil
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	if b := scheme + r.Host; isBase(b) {
		return b, nil
	}
	return "", deploy.Errorf(deploy.CodeInvalid, "the request's Host header is not usable")
}

// isBase reports whether s is a scheme, a host and perhaps a path that can be
// part of a boot script.
func isBase(s string) bool {
	host, ok := strings.CutPrefix(s, "http://")
	if !ok {
		host, ok = strings.CutPrefix(s, "https://")
	}
	return ok && host != "" && isWord(host) && !strings.HasPrefix(host, "/") && !strings.HasSuffix(host, "/") && !strings.ContainsAny(host, "?&=+,@")
}

// remote is the caller's address, without the port.
func remote(r *http.Request) string {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap().WithZone("").String()
	}
	return r.RemoteAddr
}

// globalID is the opaque id of a node.
func globalID(id int64) string { return "node_" + strconv.FormatInt(id, 10) }

// script sends a boot script. It is 200 whatever it says: firmware shows a
// person nothing of another answer.
func script(w http.ResponseWriter, r *http.Request, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(text)) // the machine went away: nobody to tell
	}
}

var statusOf = map[deploy.Code]int{
	deploy.CodeNotFound:            http.StatusNotFound,
	deploy.CodeUnauthenticated:     http.StatusUnauthorized,
	deploy.CodeForbidden:           http.StatusForbidden,
	deploy.CodeInvalid:             http.StatusUnprocessableEntity,
	deploy.CodeOutOfRange:          http.StatusUnprocessableEntity,
	deploy.CodeTooLarge:            http.StatusRequestEntityTooLarge,
	deploy.CodeRateLimited:         http.StatusTooManyRequests,
	deploy.CodeUpstreamUnavailable: http.StatusServiceUnavailable,
}

// refuse answers with the error document that every endpoint shares, or with
// one line for a shell.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := deploy.AsError(err)
	if !ok {
		h.log.ErrorContext(r.Context(), "boot request could not be answered", "path", r.URL.Path, "error", err)
		e = &deploy.Error{Code: deploy.CodeUpstreamUnavailable, Message: "Slipway cannot answer at the moment"}
	}
	status := statusOf[e.Code]
	if status == 0 {
		status = http.StatusConflict
	}
	hd := w.Header()
	hd.Set("Cache-Control", "no-store")
	hd.Set("X-Content-Type-Options", "nosniff")
	switch status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		hd.Set("Retry-After", "5")
	case http.StatusUnauthorized:
		hd.Set("WWW-Authenticate", `Bearer realm="slipway"`)
	}
	if wantsText(r) {
		hd.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "error %s: %s\n", e.Code, echoText(e.Message))
		return
	}
	hd.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Error     string      `json:"error"`
		Code      deploy.Code `json:"code"`
		Hint      string      `json:"hint,omitempty"`
		RequestID string      `json:"request_id,omitempty"`
	}{e.Message, e.Code, e.Hint, hd.Get("X-Request-Id")})
}
