package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slipwayhq/slipway/client"
)

type resourcesCmd struct {
	serverFlags `embed:""`
	Node        string `arg:"" optional:"" help:"Only of this node, name or id (node_...)."`
	Gone        bool   `help:"Also what is gone."`
	jsonFlag    `embed:""`
}

// Run lists what was made in clouds for nodes.
func (c *resourcesCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var id int64
	if c.Node != "" {
		n, err := nodeOf(ctx, api, c.Node)
		if err != nil {
			return err
		}
		id = n.ID
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(w, "NODE\tKIND\tROLE\tNAME\tSTATE\tID\tHELD BY\tUPDATED\tLAST ERROR")
	}
	err = api.Resources(ctx, id, c.Gone, func(d client.Document[client.Resource]) error {
		if c.print(w, d.JSON) {
			return nil
		}
		r := d.Value
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\tdep_%d\t%s\t%s\n", r.NodeName, r.Kind, dash(r.Role), oneLine(r.Name), r.State, orDash(r.CloudID), r.HeldBy,
			r.UpdatedAt.UTC().Format(time.RFC3339), orDash(r.LastError))
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return dash(*s)
}

type driftCmd struct {
	serverFlags `embed:""`
	Provider    string        `help:"Whose cloud." default:"ibm_vpc"`
	Remove      string        `help:"Delete one orphan, as KIND/ID; needs the role admin." placeholder:"KIND/ID"`
	Wait        time.Duration `help:"How long the end of a removal is awaited." default:"10m"`
	jsonFlag    `embed:""`
}

// driftEvery is the pause between looks at a removal that is under way.
const driftEvery = 5 * time.Second

// Run compares the journal with the cloud, or removes what no node holds.
func (c *driftCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.Remove != "" {
		return c.remove(ctx, api)
	}
	list, err := api.Drift(ctx, c.Provider)
	if err != nil {
		return err
	}
	if c.JSON {
		return printDrift(os.Stdout, list)
	}
	if len(list) == 0 {
		fmt.Println("journal and cloud agree")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "PROBLEM\tKIND/ID\tNAME\tZONE\tSTATUS\tWHAT")
	for _, one := range list {
		d := one.Value
		fmt.Fprintf(w, "%s\t%s/%s\t%s\t%s\t%s\t%s\n", d.Problem, d.Kind, dash(d.CloudID), oneLine(d.Name), dash(d.Zone), dash(d.Status), oneLine(d.Message))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return exit{code: exitFailed}
}

// printDrift prints differences as they came, a line each.
func printDrift(out io.Writer, list []client.Document[client.Drift]) error {
	for _, d := range list {
		jsonFlag{JSON: true}.print(out, d.JSON)
	}
	if len(list) > 0 {
		return exit{code: exitFailed}
	}
	return nil
}

// remove deletes one orphan and waits until it is no longer there.
func (c *driftCmd) remove(ctx context.Context, api *client.Client) error {
	kind, id, ok := strings.Cut(c.Remove, "/")
	if !ok || kind == "" || id == "" {
		return exit{exitUsage, errors.New("--remove needs KIND/ID, as slipway drift lists them")}
	}
	done, message, err := api.RemoveOrphan(ctx, c.Provider, kind, id)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Remove, err)
	}
	fmt.Printf("%s: %s\n", c.Remove, oneLine(message))
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	for !done {
		select {
		case <-ctx.Done():
			return exit{exitLost, fmt.Errorf("%s: it is still there", c.Remove)}
		case <-time.After(driftEvery):
		}
		var refused *client.APIError
		done, message, err = api.RemoveOrphan(ctx, c.Provider, kind, id)
		switch {
		case errors.As(err, &refused) && refused.Code == "not_found":
			done, message = true, "it is gone"
		case errors.As(err, &refused) && refused.Retryable:
			message = refused.Message
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("%s: %w", c.Remove, err)
		}
	}
	fmt.Printf("%s: %s\n", c.Remove, oneLine(message))
	return nil
}

type offerCmd struct {
	serverFlags `embed:""`
	Provider    string `arg:"" optional:"" help:"Whose." default:"ibm_vpc"`
}

// Run shows what can be ordered.
func (c *offerCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	o, err := api.Offer(ctx, c.Provider)
	if err != nil {
		return err
	}
	return printOffer(os.Stdout, o)
}

func printOffer(out io.Writer, o client.Offer) error {
	quota := "not known"
	if o.Quota > 0 {
		quota = fmt.Sprint(o.Quota)
	}
	fmt.Fprintf(out, "region %s, zones %s; %d servers, quota %s (as of %s)\n\n", o.Region, strings.Join(o.Zones, ", "), o.Servers, quota, o.AsOf.UTC().Format(time.RFC3339))
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "PROFILE\tCPUS\tMEMORY\tDISKS\tUSABLE")
	for _, p := range o.Profiles {
		usable := "yes"
		if !p.Usable {
			usable = "no: " + oneLine(p.Why)
		}
		fmt.Fprintf(w, "%s\t%d\t%d GiB\t%d x %d GB\t%s\n", p.Name, p.CPUs, p.MemoryGiB, p.DataDisks, p.DataDiskGB, usable)
	}
	fmt.Fprintln(w, "\nSUBNET\tZONE\tCIDR\tFREE\tID")
	for _, s := range o.Subnets {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", oneLine(s.Name), s.Zone, s.CIDR, s.Available, s.ID)
	}
	for _, list := range []struct {
		title string
		of    []client.OfferNamed
	}{{"SECURITY GROUP", o.SecurityGroups}, {"SSH KEY", o.SSHKeys}, {"NETWORK BOOT IMAGE", o.Images}, {"DNS ZONE", o.DNSZones}} {
		fmt.Fprintf(w, "\n%s\tSTATUS\tID\n", list.title)
		for _, n := range list.of {
			usual := ""
			if n.Default { // an order that names none gets it
				usual = " (default)"
			}
			fmt.Fprintf(w, "%s%s\t%s\t%s\n", oneLine(n.Name), usual, dash(n.Status), n.ID)
		}
	}
	return w.Flush()
}

type adoptCmd struct {
	serverFlags `embed:""`
	ServerName  string            `arg:"" name:"machine" help:"The machine's id or name at the provider."`
	Name        string            `help:"Name of the node."`
	Provider    string            `help:"Whose machine." default:"ibm_vpc"`
	Label       map[string]string `help:"Labels, key=value."`
	DryRun      bool              `help:"Show what would be taken into care, and do nothing."`
}

// Run takes an existing machine into care; needs the role admin.
func (c *adoptCmd) Run(ctx context.Context) error {
	if c.Name == "" && !c.DryRun {
		return exit{exitUsage, errors.New("--name is needed")}
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	got, err := api.Adopt(ctx, c.Provider, c.ServerName, c.Name, c.Label, c.DryRun)
	if err != nil {
		return err
	}
	fmt.Println(got.Message)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  KIND\tROLE\tNAME\tID")
	for _, r := range got.Resources {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", r.Kind, dash(r.Role), oneLine(r.Name), dash(r.CloudID))
	}
	return w.Flush()
}

type consoleCmd struct {
	serverFlags `embed:""`
	Node        string `arg:"" help:"Node name or id (node_...)."`
	Type        string `help:"Kind of console." enum:"serial,vnc" default:"serial"`
	Force       bool   `help:"End somebody else's session."`
}

// Run opens a console and prints its address, a secret that is good for one
// use.
func (c *consoleCmd) Run(ctx context.Context) error {
	api, n, err := c.node(ctx, c.Node)
	if err != nil {
		return err
	}
	got, err := api.Console(ctx, n.ID, c.Type, c.Force)
	if err != nil {
		return fmt.Errorf("%s: %w", n.NodeName, err)
	}
	fmt.Println(got.URL)
	fmt.Fprintf(os.Stderr, "%s console of %s; good for one use until %s\n", got.Type, n.NodeName, got.ExpiresAt.UTC().Format(time.RFC3339))
	return nil
}
