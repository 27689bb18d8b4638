package migrations

import (
	"regexp"
	"slices"
	"strings"

	"ariga.io/atlas/sql/postgres"
	atlas "ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect/sql/schema"
)

// DiffHook corrects Atlas' comparison of a migrated database with the model:
//
//   - the Unmodelled tables stay where they are;
//   - a partial index whose condition PostgreSQL merely spells in another way
//     is not a change (its spelling of an IN list differs each time it is read
//     back);
//   - a CHECK whose expression changed under the same name is one, which Atlas
//     does not see.
func DiffHook() schema.DiffHook {
	return func(next schema.Differ) schema.Differ {
		return schema.DiffFunc(func(current, desired *atlas.Schema) ([]atlas.Change, error) {
			changes, err := next.Diff(current, desired)
			if err != nil {
				return nil, err
			}
			return addChangedChecks(withoutNoise(changes), current, desired), nil
		})
	}
}

func withoutNoise(changes []atlas.Change) []atlas.Change {
	return slices.DeleteFunc(changes, func(c atlas.Change) bool {
		switch c := c.(type) {
		case *atlas.DropTable:
			return slices.Contains(Unmodelled, c.T.Name)
		case *atlas.ModifyTable:
			c.Changes = slices.DeleteFunc(c.Changes, onlySpelling)
			return len(c.Changes) == 0
		}
		return false
	})
}

// onlySpelling reports whether a change is that of an index whose two
// conditions say the same.
func onlySpelling(c atlas.Change) bool {
	m, ok := c.(*atlas.ModifyIndex)
	if !ok || m.Change != atlas.ChangeAttr {
		return false
	}
	condition := func(i *atlas.Index) string {
		for _, a := range i.Attrs {
			if p, ok := a.(*postgres.IndexPredicate); ok {
				return canonical(p.P)
			}
		}
		return ""
	}
	from, to := condition(m.From), condition(m.To)
	return from != "" && from == to
}

func addChangedChecks(changes []atlas.Change, current, desired *atlas.Schema) []atlas.Change {
	for _, t := range desired.Tables {
		old, ok := current.Table(t.Name)
		if !ok {
			continue
		}
		var changed []atlas.Change
		for name, to := range namedChecks(t) {
			if from, ok := namedChecks(old)[name]; ok && canonical(from.Expr) != canonical(to.Expr) {
				changed = append(changed, &atlas.ModifyCheck{From: from, To: to, Change: atlas.ChangeAttr})
			}
		}
		if len(changed) == 0 {
			continue
		}
		slices.SortFunc(changed, func(a, b atlas.Change) int {
			return strings.Compare(a.(*atlas.ModifyCheck).To.Name, b.(*atlas.ModifyCheck).To.Name)
		})
		i := slices.IndexFunc(changes, func(c atlas.Change) bool {
			m, ok := c.(*atlas.ModifyTable)
			return ok && m.T.Name == t.Name
		})
		if i >= 0 {
			m := changes[i].(*atlas.ModifyTable)
			m.Changes = append(m.Changes, changed...)
			continue
		}
		changes = append(changes, &atlas.ModifyTable{T: t, Changes: changed})
	}
	return changes
}

func namedChecks(t *atlas.Table) map[string]*atlas.Check {
	out := map[string]*atlas.Check{}
	for _, a := range t.Attrs {
		if c, ok := a.(*atlas.Check); ok && c.Name != "" {
			out[c.Name] = c
		}
	}
	return out
}

var (
	// decoration is what a database adds to an expression, or drops from it,
	// when it stores it: casts, quotes of names, parentheses, blanks.
	decoration = regexp.MustCompile("::[a-z]+( varying)?(\\[\\])?|[()\"` ]")
	// anyOf turns PostgreSQL's spelling of an IN list back into it.
	anyOf = strings.NewReplacer("=ANYARRAY[", "IN", "]", "")
)

// canonical is an expression in a form that two spellings of the same share.
// It cannot tell expressions that differ in their parentheses only.
func canonical(expr string) string {
	return anyOf.Replace(decoration.ReplaceAllString(expr, ""))
}
