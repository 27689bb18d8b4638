package client

import "encoding/json"

// MarshalJSON leaves out the fields that are not set: a @oneOf input has
// exactly one key.
func (s DeploySpec) MarshalJSON() ([]byte, error) {
	out := map[string]any{}
	if s.IbmVpc != nil {
		out["ibmVpc"] = s.IbmVpc
	}
	if s.Rack != nil {
		out["rack"] = s.Rack
	}
	return json.Marshal(out)
}
