package pxe

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/pxe/nodeconfig"
)

// CheckStorage tells every bad field of a disk layout (the storage_config of a
// node configuration, a JSON object), its fields named from storage_config on.
// Whoever accepts a layout asks here, so that a bad one is refused at once and
// not when the machine boots.
func CheckStorage(layout json.RawMessage) []deploy.FieldError {
	var c nodeconfig.Config
	if err := json.Unmarshal(layout, &c.Storage); err != nil {
		return []deploy.FieldError{{
			Field: "storage_config", Code: deploy.CodeInvalid,
			Message: "must hold boot_disk, and data_drives as a list; each selects disks by serial, wwn, model, size, min_size, max_size, type and count",
		}}
	}
	var all nodeconfig.FieldErrors
	_ = errors.As(c.Validate(), &all) // it has no other errors
	var bad []deploy.FieldError
	for _, e := range all {
		if strings.HasPrefix(e.Path, "storage_config") {
			bad = append(bad, deploy.FieldError{Field: e.Path, Code: deploy.CodeInvalid, Message: e.Message})
		}
	}
	return bad
}
