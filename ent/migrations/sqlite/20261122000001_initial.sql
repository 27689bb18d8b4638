-- Create "bulk_items" table
CREATE TABLE `bulk_items` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `number` integer NOT NULL, `deployment_id` integer NOT NULL, `node_id` integer NOT NULL, `result_id` integer NULL, `state` text NOT NULL DEFAULT ('waiting'), `code` text NOT NULL DEFAULT (''), `message` text NOT NULL DEFAULT (''), `started_at` datetime NULL, `finished_at` datetime NULL, `operation_id` integer NOT NULL, CONSTRAINT `bulk_items_bulk_operations_items` FOREIGN KEY (`operation_id`) REFERENCES `bulk_operations` (`id`) ON DELETE NO ACTION, CONSTRAINT `bulk_items_state` CHECK (state IN ('waiting', 'running', 'succeeded', 'failed', 'refused', 'skipped')));
-- Create index "bulkitem_operation_id_number" to table: "bulk_items"
CREATE UNIQUE INDEX `bulkitem_operation_id_number` ON `bulk_items` (`operation_id`, `number`);
-- Create index "bulkitem_operation_id_state_number" to table: "bulk_items"
CREATE INDEX `bulkitem_operation_id_state_number` ON `bulk_items` (`operation_id`, `state`, `number`);
-- Create "bulk_operations" table
CREATE TABLE `bulk_operations` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `action` text NOT NULL, `immediate` bool NOT NULL DEFAULT (false), `reason` text NOT NULL DEFAULT (''), `selection` json NULL, `total` integer NOT NULL, `max_parallel` integer NOT NULL, `stop_after_failures` integer NULL, `state` text NOT NULL, `canceled_by` text NOT NULL DEFAULT (''), `requested_by_kind` text NOT NULL, `requested_by` text NOT NULL, `idempotency_key` text NULL, `request_hash` text NOT NULL DEFAULT (''), `version` integer NOT NULL DEFAULT (1), `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `finished_at` datetime NULL, CONSTRAINT `bulk_operations_action` CHECK (action IN ('cancel', 'retry', 'cleanup', 'reinitialize')), CONSTRAINT `bulk_operations_sizes` CHECK (total >= 0 AND max_parallel >= 1 AND version >= 1), CONSTRAINT `bulk_operations_state` CHECK (state IN ('running', 'stopping', 'canceling', 'done', 'stopped', 'canceled')));
-- Create index "bulkoperation_requested_by_idempotency_key" to table: "bulk_operations"
CREATE UNIQUE INDEX `bulkoperation_requested_by_idempotency_key` ON `bulk_operations` (`requested_by`, `idempotency_key`);
-- Create index "bulk_operations_open" to table: "bulk_operations"
CREATE INDEX `bulk_operations_open` ON `bulk_operations` (`id`) WHERE finished_at IS NULL;
-- Create "clusters" table
CREATE TABLE `clusters` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `identity` text NOT NULL, `name` text NOT NULL, `type` text NOT NULL, `redundancy_factor` integer NOT NULL, `vip` text NULL, `dns_servers` json NULL, `ntp_servers` json NULL, `skip_discovery` bool NOT NULL DEFAULT (false), `formation` json NULL, `health` json NULL, `requested_by_kind` text NOT NULL, `requested_by` text NOT NULL, `idempotency_key` text NULL, `request_hash` text NOT NULL DEFAULT (''), `version` integer NOT NULL DEFAULT (1), `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `formed_at` datetime NULL, `cleanup_at` datetime NULL, `cleanup_by` text NOT NULL DEFAULT (''), CONSTRAINT `clusters_numbers` CHECK (redundancy_factor >= 1 AND version >= 1), CONSTRAINT `clusters_type` CHECK (type IN ('single_node', 'multi_node')));
-- Create index "clusters_identity_key" to table: "clusters"
CREATE UNIQUE INDEX `clusters_identity_key` ON `clusters` (`identity`);
-- Create index "clusters_one_of_a_name" to table: "clusters"
CREATE UNIQUE INDEX `clusters_one_of_a_name` ON `clusters` (`name`) WHERE cleanup_at IS NULL;
-- Create index "cluster_requested_by_idempotency_key" to table: "clusters"
CREATE UNIQUE INDEX `cluster_requested_by_idempotency_key` ON `clusters` (`requested_by`, `idempotency_key`);
-- Create "cluster_members" table
CREATE TABLE `cluster_members` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `node_id` integer NOT NULL, `position` integer NOT NULL, `state` text NOT NULL, `note` text NOT NULL DEFAULT (''), `requested_by` text NOT NULL DEFAULT (''), `idempotency_key` text NULL, `request_hash` text NOT NULL DEFAULT (''), `added_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `formed_at` datetime NULL, `cluster_id` integer NOT NULL, CONSTRAINT `cluster_members_clusters_members` FOREIGN KEY (`cluster_id`) REFERENCES `clusters` (`id`) ON DELETE NO ACTION, CONSTRAINT `cluster_members_position` CHECK (position >= 1), CONSTRAINT `cluster_members_state` CHECK (state IN ('member', 'late', 'replaced', 'released')));
-- Create index "clustermember_cluster_id_position" to table: "cluster_members"
CREATE INDEX `clustermember_cluster_id_position` ON `cluster_members` (`cluster_id`, `position`);
-- Create index "cluster_members_one_active" to table: "cluster_members"
CREATE UNIQUE INDEX `cluster_members_one_active` ON `cluster_members` (`node_id`) WHERE state IN ('member', 'late');
-- Create index "clustermember_node_id_id" to table: "cluster_members"
CREATE INDEX `clustermember_node_id_id` ON `cluster_members` (`node_id`, `id`);
-- Create index "clustermember_requested_by_idempotency_key" to table: "cluster_members"
CREATE UNIQUE INDEX `clustermember_requested_by_idempotency_key` ON `cluster_members` (`requested_by`, `idempotency_key`);
-- Create "deployments" table
CREATE TABLE `deployments` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `cluster_id` integer NULL, `number` integer NOT NULL, `attempt` integer NOT NULL DEFAULT (1), `kind` text NOT NULL DEFAULT ('install'), `state` text NOT NULL, `phase` text NOT NULL, `phase_status` text NOT NULL, `provider` text NOT NULL, `skip_phases` json NULL, `maintenance` bool NOT NULL DEFAULT (false), `config` json NOT NULL, `sequence` integer NOT NULL DEFAULT (0), `resume_phase` text NOT NULL DEFAULT (''), `boots` integer NOT NULL DEFAULT (0), `reboots` integer NOT NULL DEFAULT (0), `requested_by_kind` text NOT NULL, `requested_by` text NOT NULL, `idempotency_key` text NULL, `request_hash` text NOT NULL DEFAULT (''), `failure_phase` text NULL, `failure_code` text NULL, `failure_message` text NULL, `failure_hint` text NULL, `failure_retryable` bool NULL, `failure_sequence` integer NULL, `failed_at` datetime NULL, `version` integer NOT NULL DEFAULT (1), `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `started_at` datetime NULL, `finished_at` datetime NULL, `batch_id` integer NULL, `node_id` integer NOT NULL, CONSTRAINT `deployments_deployment_batches_deployments` FOREIGN KEY (`batch_id`) REFERENCES `deployment_batches` (`id`) ON DELETE SET NULL, CONSTRAINT `deployments_nodes_deployments` FOREIGN KEY (`node_id`) REFERENCES `nodes` (`id`) ON DELETE NO ACTION, CONSTRAINT `deployments_counters` CHECK (number >= 1 AND attempt >= 1 AND sequence >= 0 AND version >= 1), CONSTRAINT `deployments_kind` CHECK (kind IN ('install', 'reinitialize', 'adopt')), CONSTRAINT `deployments_state` CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'canceling', 'canceled', 'cleaning_up', 'cleaned_up')));
-- Create index "deployment_node_id_number" to table: "deployments"
CREATE UNIQUE INDEX `deployment_node_id_number` ON `deployments` (`node_id`, `number`);
-- Create index "deployments_one_active" to table: "deployments"
CREATE UNIQUE INDEX `deployments_one_active` ON `deployments` (`node_id`) WHERE state IN ('queued', 'running', 'canceling', 'cleaning_up');
-- Create index "deployment_requested_by_idempotency_key" to table: "deployments"
CREATE UNIQUE INDEX `deployment_requested_by_idempotency_key` ON `deployments` (`requested_by`, `idempotency_key`);
-- Create index "deployment_created_at_id" to table: "deployments"
CREATE INDEX `deployment_created_at_id` ON `deployments` (`created_at`, `id`);
-- Create index "deployment_state_finished_at" to table: "deployments"
CREATE INDEX `deployment_state_finished_at` ON `deployments` (`state`, `finished_at`);
-- Create index "deployment_cluster_id_id" to table: "deployments"
CREATE INDEX `deployment_cluster_id_id` ON `deployments` (`cluster_id`, `id`);
-- Create index "deployment_batch_id_state" to table: "deployments"
CREATE INDEX `deployment_batch_id_state` ON `deployments` (`batch_id`, `state`);
-- Create index "deployments_queued" to table: "deployments"
CREATE INDEX `deployments_queued` ON `deployments` (`id`) WHERE state = 'queued';
-- Create "deployment_batches" table
CREATE TABLE `deployment_batches` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `name` text NULL, `total` integer NOT NULL DEFAULT (0), `max_parallel` integer NOT NULL DEFAULT (10), `stop_on_failure_count` integer NULL, `requested_by_kind` text NOT NULL, `requested_by` text NOT NULL, `idempotency_key` text NULL, `request_hash` text NOT NULL DEFAULT (''), `created_at` datetime NOT NULL, CONSTRAINT `deployment_batches_sizes` CHECK (total >= 0 AND max_parallel >= 1));
-- Create index "deploymentbatch_requested_by_idempotency_key" to table: "deployment_batches"
CREATE UNIQUE INDEX `deploymentbatch_requested_by_idempotency_key` ON `deployment_batches` (`requested_by`, `idempotency_key`);
-- Create "deployment_history" table
CREATE TABLE `deployment_history` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `position` integer NOT NULL, `node_id` integer NOT NULL, `batch_id` integer NULL, `sequence` integer NOT NULL, `attempt` integer NOT NULL, `phase` text NOT NULL, `status` text NOT NULL, `message` text NOT NULL DEFAULT (''), `outcome` text NOT NULL, `refused_code` text NULL, `source` text NOT NULL, `actor` text NOT NULL DEFAULT (''), `progress` integer NULL, `server_status` text NULL, `details` json NULL, `log_tail` text NULL, `idempotency_key` text NULL, `hash` text NOT NULL DEFAULT (''), `state` text NOT NULL, `occurred_at` datetime NOT NULL, `recorded_at` datetime NOT NULL, `deployment_id` integer NOT NULL, CONSTRAINT `deployment_history_deployments_events` FOREIGN KEY (`deployment_id`) REFERENCES `deployments` (`id`) ON DELETE NO ACTION, CONSTRAINT `deployment_history_counters` CHECK (position >= 1 AND sequence >= 1 AND attempt >= 1), CONSTRAINT `deployment_history_outcome` CHECK (outcome IN ('accepted', 'step', 'refused')), CONSTRAINT `deployment_history_progress` CHECK (progress IS NULL OR (progress >= 0 AND progress <= 100)), CONSTRAINT `deployment_history_state` CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'canceling', 'canceled', 'cleaning_up', 'cleaned_up')));
-- Create index "deploymentevent_position" to table: "deployment_history"
CREATE UNIQUE INDEX `deploymentevent_position` ON `deployment_history` (`position`);
-- Create index "deploymentevent_deployment_id_sequence" to table: "deployment_history"
CREATE UNIQUE INDEX `deploymentevent_deployment_id_sequence` ON `deployment_history` (`deployment_id`, `sequence`);
-- Create index "deployment_history_idempotency" to table: "deployment_history"
CREATE UNIQUE INDEX `deployment_history_idempotency` ON `deployment_history` (`deployment_id`, `idempotency_key`) WHERE idempotency_key IS NOT NULL AND outcome <> 'refused';
-- Create index "deploymentevent_node_id_position" to table: "deployment_history"
CREATE INDEX `deploymentevent_node_id_position` ON `deployment_history` (`node_id`, `position`);
-- Create index "deploymentevent_recorded_at" to table: "deployment_history"
CREATE INDEX `deploymentevent_recorded_at` ON `deployment_history` (`recorded_at`);
-- Create "nodes" table
CREATE TABLE `nodes` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `name` text NOT NULL, `provider` text NOT NULL, `server_profile` text NOT NULL DEFAULT (''), `management_ip` text NULL, `workload_ip` text NULL, `ahv_ip` text NULL, `cvm_ip` text NULL, `mac` text NULL, `mac_addresses` json NULL, `serial` text NULL, `cluster_name` text NULL, `labels` json NULL, `deployment_status` text NOT NULL DEFAULT ('pending'), `state` text NOT NULL DEFAULT (''), `current_deployment_id` integer NULL, `server_id` text NULL, `server_status` text NULL, `ssh_host_key` text NULL, `cvm_host_key` text NULL, `boot_id` text NULL, `ssh_port` integer NULL, `protected` bool NOT NULL DEFAULT (false), `protect_note` text NOT NULL DEFAULT (''), `clustered` bool NOT NULL DEFAULT (false), `stale` bool NOT NULL DEFAULT (false), `late` bool NOT NULL DEFAULT (false), `version` integer NOT NULL DEFAULT (1), `changed_position` integer NOT NULL DEFAULT (0), `last_seen_at` datetime NULL, `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, CONSTRAINT `nodes_state` CHECK (state = '' OR state IN ('queued', 'running', 'succeeded', 'failed', 'canceling', 'canceled', 'cleaning_up', 'cleaned_up')), CONSTRAINT `nodes_version` CHECK (version >= 1));
-- Create index "node_name" to table: "nodes"
CREATE UNIQUE INDEX `node_name` ON `nodes` (`name`);
-- Create index "node_management_ip" to table: "nodes"
CREATE UNIQUE INDEX `node_management_ip` ON `nodes` (`management_ip`);
-- Create index "node_mac" to table: "nodes"
CREATE UNIQUE INDEX `node_mac` ON `nodes` (`mac`);
-- Create index "node_serial" to table: "nodes"
CREATE UNIQUE INDEX `node_serial` ON `nodes` (`serial`);
-- Create index "node_changed_position" to table: "nodes"
CREATE INDEX `node_changed_position` ON `nodes` (`changed_position`);
-- Create index "node_created_at_id" to table: "nodes"
CREATE INDEX `node_created_at_id` ON `nodes` (`created_at`, `id`);
-- Create index "node_updated_at_id" to table: "nodes"
CREATE INDEX `node_updated_at_id` ON `nodes` (`updated_at`, `id`);
-- Create index "node_state" to table: "nodes"
CREATE INDEX `node_state` ON `nodes` (`state`);
-- Create index "node_cluster_name" to table: "nodes"
CREATE INDEX `node_cluster_name` ON `nodes` (`cluster_name`);
-- Create "node_tombstones" table
CREATE TABLE `node_tombstones` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `name` text NOT NULL, `changed_position` integer NOT NULL, `removed_at` datetime NOT NULL);
-- Create index "nodetombstone_changed_position" to table: "node_tombstones"
CREATE INDEX `nodetombstone_changed_position` ON `node_tombstones` (`changed_position`);
-- Create "phase_runs" table
CREATE TABLE `phase_runs` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `attempt` integer NOT NULL, `phase` text NOT NULL, `ordinal` integer NOT NULL, `provider` text NOT NULL DEFAULT (''), `server_profile` text NOT NULL DEFAULT (''), `status` text NOT NULL, `tries` integer NOT NULL DEFAULT (1), `admitted_at` datetime NULL, `admitted_bytes` integer NOT NULL DEFAULT (0), `progress` integer NULL, `message` text NOT NULL DEFAULT (''), `last_hash` text NOT NULL DEFAULT (''), `last_sequence` integer NOT NULL DEFAULT (0), `awaiting` text NOT NULL DEFAULT (''), `evidence` text NOT NULL DEFAULT (''), `awaiting_since` datetime NULL, `probe` json NULL, `entered_at` datetime NOT NULL, `started_at` datetime NULL, `finished_at` datetime NULL, `deadline_at` datetime NULL, `clock_stopped_at` datetime NULL, `stopped_ms` integer NOT NULL DEFAULT (0), `deployment_id` integer NOT NULL, CONSTRAINT `phase_runs_deployments_phase_runs` FOREIGN KEY (`deployment_id`) REFERENCES `deployments` (`id`) ON DELETE NO ACTION, CONSTRAINT `phase_runs_counters` CHECK (attempt >= 1 AND tries >= 1 AND stopped_ms >= 0), CONSTRAINT `phase_runs_progress` CHECK (progress IS NULL OR (progress >= 0 AND progress <= 100)));
-- Create index "phaserun_deployment_id_attempt_phase" to table: "phase_runs"
CREATE UNIQUE INDEX `phaserun_deployment_id_attempt_phase` ON `phase_runs` (`deployment_id`, `attempt`, `phase`);
-- Create index "phase_runs_one_open" to table: "phase_runs"
CREATE UNIQUE INDEX `phase_runs_one_open` ON `phase_runs` (`deployment_id`) WHERE finished_at IS NULL;
-- Create index "phase_runs_due" to table: "phase_runs"
CREATE INDEX `phase_runs_due` ON `phase_runs` (`deadline_at`) WHERE finished_at IS NULL;
-- Create index "phase_runs_stats" to table: "phase_runs"
CREATE INDEX `phase_runs_stats` ON `phase_runs` (`provider`, `phase`, `finished_at`) WHERE status = 'success';
-- Create index "phase_runs_profile_stats" to table: "phase_runs"
CREATE INDEX `phase_runs_profile_stats` ON `phase_runs` (`provider`, `server_profile`, `phase`, `finished_at`) WHERE status = 'success';
-- Create index "phase_runs_broken" to table: "phase_runs"
CREATE INDEX `phase_runs_broken` ON `phase_runs` (`finished_at`) WHERE status IN ('failed', 'timed_out', 'canceled');
-- Create "phase_stats" table
CREATE TABLE `phase_stats` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `phase` text NOT NULL, `provider` text NOT NULL, `server_profile` text NOT NULL, `p50_ms` integer NULL, `p95_ms` integer NULL, `samples` integer NOT NULL, `computed_at` datetime NOT NULL);
-- Create index "phasestat_provider_server_profile_phase" to table: "phase_stats"
CREATE UNIQUE INDEX `phasestat_provider_server_profile_phase` ON `phase_stats` (`provider`, `server_profile`, `phase`);
-- Create index "phasestat_computed_at" to table: "phase_stats"
CREATE INDEX `phasestat_computed_at` ON `phase_stats` (`computed_at`);
-- Create "replicas" table
CREATE TABLE `replicas` (`id` text NOT NULL, `host` text NOT NULL DEFAULT (''), `started_at` datetime NOT NULL, `heartbeat_at` datetime NOT NULL, PRIMARY KEY (`id`));
-- Create index "replica_heartbeat_at" to table: "replicas"
CREATE INDEX `replica_heartbeat_at` ON `replicas` (`heartbeat_at`);
-- Create "resources" table
CREATE TABLE `resources` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `created_by` integer NOT NULL, `held_by` integer NOT NULL, `provider` text NOT NULL, `kind` text NOT NULL, `role` text NOT NULL DEFAULT (''), `name` text NOT NULL, `generation` integer NOT NULL DEFAULT (1), `state` text NOT NULL, `cloud_id` text NULL, `details` json NULL, `last_error` text NOT NULL DEFAULT (''), `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `node_id` integer NOT NULL, CONSTRAINT `resources_nodes_resources` FOREIGN KEY (`node_id`) REFERENCES `nodes` (`id`) ON DELETE NO ACTION, CONSTRAINT `resources_state` CHECK (state IN ('intent', 'doubtful', 'present', 'releasing', 'gone')));
-- Create index "resource_provider_kind_name" to table: "resources"
CREATE UNIQUE INDEX `resource_provider_kind_name` ON `resources` (`provider`, `kind`, `name`);
-- Create index "resource_node_id_kind" to table: "resources"
CREATE INDEX `resource_node_id_kind` ON `resources` (`node_id`, `kind`);
-- Create index "resource_held_by" to table: "resources"
CREATE INDEX `resource_held_by` ON `resources` (`held_by`);
-- Create "script_documents" table
CREATE TABLE `script_documents` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `deployment_id` integer NOT NULL, `attempt` integer NOT NULL, `node_id` integer NOT NULL, `file` text NOT NULL, `number` integer NOT NULL, `body` blob NOT NULL, `sha256` text NOT NULL, `boot_id_before` text NOT NULL DEFAULT (''), `created_at` datetime NOT NULL, `run_id` integer NOT NULL, CONSTRAINT `script_documents_script_runs_documents` FOREIGN KEY (`run_id`) REFERENCES `script_runs` (`id`) ON DELETE NO ACTION, CONSTRAINT `script_documents_counters` CHECK (attempt >= 1 AND number >= 1));
-- Create index "scriptdocument_run_id_deployment_id" to table: "script_documents"
CREATE UNIQUE INDEX `scriptdocument_run_id_deployment_id` ON `script_documents` (`run_id`, `deployment_id`);
-- Create index "scriptdocument_deployment_id_attempt" to table: "script_documents"
CREATE INDEX `scriptdocument_deployment_id_attempt` ON `script_documents` (`deployment_id`, `attempt`);
-- Create index "scriptdocument_node_id_id" to table: "script_documents"
CREATE INDEX `scriptdocument_node_id_id` ON `script_documents` (`node_id`, `id`);
-- Create "script_runs" table
CREATE TABLE `script_runs` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `identity` text NOT NULL, `host` text NOT NULL, `state` text NOT NULL, `nodes` integer NOT NULL, `pid` integer NULL, `exit_code` integer NULL, `signal` text NOT NULL DEFAULT (''), `problem` text NOT NULL DEFAULT (''), `log_bytes` integer NOT NULL DEFAULT (0), `log_cut` bool NOT NULL DEFAULT (false), `cancel_at` datetime NULL, `cancel_by` text NOT NULL DEFAULT (''), `cancel_reason` text NOT NULL DEFAULT (''), `requested_by_kind` text NOT NULL, `requested_by` text NOT NULL, `idempotency_key` text NULL, `request_hash` text NOT NULL DEFAULT (''), `created_at` datetime NOT NULL, `stored_at` datetime NULL, `started_at` datetime NULL, `ended_at` datetime NULL, CONSTRAINT `script_runs_state` CHECK (state IN ('storing', 'running', 'succeeded', 'failed', 'canceled', 'lost')));
-- Create index "script_runs_identity_key" to table: "script_runs"
CREATE UNIQUE INDEX `script_runs_identity_key` ON `script_runs` (`identity`);
-- Create index "script_runs_one_active" to table: "script_runs"
CREATE UNIQUE INDEX `script_runs_one_active` ON `script_runs` (`host`) WHERE state IN ('storing', 'running');
-- Create index "scriptrun_requested_by_idempotency_key" to table: "script_runs"
CREATE UNIQUE INDEX `scriptrun_requested_by_idempotency_key` ON `script_runs` (`requested_by`, `idempotency_key`);
-- Create "settings" table
CREATE TABLE `settings` (`id` text NOT NULL, `value` text NOT NULL, `updated_at` datetime NOT NULL, PRIMARY KEY (`id`));
-- Create "stranger_reports" table
CREATE TABLE `stranger_reports` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `code` text NOT NULL, `remote` text NOT NULL, `path` text NOT NULL, `summary` text NOT NULL DEFAULT (''), `recorded_at` datetime NOT NULL);
-- Create "stream_counter" table
CREATE TABLE `stream_counter` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `position` integer NOT NULL DEFAULT (0), `epoch` text NOT NULL, CONSTRAINT `stream_counter_one_row` CHECK (id = 1));
-- Create "tokens" table
CREATE TABLE `tokens` (`id` integer NOT NULL PRIMARY KEY AUTOINCREMENT, `kind` text NOT NULL, `hash` text NOT NULL, `name` text NOT NULL DEFAULT (''), `role` text NOT NULL DEFAULT (''), `node_id` integer NULL, `deployment_id` integer NULL, `attempt` integer NULL, `created_by` text NOT NULL DEFAULT (''), `created_at` datetime NOT NULL, `expires_at` datetime NULL, `first_used_at` datetime NULL, `last_used_at` datetime NULL, `revoked_at` datetime NULL, CONSTRAINT `tokens_kind` CHECK (kind IN ('api', 'session', 'signin', 'report', 'locator')), CONSTRAINT `tokens_role` CHECK (role IN ('', 'viewer', 'operator', 'admin')));
-- Create index "token_hash" to table: "tokens"
CREATE UNIQUE INDEX `token_hash` ON `tokens` (`hash`);
-- Create index "token_kind_created_at" to table: "tokens"
CREATE INDEX `token_kind_created_at` ON `tokens` (`kind`, `created_at`);
-- Create index "token_deployment_id_kind" to table: "tokens"
CREATE INDEX `token_deployment_id_kind` ON `tokens` (`deployment_id`, `kind`);
