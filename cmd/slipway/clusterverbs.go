package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/slipwayhq/slipway/client"
)

type clusterWithoutCmd struct {
	clusterTarget `embed:""`
	Node          string `arg:"" help:"Name or id of the node."`
	Reason        string `help:"Why; the history keeps it."`
}

// Run has a cluster go on without a node.
func (c *clusterWithoutCmd) Run(ctx context.Context) error {
	return c.ask(ctx, os.Stdout, func(api *client.Client) (client.Document[client.Cluster], error) {
		return api.GoOnWithout(ctx, c.Cluster, c.Node, c.Reason)
	})
}

// ask asks something of a cluster and shows it as it is then.
func (c *clusterTarget) ask(_ context.Context, out io.Writer, do func(*client.Client) (client.Document[client.Cluster], error)) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	d, err := do(api)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Cluster, err)
	}
	if c.print(out, d.JSON) {
		return nil
	}
	fmt.Fprintf(out, "%s: %s: %s\n", oneLine(d.Value.Name), d.Value.Status, oneLine(d.Value.Message))
	return printMembers(out, d.Value)
}

type clusterReplaceCmd struct {
	clusterTarget `embed:""`
	Node          string `arg:"" help:"Name or id of the node whose place is taken."`
	By            string `help:"Name or id of the node that takes it; with --profile, the name of a new one."`
	File          string `short:"f" help:"File with the node in full (JSON: node_config and network_config); - reads standard input. Instead of --by."`
	Profile       string `help:"It is a new server of IBM Cloud, of this profile." group:"new node"`
	Zone          string `help:"Zone; default: the server's setting." group:"new node"`
	Installer     string `help:"Installer artifact; default: the server's setting." group:"new node"`
}

// Run puts another node into the place of one.
func (c *clusterReplaceCmd) Run(ctx context.Context) error { return c.run(ctx, stdConsole()) }

func (c *clusterReplaceCmd) run(ctx context.Context, tty console) error {
	by, err := c.other(tty.in)
	if err != nil {
		return err
	}
	return c.ask(ctx, tty.out, func(api *client.Client) (client.Document[client.Cluster], error) {
		return api.ReplaceNode(ctx, c.Cluster, c.Node, by)
	})
}

// other is the node that takes the place.
func (c *clusterReplaceCmd) other(in io.Reader) (any, error) {
	switch {
	case (c.By == "") == (c.File == ""):
		return nil, exit{exitUsage, errors.New("either --by or -f is needed")}
	case c.File != "" && c.Profile+c.Zone+c.Installer != "":
		return nil, exit{exitUsage, errors.New("with -f everything about the node stands in the file")}
	case c.File != "":
		raw, err := inputFile(c.File).read(in)
		if err == nil && !json.Valid(raw) {
			err = fmt.Errorf("%s is not JSON", c.File)
		}
		return json.RawMessage(raw), err
	case c.Profile != "":
		return client.Order{Node: client.OrderNode{Name: c.By, Profile: c.Profile, Provider: orderIBM, Zone: c.Zone, Installer: c.Installer}}, nil
	case c.Zone+c.Installer != "":
		return nil, exit{exitUsage, errors.New("--profile is needed with settings of a new node")}
	}
	return c.By, nil
}

type clusterCancelCmd struct {
	clusterTarget `embed:""`
	Now           bool   `help:"At once; else when the phases that are under way have ended."`
	Reason        string `help:"Why; the history keeps it."`
}

// Run cancels the deployments of a cluster's nodes.
func (c *clusterCancelCmd) Run(ctx context.Context) error {
	return c.ask(ctx, os.Stdout, func(api *client.Client) (client.Document[client.Cluster], error) {
		return api.CancelCluster(ctx, c.Cluster, c.Now, c.Reason)
	})
}

type clusterCleanupCmd struct {
	clusterTarget `embed:""`
	DryRun        bool   `help:"Show what would be removed, and do nothing."`
	Confirm       string `help:"The cluster's name, where nobody can be asked."`
	Watch         bool   `short:"w" help:"Follow it until everything is proven gone."`
}

// Run releases everything that a cluster's nodes hold.
func (c *clusterCleanupCmd) Run(ctx context.Context) error { return c.run(ctx, stdConsole()) }

func (c *clusterCleanupCmd) run(ctx context.Context, tty console) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	d, err := api.Cluster(ctx, c.Cluster)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Cluster, err)
	}
	id, what := fmt.Sprintf("clu_%d", d.Value.ID), "delete the cluster with all its data and everything of its nodes"
	plan, err := api.PlanClusterCleanup(ctx, id)
	switch {
	case err != nil && (c.DryRun || !unanswered(ctx, err)):
		return fmt.Errorf("%s: %w", c.Cluster, err)
	case err != nil:
		fmt.Fprintf(tty.out, "%s: the plan could not be read: %s\n", c.Cluster, oneLine(err.Error()))
	case c.DryRun && c.print(tty.out, plan.JSON):
		return nil
	case !c.JSON:
		if err := printClusterSteps(tty.out, plan.Value); err != nil {
			return err
		}
	}
	if c.DryRun {
		return nil
	}
	name, err := tty.confirmThe("cluster", c.Confirm, d.Value.Name, what)
	if err != nil {
		return err
	}
	done, err := api.CleanupCluster(ctx, id, name)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Cluster, err)
	}
	if !c.print(tty.out, done.JSON) {
		fmt.Fprintln(tty.out, oneLine(done.Value.Message))
	}
	if c.Watch {
		return watchCluster(ctx, tty.out, api, id, watchCleaning)
	}
	return nil
}

func printClusterSteps(out io.Writer, p client.ClusterCleanup) error {
	fmt.Fprintln(out, oneLine(p.Message))
	for _, n := range p.Nodes {
		fmt.Fprintln(out, oneLine(n.NodeName))
		if err := printSteps(out, n.Plan); err != nil {
			return err
		}
	}
	return nil
}
