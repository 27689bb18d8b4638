package migrations

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"ariga.io/atlas/sql/postgres"
	atlas "ariga.io/atlas/sql/schema"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/dialect/sql/schema"

	"github.com/slipwayhq/slipway/ent/migrate"
)

// Unmodelled are tables that the guards files make and the model does not
// have; the generator must not drop them.
var Unmodelled = []string{"retention_guard"}

const (
	states   = "'queued', 'running', 'succeeded', 'failed', 'canceling', 'canceled', 'cleaning_up', 'cleaned_up'"
	progress = "progress IS NULL OR (progress >= 0 AND progress <= 100)"
)

// checks are the CHECK constraints, by table and name. They hold what must be
// true whoever writes: closed sets of words and ranges. Phases are left out,
// because a new phase must not need a migration.
var checks = map[string]map[string]string{
	"nodes": {
		"nodes_state":   "state = '' OR state IN (" + states + ")",
		"nodes_version": "version >= 1",
	},
	"deployments": {
		"deployments_state":    "state IN (" + states + ")",
		"deployments_counters": "number >= 1 AND attempt >= 1 AND sequence >= 0 AND version >= 1",
	},
	"deployment_batches": {
		"deployment_batches_sizes": "total >= 0 AND max_parallel >= 1",
	},
	"deployment_history": {
		"deployment_history_state":    "state IN (" + states + ")",
		"deployment_history_outcome":  "outcome IN ('accepted', 'step', 'refused')",
		"deployment_history_counters": "position >= 1 AND sequence >= 1 AND attempt >= 1",
		"deployment_history_progress": progress,
	},
	"phase_runs": {
		"phase_runs_progress": progress,
		"phase_runs_counters": "attempt >= 1 AND tries >= 1 AND stopped_ms >= 0",
	},
	"resources": {
		"resources_state": "state IN ('intent', 'doubtful', 'present', 'releasing', 'gone')",
	},
	"tokens": {
		"tokens_kind": "kind IN ('api', 'session', 'signin', 'report', 'locator')",
		"tokens_role": "role IN ('', 'viewer', 'operator', 'admin')",
	},
	"stream_counter": {
		"stream_counter_one_row": "id = 1",
	},
}

var addChecks = sync.OnceFunc(func() {
	for _, t := range migrate.Tables {
		if t.Annotation == nil {
			t.Annotation = &entsql.Annotation{}
		}
		t.Annotation.Checks = checks[t.Name]
	}
})

// Tables is the wanted schema: ent's generated tables plus the CHECK
// constraints. Both migrations and the test that compares a migrated database
// with the model start from it.
func Tables() []*schema.Table {
	addChecks()
	return migrate.Tables
}

// DiffHook corrects Atlas' comparison of a migrated database with the model:
// the Unmodelled tables, and those named besides, stay where they are, and a
// partial index whose condition PostgreSQL merely spells in another way is not
// a change (its spelling of an IN list differs each time it is read back).
func DiffHook(besides ...string) schema.DiffHook {
	keep := map[string]bool{}
	for _, name := range append(besides, Unmodelled...) {
		keep[name] = true
	}
	return func(next schema.Differ) schema.Differ {
		return schema.DiffFunc(func(current, desired *atlas.Schema) ([]atlas.Change, error) {
			changes, err := next.Diff(current, desired)
			if err != nil {
				return nil, err
			}
			out := changes[:0]
			for _, c := range changes {
				switch c := c.(type) {
				case *atlas.DropTable:
					if keep[c.T.Name] {
						continue
					}
				case *atlas.ModifyTable:
					if c.Changes = slices.DeleteFunc(c.Changes, onlySpelling); len(c.Changes) == 0 {
						continue
					}
				}
				out = append(out, c)
			}
			return out, nil
		})
	}
}

var castsAndParentheses = regexp.MustCompile(`::[a-z]+( varying)?(\[\])?|[() ]`)

// anyOf turns PostgreSQL's spelling of an IN list back into it.
var anyOf = strings.NewReplacer("=ANYARRAY[", "IN", "]", "")

// onlySpelling reports whether a change is that of an index whose two
// conditions are the same but for casts, parentheses, blanks and the spelling
// of lists.
func onlySpelling(c atlas.Change) bool {
	m, ok := c.(*atlas.ModifyIndex)
	if !ok || m.Change != atlas.ChangeAttr {
		return false
	}
	condition := func(i *atlas.Index) string {
		for _, a := range i.Attrs {
			if p, ok := a.(*postgres.IndexPredicate); ok {
				return anyOf.Replace(castsAndParentheses.ReplaceAllString(p.P, ""))
			}
		}
		return ""
	}
	from, to := condition(m.From), condition(m.To)
	return from != "" && from == to
}
