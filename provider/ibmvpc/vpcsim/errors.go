package vpcsim

import (
	"fmt"
	"net/http"
)

// apiError becomes the error document of the API: {"errors":[{code,message,more_info?,target?}],"trace"}.
// There is always exactly one error in the list; an empty list makes go-sdk-core panic.
type apiError struct {
	Status     int
	Code       string
	Message    string
	Target     *errorTarget
	RetryAfter int // seconds; a Retry-After header if positive
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Message) }

// errorTarget says what part of the request an error is about.
type errorTarget struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value,omitempty"`
}

type errorItem struct {
	Code     string       `json:"code"`
	Message  string       `json:"message"`
	MoreInfo string       `json:"more_info,omitempty"`
	Target   *errorTarget `json:"target,omitempty"`
}

type errorDocument struct {
	Errors []errorItem `json:"errors"`
	Trace  string      `json:"trace"`
}

func (e *apiError) document(trace string) errorDocument {
	item := errorItem{Code: e.Code, Message: e.Message, Target: e.Target}
	if item.Code == "" {
		item.Code = codeInternal
	}
	if item.Message == "" {
		item.Message = http.StatusText(e.Status)
	}
	return errorDocument{Errors: []errorItem{item}, Trace: trace}
}

// Error codes. Where IBM's documentation or a user's log shows the code it is that one; which HTTP status goes with
// a code is partly inferred.
const (
	codeBadField          = "bad_field"
	codeBadRequest        = "bad_request"
	codeRequiredField     = "validation_required_field"
	codeInvalidName       = "validation_invalid_name"
	codeUniqueFailed      = "validation_unique_failed"
	codeOverQuota         = "over_quota"
	codeMissingVersion    = "missing_version"
	codeInvalidVersion    = "invalid_version"
	codeMissingGeneration = "missing_generation_parameter"
	codeInvalidZone       = "invalid_zone"
	codeZoneInconsistency = "zone_inconsistency"
	codeNotAuthorized     = "not_authorized"
	codeNotFound          = "not_found"
	codeServerStatus      = "server_status_conflict"
	codeReservedIPInUse   = "reserved_ip_in_use"
	codeAddressReserved   = "address_is_already_reserved"
	codeVNIInUse          = "virtual_network_interface_in_use" // inferred
	codeInvalidState      = "invalid_state"
	codePrecondition      = "precondition_failed" // inferred
	codeRateLimit         = "rate_limit_exceeded"
	codeInternal          = "internal_error"
	codeNotSimulated      = "not_simulated" // this simulator's own
)

func badField(field, value, format string, args ...any) *apiError {
	return fieldError(codeBadField, field, value, format, args...)
}

func fieldError(code, field, value, format string, args ...any) *apiError {
	return &apiError{
		Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...),
		Target: &errorTarget{Name: field, Type: "field", Value: value},
	}
}

func requiredField(field string) *apiError {
	return fieldError(codeRequiredField, field, "", "The field %s is required.", field)
}

func badParameter(code, name, value, format string, args ...any) *apiError {
	return &apiError{
		Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...),
		Target: &errorTarget{Name: name, Type: "parameter", Value: value},
	}
}

// notFound is the answer for a path that names nothing.
func notFound(kind, id string) *apiError {
	return &apiError{Status: http.StatusNotFound, Code: codeNotFound, Message: fmt.Sprintf("The %s %q was not found.", kind, id)}
}

// notFoundField is the answer for a body that refers to something that does not exist. That it is 404 and not 400 is
// inferred.
func notFoundField(kind, field, id string) *apiError {
	e := notFound(kind, id)
	e.Target = &errorTarget{Name: field, Type: "field", Value: id}
	return e
}

func conflict(code, format string, args ...any) *apiError {
	return &apiError{Status: http.StatusConflict, Code: code, Message: fmt.Sprintf(format, args...)}
}

// notUnique is the answer to a taken name. Both this message and one with code bad_field have been seen at IBM.
func notUnique(name string) *apiError {
	return fieldError(codeUniqueFailed, "name", name, "Provided Name (%s) is not unique", name)
}

// overQuota is the answer to one too many; that it is 400 is inferred.
func overQuota(format string, args ...any) *apiError {
	return &apiError{Status: http.StatusBadRequest, Code: codeOverQuota, Message: fmt.Sprintf(format, args...)}
}

// notSimulated is the honest answer to something that IBM offers and the simulator does not. go-sdk-core retries
// every 5xx but 501.
func notSimulated(what string) *apiError {
	return &apiError{
		Status: http.StatusNotImplemented, Code: codeNotSimulated,
		Message: "This simulator does not offer " + what + ".",
	}
}
