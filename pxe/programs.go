package pxe

import (
	"net/http"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/pxe/program"
)

// Programs are the boot programs that firmware loads.
type Programs interface {
	Get(name string) (program.Program, bool)
}

// program answers GET /boot/programs/{name}, for UEFI HTTP boot: EDK2 asks with
// HEAD first and needs the Content-Length. The answer has ETag, X-Checksum-Sha256
// and Range as artifacts have.
func (h *Handler) program(w http.ResponseWriter, r *http.Request) {
	var p program.Program
	found := false
	if h.programs != nil {
		p, found = h.programs.Get(r.PathValue("name"))
	}
	if !found {
		h.refuse(w, r, deploy.Errorf(deploy.CodeNotFound, "no such boot program"))
		return
	}
	hd := w.Header()
	hd.Set("ETag", `"`+p.SHA256+`"`)
	hd.Set("X-Checksum-Sha256", p.SHA256)
	hd.Set("Content-Type", p.ContentType())
	hd.Set("X-Content-Type-Options", "nosniff")
	hd.Set("Cache-Control", "no-cache") // a new version has the same name
	http.ServeContent(w, r, "", p.Modified, p.Reader())
}
