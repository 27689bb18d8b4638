package hostconfig

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
)

// member is a name and a value of an object.
type member struct {
	name  string
	value any
}

// object is a JSON object that keeps its order.
type object []member

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(m.name))
		b.WriteByte(':')
		b.Write(encode(m.value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode writes a value of this package's making, which always can be, without
// the escapes that only HTML needs.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("hostconfig: " + err.Error()) // no value of ours has a type that cannot be written
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// indented writes a value as files have it: two spaces, a newline at the end.
func indented(compact []byte) []byte {
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", "  "); err != nil {
		panic("hostconfig: " + err.Error())
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// Render gives the document as it is written, byte for byte: indent 2, fields
// in a fixed order, rows in theirs, Network among the roles, "NULL" for no VLAN
// and no MTU, a newline at the end. What Parse makes of it renders to the same
// bytes.
func Render(d *Document) []byte { return indented(d.compact()) }

func (d *Document) compact() []byte {
	var entries object
	for _, r := range d.rows() {
		entries = append(entries, member{r.Key, r.object()})
		for _, m := range r.members {
			entries = append(entries, member{m.Key, m.object()})
		}
	}
	out := append(object{{nameInterfaces, entries}}, members(documentFields, d)...)
	for i := range out {
		if out[i].name == rolesField.name {
			out[i].value = canonRoles(d.Roles)
		}
	}
	return encode(out)
}

// canonRoles puts the roles in their order, Network last; what is no role stays
// before it.
func canonRoles(roles []string) []string {
	at := func(r string) int {
		if i := slices.Index(chosenRoles, r); i >= 0 {
			return i
		}
		return len(chosenRoles)
	}
	out := slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return r == RoleNetwork })
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(at(a), at(b)) })
	return append(out, RoleNetwork)
}

// members gives an object's fields in the order of its table.
func members[T any](table []field[T], from *T) object {
	var out object
	for i := range table {
		f := &table[i]
		if f.many != nil {
			out = append(out, member{f.name, append([]string{}, *f.many(from)...)})
			continue
		}
		if v := *f.one(from); v != "" || !f.optional {
			out = append(out, member{f.name, v})
		}
	}
	return out
}

func (i *Interface) object() object {
	all := members(interfaceFields, i)
	if i.IsMember() {
		return object{all[fieldDevice], all[fieldSlave], all[fieldBond]}
	}
	out := object{all[fieldDevice], all[fieldType], {all[fieldVLAN].name, orNone(i.VLAN)}}
	if !i.IsBond() {
		out = append(out, member{all[fieldSlave].name, cmp.Or(i.BondSlave, no)})
	}
	if p := i.Properties; p != nil {
		q := *p
		q.MTU = orNone(p.MTU)
		out = append(out, member{nameProperties, members(propertyFields, &q)})
	}
	return out
}
