package migrations

import (
	"sync"

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
		"deployments_kind":     "kind IN ('install', 'reinitialize', 'adopt')",
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
	"bulk_operations": {
		"bulk_operations_action": "action IN ('cancel', 'retry', 'cleanup', 'reinitialize')",
		"bulk_operations_state":  "state IN ('running', 'stopping', 'canceling', 'done', 'stopped', 'canceled')",
		"bulk_operations_sizes":  "total >= 0 AND max_parallel >= 1 AND version >= 1",
	},
	"bulk_items": {
		"bulk_items_state": "state IN ('waiting', 'running', 'succeeded', 'failed', 'refused', 'skipped')",
	},
	"clusters": {
		"clusters_type":    "type IN ('single_node', 'multi_node')",
		"clusters_numbers": "redundancy_factor >= 1 AND version >= 1",
	},
	"cluster_members": {
		"cluster_members_state":    "state IN ('member', 'late', 'replaced', 'released')",
		"cluster_members_position": "position >= 1",
	},
	"script_runs": {
		"script_runs_state": "state IN ('storing', 'running', 'succeeded', 'failed', 'canceled', 'lost')",
	},
	"script_documents": {
		"script_documents_counters": "attempt >= 1 AND number >= 1",
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
