package hostconfig

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
)

// Problem is an error in the form of a request: what it has cannot be kept in a
// Document. It has the same shape as the errors of Check.
type Problem = deploy.FieldError

var (
	interfaceKey = regexp.MustCompile(`^interface_([0-9]{1,3})$`)
	bondKey      = regexp.MustCompile(`^bond([1-9][0-9]?)$`)
)

// Parse reads the body of a request: an object of documents by address or name,
// or a list of documents. The cards are in the request's order, one for each
// document; the Doc of one that is no object is nil. Problems are all that is
// wrong with the form; what the values say is for Check. A body that is no JSON,
// too large or too deep has one problem and no cards.
func Parse(body []byte) ([]Card, []Problem) {
	if len(body) > MaxBytes {
		return nil, []Problem{fault("body", KeyTooLarge, "max", fmt.Sprint(MaxBytes))}
	}
	tree, err := readTree(body)
	switch {
	case errors.As(err, new(tooDeepError)):
		return nil, []Problem{fault("body", KeyTooDeep, "max", fmt.Sprint(maxDepth))}
	case err != nil:
		return nil, []Problem{fault("body", KeyJSONMalformed, "reason", err.Error())}
	case tree.kind != isObject && tree.kind != isList:
		return nil, []Problem{fault("body", KeyWrongType, "expected", "an object or a list")}
	case len(tree.items) == 0:
		return nil, []Problem{fault("body", KeyNoCards)}
	case len(tree.items) > MaxCards:
		return nil, []Problem{fault("body", KeyTooManyCards, "max", fmt.Sprint(MaxCards))}
	}
	r := reader{}
	cards := make([]Card, len(tree.items))
	for i, item := range tree.items {
		at := "cards." + strconv.Itoa(i)
		if tree.kind == isObject {
			cards[i].Key = tree.keys[i]
			if slices.Contains(tree.keys[:i], tree.keys[i]) {
				r.add(at+".key", KeyDuplicateField)
				continue
			}
		}
		if item.kind != isObject {
			r.add(at, KeyWrongType, "expected", isObject)
			continue
		}
		cards[i].Raw = slices.Clone(body[item.start:item.end])
		cards[i].Doc = r.document(at, item)
	}
	return cards, capped(r.problems)
}

// ParseFile reads one document, as Render wrote it or another program did.
func ParseFile(file []byte) (*Document, []Problem) {
	cards, problems := Parse(slices.Concat([]byte("["), file, []byte("]")))
	switch {
	case len(problems) > 0:
		return nil, problems
	case len(cards) != 1:
		return nil, []Problem{fault("body", KeyWrongType, "expected", isObject)}
	}
	return cards[0].Doc, nil
}

// Validate is Parse and Check: every error of a request, in the order of its
// cards.
func Validate(body []byte, inv Inventory) ([]Card, []deploy.FieldError) {
	cards, problems := Parse(body)
	all := append(problems, Check(cards, inv)...)
	slices.SortStableFunc(all, func(a, b deploy.FieldError) int { return cardOf(a.Field) - cardOf(b.Field) })
	return cards, capped(all)
}

// cardOf gives the position of the card that a path is in, -1 for the body.
func cardOf(path string) int {
	parts := strings.SplitN(path, ".", 3)
	if len(parts) < 2 {
		return -1
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return -1
	}
	return n
}

// capped cuts a list of errors at its limit.
func capped(all []deploy.FieldError) []deploy.FieldError {
	before := len(all)
	all = slices.DeleteFunc(all, func(f deploy.FieldError) bool { return f.Key == KeyMoreErrors })
	if len(all) == before && len(all) <= MaxErrors {
		return all
	}
	all = all[:min(len(all), MaxErrors)]
	return append(slices.Clip(all), fault("body", KeyMoreErrors, "max", fmt.Sprint(MaxErrors)))
}

// reader gathers the problems of a request.
type reader struct {
	problems []Problem
	base     string   // path of the document
	garbled  []string // paths in the document
}

func (r *reader) add(path, key string, fill ...string) {
	if len(r.problems) > MaxErrors {
		return
	}
	r.problems = append(r.problems, fault(path, key, fill...))
	if in, ok := strings.CutPrefix(path, r.base+"."); ok && key != KeyUnknownField {
		r.garbled = append(r.garbled, in)
	}
}

// object goes through the fields of an object: each once, null being absent.
func (r *reader) object(path string, n *node, known func(name, path string, n *node) bool) {
	seen := make(map[string]bool, len(n.keys))
	for i, name := range n.keys {
		at := path + "." + escape(name)
		switch {
		case seen[name]:
			r.add(at, KeyDuplicateField)
		case !known(name, at, n.items[i]):
			r.add(at, KeyUnknownField)
		}
		seen[name] = true
	}
}

func (r *reader) document(path string, n *node) *Document {
	d := &Document{}
	r.base, r.garbled = path, nil
	r.object(path, n, func(name, at string, v *node) bool {
		if name == nameInterfaces {
			r.interfaces(d, at, v)
			return true
		}
		return readField(r, documentFields, d, name, at, v)
	})
	d.Roles = slices.DeleteFunc(d.Roles, func(s string) bool { return s == RoleNetwork })
	d.settle()
	d.garbled = r.garbled
	return d
}

// settle brings what depends on other fields into canonical form.
func (d *Document) settle() {
	for i := range d.Interfaces {
		e := &d.Interfaces[i]
		if p := e.Properties; p != nil {
			if *p == (Properties{}) && slices.Contains(addressless, e.Type()) {
				e.Properties = nil
				continue
			}
			a, ok := parseAddr(p.IPAddress)
			p.Netmask = canonMask(p.Netmask, ok && a.Is6())
			p.MTU = orNone(p.MTU)
		}
		if !e.IsMember() {
			e.VLAN = orNone(e.VLAN)
		}
		if !e.IsBond() && e.BondSlave == "" {
			e.BondSlave = no
		}
	}
	parts := []*string{&d.Provider.CIDR, &d.Provider.Gateway, &d.Provider.StartingIP, &d.Provider.EndingIP}
	none := false
	for _, p := range parts {
		if strings.EqualFold(*p, NotGiven) {
			*p, none = NotGiven, true
		}
	}
	for _, p := range parts {
		if none && !d.Provider.given() {
			*p = NotGiven
		}
	}
}

func (r *reader) interfaces(d *Document, path string, n *node) {
	if n.kind == isNull {
		return
	}
	if n.kind != isObject {
		r.add(path, KeyWrongType, "expected", isObject)
		return
	}
	if len(n.keys) > maxInterfaces {
		r.add(path, KeyTooManyInterfaces, "max", fmt.Sprint(maxInterfaces))
		return
	}
	seen := map[string]bool{}
	r.object(path, n, func(name, at string, v *node) bool {
		key := canonKey(name)
		switch {
		case key == "":
			return false
		case seen[key]:
			r.add(at, KeyDuplicateField)
			return true
		case v.kind != isObject:
			r.add(at, KeyWrongType, "expected", isObject)
			return true
		}
		seen[key] = true
		e := Interface{Key: key, came: escape(name)}
		r.object(at, v, func(name, at string, v *node) bool {
			if name == nameProperties {
				e.Properties = r.properties(at, v)
				return true
			}
			return readField(r, interfaceFields, &e, name, at, v)
		})
		d.Interfaces = append(d.Interfaces, e)
		return true
	})
}

// canonKey gives the canonical form of an interface's key, empty if it is none.
func canonKey(name string) string {
	if m := interfaceKey.FindStringSubmatch(name); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
			return fmt.Sprintf("interface_%02d", n)
		}
		return ""
	}
	if bondKey.MatchString(name) {
		return name
	}
	return ""
}

func (r *reader) properties(path string, n *node) *Properties {
	if n.kind == isNull {
		return nil
	}
	if n.kind != isObject {
		r.add(path, KeyWrongType, "expected", isObject)
		return nil
	}
	p := &Properties{}
	r.object(path, n, func(name, at string, v *node) bool { return readField(r, propertyFields, p, name, at, v) })
	return p
}

// readField reads one field by its table; false if the table has no such name.
func readField[T any](r *reader, table []field[T], into *T, name, path string, n *node) bool {
	i := slices.IndexFunc(table, func(f field[T]) bool { return f.name == name })
	if i < 0 {
		return false
	}
	f := &table[i]
	if f.many == nil {
		*f.one(into) = f.canonical(r.scalar(path, f.kind, n))
		return true
	}
	list := f.many(into)
	switch {
	case n.kind == isNull, f.kind == oneText && n.kind == isText && strings.TrimSpace(n.text) == "":
	case n.kind == isList:
		for i, item := range n.items {
			if item.kind != isText {
				r.add(path+"."+strconv.Itoa(i), KeyWrongType, "expected", isText)
			} else if v := strings.TrimSpace(item.text); v != "" || f.kind != oneText {
				*list = append(*list, f.canonical(v))
			}
		}
	case f.kind == oneText:
		if v := r.scalar(path, text, n); v != "" {
			*list = []string{f.canonical(v)}
		}
	default:
		r.add(path, KeyWrongType, "expected", isList)
	}
	return true
}

// scalar reads a text, or what is accepted in its place; null is no text.
func (r *reader) scalar(path string, k kind, n *node) string {
	switch {
	case n.kind == isNull:
		return ""
	case n.kind == isText, n.kind == isNumber && k == numeric, n.kind == isTruth && k == flag:
		return strings.TrimSpace(n.text)
	}
	r.add(path, KeyWrongType, "expected", map[kind]string{text: isText, numeric: isText + " or " + isNumber, flag: "YES or NO"}[k])
	return ""
}
