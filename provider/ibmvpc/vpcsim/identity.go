package vpcsim

import (
	"regexp"
	"slices"
	"strings"
)

// identity is how a request refers to a resource: by exactly one of id, crn, href, name or fingerprint.
type identity struct {
	ID          string `json:"id"`
	CRN         string `json:"crn"`
	Href        string `json:"href"`
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
}

// key is the id (or name) that the identity means: the last part of a CRN or of a URL's path. It is empty when the
// identity names nothing.
func (i *identity) key() string {
	if i == nil {
		return ""
	}
	switch {
	case i.ID != "":
		return i.ID
	case i.CRN != "":
		return i.CRN[strings.LastIndexByte(i.CRN, ':')+1:]
	case i.Href != "":
		href := strings.TrimRight(i.Href, "/")
		return href[strings.LastIndexByte(href, '/')+1:]
	case i.Name != "":
		return i.Name
	default:
		return i.Fingerprint
	}
}

// namePattern is the form of names in the VPC API: lower-case letters, digits and hyphens, with a letter somewhere, no
// hyphen at either end.
var namePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// Names have at most 63 characters, and the provider keeps the prefix "ibm-" to itself (SDK comments).
const (
	maxNameLength  = 63
	reservedPrefix = "ibm-"
)

// checkName refuses a name that the API does not allow. providerPrefix says whether "ibm-" is reserved for this kind.
func checkName(name string, providerPrefix bool) error {
	if len(name) > maxNameLength || !namePattern.MatchString(name) || !strings.ContainsFunc(name, isLetter) {
		return fieldError(codeInvalidName, "name", name, "The name %q is not valid.", name)
	}
	if providerPrefix && strings.HasPrefix(name, reservedPrefix) {
		return fieldError(codeInvalidName, "name", name, "Names starting with %q are reserved for the provider.", reservedPrefix)
	}
	return nil
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' }

// chooseName checks a requested name or makes one up.
func chooseName(requested string, providerPrefix bool, taken func(string) bool) (string, error) {
	if requested == "" {
		return randomName(taken), nil
	}
	if err := checkName(requested, providerPrefix); err != nil {
		return "", err
	}
	if taken(requested) {
		return "", notUnique(requested)
	}
	return requested, nil
}

// oneOf refuses a value outside an enumeration.
func oneOf(field, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return badField(field, value, "The field %s must be one of %s.", field, strings.Join(allowed, ", "))
}

// list returns the values of a map that keep holds for, in no order.
func list[T any](all map[string]T, keep func(T) bool) []T {
	items := make([]T, 0, len(all))
	for _, item := range all {
		if keep(item) {
			items = append(items, item)
		}
	}
	return items
}

// render turns a page of items into their answers; never nil, since the API's lists are required.
func render[T, W any](items []T, one func(T) W) []W {
	out := make([]W, 0, len(items))
	for _, item := range items {
		out = append(out, one(item))
	}
	return out
}
