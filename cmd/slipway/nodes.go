package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slipwayhq/slipway/client"
)

type nodesCmd struct {
	serverFlags  `embed:""`
	Text         string   `arg:"" optional:"" help:"Only nodes that have each of these words in their name, addresses, serial number, profile, cluster, phase or failure."`
	Group        []string `help:"Only of these groups: failed, stalled, late, running, queued, deployed, canceled, cleaned, registered." enum:"failed,stalled,late,running,queued,deployed,canceled,cleaned,registered"`
	Phase        []string `help:"Only nodes whose deployment is in one of these phases." placeholder:"PHASE,..."`
	FailurePhase []string `help:"Only nodes that failed in one of these phases." placeholder:"PHASE,..."`
	FailureCode  []string `help:"Only nodes that failed with one of these codes." placeholder:"CODE,..."`
	Profile      []string `help:"Only nodes of this profile; may be repeated." sep:"none"`
	Cluster      []string `help:"Only nodes of this cluster; may be repeated." sep:"none"`
	Label        []string `help:"Only nodes with this label; may be repeated, all must match." sep:"none" placeholder:"KEY=VALUE"`
	jsonFlag     `embed:""`
}

// filter is what the flags ask for; nil when they ask for nothing.
func (c *nodesCmd) filter() (*client.BareMetalNodeFilter, error) {
	f := client.BareMetalNodeFilter{ClusterNames: c.Cluster, ServerProfiles: c.Profile, FailureCodes: c.FailureCode}
	asked := len(c.Cluster)+len(c.Profile)+len(c.FailureCode) > 0
	if c.Text != "" {
		f.Text, asked = &c.Text, true
	}
	for _, g := range c.Group {
		f.Groups, asked = append(f.Groups, client.FleetGroup(strings.ToUpper(g))), true
	}
	var err error
	if f.Phases, err = phases("--phase", c.Phase); err != nil {
		return nil, err
	}
	if f.FailurePhases, err = phases("--failure-phase", c.FailurePhase); err != nil {
		return nil, err
	}
	asked = asked || len(f.Phases)+len(f.FailurePhases) > 0
	for _, l := range c.Label {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--label=%s: must be KEY=VALUE", l)
		}
		f.Labels, asked = append(f.Labels, client.LabelInput{Key: key, Value: value}), true
	}
	if !asked {
		return nil, nil
	}
	return &f, nil
}

// phases reads keys of phases.
func phases(flag string, keys []string) (out []client.Phase, err error) {
	for _, key := range keys {
		p := client.Phase(strings.ToUpper(key))
		if !slices.Contains(client.AllPhase, p) {
			all := make([]string, len(client.AllPhase))
			for i, one := range client.AllPhase {
				all[i] = strings.ToLower(string(one))
			}
			return nil, fmt.Errorf("%s: there is no phase %q; there are %s", flag, oneLine(key), strings.Join(all, ", "))
		}
		out = append(out, p)
	}
	return out, nil
}

// Run lists nodes.
func (c *nodesCmd) Run(ctx context.Context) error {
	filter, err := c.filter()
	if err != nil {
		return exit{exitUsage, err}
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(w, "NAME\tSTATUS\tPROGRESS\tDEPLOYMENT\tADDRESS\tPROFILE\tLAST SEEN")
	}
	err = api.Nodes(ctx, filter, func(n client.Node) error {
		if c.JSON {
			raw, err := json.Marshal(n)
			if err != nil {
				return fmt.Errorf("%s: %w", n.Name, err)
			}
			c.print(w, raw)
			return nil
		}
		deployment, done, address, seen := "-", "-", "-", "-"
		if d := n.CurrentDeployment; d != nil {
			deployment = "#" + strconv.Itoa(d.Number)
			done = fmt.Sprintf("%.0f%%", d.Progress*100)
		}
		if n.ManagementIp != nil {
			address = *n.ManagementIp
		}
		if n.LastSeenAt != nil {
			seen = n.LastSeenAt.UTC().Format(time.RFC3339)
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, n.DeploymentStatus, done, deployment, address, n.ServerProfile, seen)
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}
