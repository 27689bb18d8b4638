package server

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/slipwayhq/slipway/deploy/query"
)

// The columns of exports in CSV. New ones are added at the end.
var (
	nodeColumns = []string{
		"id", "name", "provider", "server_profile", "state", "deployment_status", "cluster_name", "management_ip", "workload_ip", "mac_addresses", "serial", "labels",
		"server_id", "server_status", "stale", "late", "protected", "protect_note", "last_seen_at", "created_at", "updated_at", "version",
		"deployment_id", "deployment_number", "attempt", "phase", "requested_by", "deployment_created_at", "started_at", "finished_at",
		"failure_phase", "failure_code", "failure_message", "failure_hint",
	}
	eventColumns = []string{
		"event_id", "recorded_at", "occurred_at", "node_id", "node_name", "deployment_id", "sequence", "attempt", "phase", "status", "state", "progress",
		"message", "outcome", "refused_code", "source", "actor", "server_status", "details",
	}
)

func cell[T any](p *T, text func(T) string) string {
	if p == nil {
		return ""
	}
	return text(*p)
}

func plain(s string) string      { return s }
func stamp(t time.Time) string   { return t.UTC().Format(time.RFC3339Nano) }
func number(n int) string        { return strconv.Itoa(n) }
func key(n int64) string         { return strconv.FormatInt(n, 10) }
func truth(b bool) string        { return strconv.FormatBool(b) }
func texts(list []string) string { return strings.Join(list, " ") }

func labels(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, "; ")
}

func nodeCells(n query.NodeRow) []string {
	out := []string{
		key(n.ID), n.NodeName, n.Provider, n.ServerProfile, cell(n.State, plain), n.DeploymentStatus, cell(n.ClusterName, plain), cell(n.ManagementIP, plain), cell(n.WorkloadIP, plain),
		texts(n.MACAddresses), cell(n.Serial, plain), labels(n.Labels), cell(n.ServerID, plain), cell(n.ServerStatus, plain), truth(n.Stale), truth(n.Late), truth(n.Protected), n.ProtectNote,
		cell(n.LastSeenAt, stamp), stamp(n.CreatedAt), stamp(n.UpdatedAt), number(n.Version),
	}
	d := n.Deployment
	if d == nil {
		return append(out, make([]string, len(nodeColumns)-len(out))...)
	}
	return append(out, cell(n.DeploymentID, key), number(d.Number), number(d.Attempt), d.Phase, d.RequestedBy, stamp(d.CreatedAt), cell(d.StartedAt, stamp), cell(d.FinishedAt, stamp),
		cell(d.FailurePhase, plain), cell(d.FailureCode, plain), cell(d.FailureMessage, plain), cell(d.FailureHint, plain))
}

func eventCells(e EventRow) []string {
	return []string{
		key(e.EventID), stamp(e.Timestamp), stamp(e.OccurredAt), key(e.NodeID), e.NodeName, key(e.DeploymentID), number(e.Sequence), number(e.Attempt), e.Phase, e.Status, e.State, cell(e.Progress, number),
		e.Message, e.Outcome, cell(e.RefusedCode, plain), e.Source, e.Actor, cell(e.ServerStatus, plain), string(e.Details),
	}
}

// exportsByHand describes the exports; events are the parameters of the event
// stream, which those of events share.
func exportsByHand(events []*huma.Param) []described {
	nodes := []*huma.Param{
		query1("text", "Words; each must be a part of the name, an address, a MAC address, the serial number, the profile, the cluster name, or of the current deployment's phase, failed phase or failure code."),
		query1("group", "What people tell nodes apart by, separated by commas: failed, stalled, late, running, queued, deployed, canceled, cleaned, registered. Every node is in exactly one."),
		query1("state", "States of the current deployment, separated by commas."), query1("phase", "Phases of it, separated by commas."),
		query1("cluster_name", "May be repeated."), query1("server_profile", "May be repeated."), query1("label", "key=value; may be repeated, all must match."),
		query1("stale", "true or false."), query1("stalled", "true or false: active, and stale or past a deadline."), query1("late", "true or false."),
		query1("failure_phase", "Phases that the current deployment has failed in, separated by commas."), query1("failure_code", "Codes that it has failed with, separated by commas."),
	}
	own := slices.DeleteFunc(slices.Clone(events), func(p *huma.Param) bool { return p.Name == "limit" })
	refusals := []int{401, 403, 422, 503}
	csv, ndjson := []string{"text/csv"}, []string{"application/x-ndjson"}
	return []described{
		{pattern: "GET /api/export/nodes.csv", id: "export-nodes-csv", summary: "All nodes that match, by name; a text that a spreadsheet could take for a formula begins with an apostrophe", tag: "export", params: nodes, answer: "", kinds: csv, status: 200, errors: refusals},
		{pattern: "GET /api/export/nodes.ndjson", id: "export-nodes-ndjson", summary: "The same, one JSON object a line", tag: "export", params: nodes, answer: query.NodeRow{}, kinds: ndjson, status: 200, errors: refusals},
		{pattern: "GET /api/export/events.csv", id: "export-events-csv", summary: "All events that match and are there by now, oldest first", tag: "export", params: own, answer: "", kinds: csv, status: 200, errors: refusals},
		{pattern: "GET /api/export/events.ndjson", id: "export-events-ndjson", summary: "The same, one JSON object a line", tag: "export", params: own, answer: EventRow{}, kinds: ndjson, status: 200, errors: refusals},
	}
}
