package hostconfig

import "slices"

// Schema gives the JSON Schema (draft 2020-12) of a request in canonical form,
// made from the tables that Parse and Check work by. It has every rule that one
// document can be held to without arithmetic; the rest is for Check. Three
// annotations are ours: "x-key" is the key of an error of a value, and
// "x-required-key" of its absence; "x-errors" at the top is Keys.
func Schema() []byte { return indented(encode(schema())) }

func ref(def string) object { return object{{"$ref", "#/$defs/" + def}} }

func schema() object {
	return object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$id", "urn:slipway:node-configs"},
		{"title", "Node configurations of one Apply Changes"},
		{"anyOf", []object{
			{{"type", "object"}, {"minProperties", 1}, {"maxProperties", MaxCards}, {"additionalProperties", ref("document")}},
			{{"type", "array"}, {"minItems", 1}, {"maxItems", MaxCards}, {"items", ref("document")}},
		}},
		{"$defs", object{
			{"document", documentSchema()},
			{"plain", rowSchema(false)},
			{"bond", rowSchema(true)},
			{"member", memberSchema()},
			{"properties", propertiesSchema()},
			{"address", object{{"anyOf", []object{{{"pattern", "^" + patternIPv4 + "$"}}, {{"pattern", "^" + patternIPv6 + "$"}}}}}},
			{"network", object{{"anyOf", []object{{{"pattern", "^" + patternIPv4 + "/([1-9]|[12][0-9]|30)$"}}, {{"pattern", "^" + patternIPv6 + "/[1-9][0-9]{0,2}$"}}}}}},
			{"mask", maskSchema()},
			{"hostname", object{{"pattern", patternHostname}, {"not", object{{"pattern", "^[0-9]+$"}}}}},
		}},
		{"x-errors", errorsSchema()},
	}
}

func errorsSchema() object {
	var out object
	for _, k := range keys {
		out = append(out, member{k.Key, object{{"code", k.Code}, {"text", k.Text}}})
	}
	return out
}

func maskSchema() object {
	var masks []string
	for bits := minMask; bits <= maxMask4; bits++ {
		masks = append(masks, dotted(bits))
	}
	return object{{"anyOf", []object{{{"enum", masks}}, {{"pattern", "^([1-9][0-9]?|1[01][0-9]|12[0-6])$"}}}}}
}

// fieldSchema describes one field.
func fieldSchema[T any](f *field[T]) object {
	value := object{{"type", "string"}}
	if f.schema != nil {
		value = append(value, f.schema())
	}
	out := object{{"description", f.about}}
	switch f.kind {
	case texts:
		out = append(out, member{"type", "array"}, member{"items", value}, member{"uniqueItems", true})
	case oneText:
		out = append(out, member{"type", "array"}, member{"items", value}, member{"minItems", 1}, member{"maxItems", 1})
	default:
		out = append(out, value...)
	}
	out = append(out, member{"x-key", f.badKey})
	if f.required != "" {
		out = append(out, member{"x-required-key", f.required})
	}
	return out
}

// fieldsSchema describes an object of the fields of a table, and names those
// that it must have.
func fieldsSchema[T any](table []field[T]) (properties object, required []string) {
	for i := range table {
		properties = append(properties, member{table[i].name, fieldSchema(&table[i])})
		if !table[i].optional {
			required = append(required, table[i].name)
		}
	}
	return properties, required
}

func closed(properties object, required []string, more ...member) object {
	return append(object{{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}}, more...)
}

func propertiesSchema() object {
	return closed(fieldsSchema(propertyFields))
}

func constant(name, value string) member { return member{name, object{{"const", value}}} }

// rowSchema describes a plain interface or a bond: the types decide whether it
// has an address.
func rowSchema(isBond bool) object {
	all, required := fieldsSchema(interfaceFields)
	fields := slices.Clone(all[:fieldSlave])
	required = slices.Clone(required[:fieldSlave])
	if isBond {
		name := interfaceFields[fieldBond]
		name.about, name.required = "the bond, as the node calls it", KeyBondNameRequired
		fields[fieldDevice] = member{interfaceFields[fieldDevice].name, fieldSchema(&name)}
	} else {
		fields = append(fields, constant(interfaceFields[fieldSlave].name, no))
		required = append(required, interfaceFields[fieldSlave].name)
	}
	fields = append(fields, member{nameProperties, ref("properties")})
	needs := object{{"required", []string{nameProperties}}}
	typeOf := object{{interfaceFields[fieldType].name, object{{"contains", object{{"enum", addressless}}}}}}
	return closed(fields, required,
		member{"if", object{{"properties", typeOf}}},
		member{"then", object{{"not", needs}}},
		member{"else", needs})
}

func memberSchema() object {
	all, _ := fieldsSchema(interfaceFields)
	slaveName := interfaceFields[fieldSlave].name
	return closed(object{all[fieldDevice], constant(slaveName, yes), all[fieldBond]},
		[]string{all[fieldDevice].name, slaveName, all[fieldBond].name})
}

func documentSchema() object {
	fields, required := fieldsSchema(documentFields)
	for i := range fields {
		switch {
		case fields[i].name == rolesField.name:
			fields[i].value = append(fieldSchema(&rolesField), member{"contains", object{{"enum", chosenRoles}}})
		case slices.ContainsFunc(providerFields, func(f field[Document]) bool { return f.name == fields[i].name }):
			fields[i].value = object{{"anyOf", []any{fields[i].value, object{{"const", NotGiven}}}}}
		}
	}
	slaveName := interfaceFields[fieldSlave].name
	isMember := object{{"properties", object{constant(slaveName, yes)}}, {"required", []string{slaveName}}}
	entries := object{
		{"type", "object"}, {"minProperties", 1}, {"maxProperties", maxInterfaces},
		{"patternProperties", object{
			{"^interface_[0-9]{2,3}$", object{{"if", isMember}, {"then", ref("member")}, {"else", ref("plain")}}},
			{"^bond[1-9][0-9]?$", ref("bond")},
		}},
		{"additionalProperties", false},
		{"x-required-key", KeyInterfacesRequired},
	}
	storage := object{{"properties", object{{rolesField.name, object{{"contains", object{{"const", RoleStorage}}}}}}}}
	return closed(append(object{{nameInterfaces, entries}}, fields...), append([]string{nameInterfaces}, required...),
		member{"dependentRequired", append(together(providerFields), together(tenantFields)...)},
		member{"if", storage},
		member{"then", object{{"properties", object{{diskField.name, object{{"minItems", 1}, {"x-required-key", KeyDiskRequired}}}}}}})
}

// together says of each of the fields that it needs the others.
func together(fields []field[Document]) object {
	var out object
	for i := range fields {
		var others []string
		for j := range fields {
			if i != j {
				others = append(others, fields[j].name)
			}
		}
		out = append(out, member{fields[i].name, others})
	}
	return out
}
