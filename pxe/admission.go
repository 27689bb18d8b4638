package pxe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/admission"
)

// Admission decides which machines may download their images now.
type Admission interface {
	Request(ctx context.Context, deploymentID int64, attempt int, bytes int64) (admission.Answer, error)
}

// maxQuestion is the largest body of a question, which is one number.
const maxQuestion = 4 << 10

// downloads answers POST /boot/downloads: may the machine whose report token
// this is download so many bytes now? 200 is yes. 429 is not yet, with its
// place in the queue and with Retry-After.
func (h *Handler) downloads(w http.ResponseWriter, r *http.Request) {
	answer, err := h.admit(r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	hd := w.Header()
	hd.Set("Cache-Control", "no-store")
	hd.Set("X-Content-Type-Options", "nosniff")
	status, line := http.StatusOK, "admitted"
	var document any = struct {
		Admitted bool `json:"admitted"`
	}{true}
	if !answer.Admitted {
		status = http.StatusTooManyRequests
		line = fmt.Sprintf("waiting for a download slot: %d before this machine, %d downloading", answer.Position, answer.Running)
		seconds := max(1, int(answer.RetryAfter.Seconds()))
		hd.Set("Retry-After", strconv.Itoa(seconds))
		document = struct {
			Error      string      `json:"error"`
			Code       deploy.Code `json:"code"`
			Admitted   bool        `json:"admitted"`
			Position   int         `json:"position"`
			Running    int         `json:"running"`
			RetryAfter int         `json:"retry_after_seconds"`
			RequestID  string      `json:"request_id,omitempty"`
		}{line, deploy.CodeRateLimited, false, answer.Position, answer.Running, seconds, hd.Get("X-Request-Id")}
	}
	if wantsText(r) {
		hd.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = fmt.Fprintln(w, line) // the machine went away: it will ask again
		return
	}
	hd.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}

// admit checks who asks and passes the question on.
func (h *Handler) admit(r *http.Request) (admission.Answer, error) {
	p := access.FromContext(r.Context())
	switch {
	case p == nil:
		return admission.Answer{}, deploy.Errorf(deploy.CodeUnauthenticated, "a report token is needed, as Authorization: Bearer")
	case p.Kind != access.KindMachine:
		return admission.Answer{}, deploy.Errorf(deploy.CodeForbidden, "only the machine itself may ask for a download slot")
	case h.admission == nil:
		return admission.Answer{}, deploy.Errorf(deploy.CodeNotFound, "downloads are not limited here")
	}
	bytes, err := wantedBytes(r)
	if err != nil {
		return admission.Answer{}, err
	}
	return h.admission.Request(r.Context(), p.DeploymentID, p.Attempt, bytes)
}

// wantedBytes reads bytes=N of a form, or {"bytes": N}. Nothing is 0: the
// machine does not know the sizes.
func wantedBytes(r *http.Request) (int64, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxQuestion+1))
	if err != nil {
		return 0, deploy.Errorf(deploy.CodeInvalid, "the request's body could not be read")
	}
	if len(body) > maxQuestion {
		return 0, deploy.Errorf(deploy.CodeTooLarge, "the request's body is larger than %d bytes", maxQuestion)
	}
	bad := func(code deploy.Code, message string) error {
		return deploy.Invalid([]deploy.FieldError{{Field: "bytes", Code: code, Message: message}})
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var bytes int64
	if kind == "application/json" || strings.HasPrefix(strings.TrimSpace(string(body)), "{") {
		var in struct {
			Bytes int64 `json:"bytes"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return 0, bad(deploy.CodeInvalid, "must be a whole number in a JSON object")
		}
		bytes = in.Bytes
	} else {
		form, err := url.ParseQuery(strings.TrimSpace(string(body)))
		if err != nil {
			return 0, bad(deploy.CodeInvalid, "must be a form field")
		}
		if text := form.Get("bytes"); text != "" {
			if bytes, err = strconv.ParseInt(text, 10, 64); err != nil {
				return 0, bad(deploy.CodeInvalid, "must be a whole number")
			}
		}
	}
	if bytes < 0 {
		return 0, bad(deploy.CodeOutOfRange, "must not be negative")
	}
	return bytes, nil
}

// wantsText reports whether the caller is a shell that prints one line.
func wantsText(r *http.Request) bool {
	return r.URL.Query().Get("format") == "sh" || strings.Contains(r.Header.Get("Accept"), "text/plain")
}
