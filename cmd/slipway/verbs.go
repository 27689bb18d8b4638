package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/slipwayhq/slipway/client"
)

// console is where a command speaks to a person, if one is there.
type console struct {
	in     io.Reader
	out    io.Writer
	person bool // somebody can be asked
}

func stdConsole() console {
	return console{in: os.Stdin, out: os.Stdout, person: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))}
}

// confirm gives the name that somebody confirms with: the one of the flag, or
// what is typed. what completes "To …, type the node's name".
func (c console) confirm(flag, name, what string) (string, error) {
	return c.confirmThe("node", flag, name, what)
}

// confirmThe is confirm for anything that has a name.
func (c console) confirmThe(kind, flag, name, what string) (string, error) {
	if flag == "" && !c.person {
		return "", exit{exitUsage, fmt.Errorf("to %s, confirm it with --confirm=%s", what, name)}
	}
	if flag == "" {
		fmt.Fprintf(c.out, "To %s, type the %s's name: ", what, kind)
		line, err := bufio.NewReader(c.in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the confirmation: %w", err)
		}
		flag = strings.TrimSpace(line)
	}
	if flag != name {
		return "", exit{exitFailed, fmt.Errorf("%q is not %q: nothing was done", oneLine(flag), name)}
	}
	return flag, nil
}

// deploymentOf reads the deployment that a text names: dep_…, or a node by its
// name or id, for its current one. Its cursor is from before what is asked
// next.
func deploymentOf(ctx context.Context, api *client.Client, target string) (client.Deployment, error) {
	id := target
	if !strings.HasPrefix(target, "dep_") {
		n, err := nodeOf(ctx, api, target)
		if err != nil {
			return client.Deployment{}, err
		}
		if n.DeploymentID == nil {
			return client.Deployment{}, fmt.Errorf("%s was never deployed", n.NodeName)
		}
		id = fmt.Sprintf("dep_%d", *n.DeploymentID)
	}
	d, err := api.Deployment(ctx, id)
	if err != nil {
		return client.Deployment{}, fmt.Errorf("%s: %w", target, err)
	}
	return client.Deployment{ID: id, Number: d.Number, NodeID: d.Node.Id, NodeName: d.Node.Name, Cursor: d.Cursor}, nil
}

func nodeOf(ctx context.Context, api *client.Client, target string) (client.NodeCard, error) {
	n, err := api.FindNode(ctx, target)
	if err != nil {
		return n, fmt.Errorf("%s: %w", target, err)
	}
	return n, nil
}

type retryCmd struct {
	serverFlags `embed:""`
	Target      string `arg:"" help:"Deployment id (dep_...) or node name."`
	From        string `help:"Phase to begin with; default: the one that failed."`
	Watch       bool   `short:"w" help:"Follow it to its end; the exit code tells the result."`
}

// Run begins another attempt of a failed deployment.
func (c *retryCmd) Run(ctx context.Context) error {
	api, d, err := c.deployment(ctx, c.Target)
	if err != nil {
		return err
	}
	got, err := api.Retry(ctx, d.ID, c.From)
	if err != nil {
		return fmt.Errorf("%s: %w", d.NodeName, err)
	}
	fmt.Printf("%s: %s\n", d.NodeName, got.Message)
	if c.Watch {
		return follow(ctx, api, []client.Deployment{d}, 0)
	}
	return nil
}

type cancelCmd struct {
	serverFlags `embed:""`
	Target      string `arg:"" help:"Deployment id (dep_...) or node name."`
	Now         bool   `help:"At once; else when the phase that is under way has ended."`
	Reason      string `help:"Why; the history keeps it."`
}

// Run cancels a deployment.
func (c *cancelCmd) Run(ctx context.Context) error {
	api, d, err := c.deployment(ctx, c.Target)
	if err != nil {
		return err
	}
	got, err := api.Cancel(ctx, d.ID, c.Now, c.Reason)
	if err != nil {
		return fmt.Errorf("%s: %w", d.NodeName, err)
	}
	fmt.Printf("%s: %s: %s\n", d.NodeName, got.State, got.Message)
	return nil
}

type cleanupCmd struct {
	serverFlags `embed:""`
	Node        string `arg:"" help:"Node name or id (node_...)."`
	DryRun      bool   `help:"Show what would be removed, and do nothing."`
	Confirm     string `help:"The node's name, where nobody can be asked."`
	Watch       bool   `short:"w" help:"Follow it until everything is proven gone."`
}

// Run releases everything that a node holds.
func (c *cleanupCmd) Run(ctx context.Context) error { return c.run(ctx, stdConsole()) }

func (c *cleanupCmd) run(ctx context.Context, tty console) error {
	api, n, err := c.node(ctx, c.Node)
	if err != nil {
		return err
	}
	what := "delete all of this"
	plan, err := api.PlanCleanup(ctx, n.ID)
	switch {
	case err != nil && (c.DryRun || n.DeploymentID == nil || !unanswered(ctx, err)):
		return fmt.Errorf("%s: %w", n.NodeName, err)
	case err != nil:
		plan.DeploymentID = *n.DeploymentID
		what = "delete everything that " + n.NodeName + " holds, which could not be listed"
		fmt.Fprintf(tty.out, "%s: the plan could not be read: %s\n", n.NodeName, oneLine(err.Error()))
	default:
		fmt.Fprintf(tty.out, "%s: %s\n", n.NodeName, plan.Message)
	}
	if err := printSteps(tty.out, plan.Plan); err != nil || c.DryRun {
		return err
	}
	name, err := tty.confirm(c.Confirm, n.NodeName, what)
	if err != nil {
		return err
	}
	d, err := deploymentOf(ctx, api, fmt.Sprintf("dep_%d", plan.DeploymentID))
	if err != nil {
		return err
	}
	got, err := api.Cleanup(ctx, n.ID, name)
	if err != nil {
		return fmt.Errorf("%s: %w", n.NodeName, err)
	}
	fmt.Fprintln(tty.out, got.Message)
	if !c.Watch {
		return nil
	}
	return watchCleanup(ctx, tty.out, api, d, plan.DeploymentID)
}

// unanswered tells whether a question failed only because the provider, or the
// server that asks it, did not answer.
func unanswered(ctx context.Context, err error) bool {
	var refused *client.APIError
	if errors.As(err, &refused) {
		return refused.Code == "upstream_unavailable"
	}
	return ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded)
}

// watchCleanup follows a cleanup to its end, and prints the proofs.
func watchCleanup(ctx context.Context, out io.Writer, api *client.Client, d client.Deployment, id int64) error {
	show := newProgress(os.Stdout, os.Stderr, []string{d.NodeName})
	err := followAll(ctx, api, []client.Deployment{d}, 0, show)
	show.done()
	if err != nil {
		return err
	}
	got, err := api.CleanupOf(ctx, id)
	if err != nil {
		return exit{exitLost, err}
	}
	if err := printSteps(out, got.Steps); err != nil {
		return err
	}
	if !got.CleanupCompleted {
		why := got.Message
		if got.Failure != nil {
			why = got.Failure.Message + " (" + got.Failure.Code + ")"
		}
		fmt.Fprintf(out, "%s: the cleanup is not complete (%s): %s\n", d.NodeName, got.State, oneLine(why))
		return exit{code: exitFailed}
	}
	fmt.Fprintf(out, "%s: cleaned up, everything is gone\n", d.NodeName)
	return nil
}

func printSteps(out io.Writer, steps []client.ReleaseStep) error {
	if len(steps) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  WHAT\tNAME\tID\tACTION\tSTATUS\t")
	for _, s := range steps {
		what := s.Kind
		if s.Role != "" {
			what += " (" + s.Role + ")"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\n", what, oneLine(s.Name), dash(s.CloudID), s.Action, s.Status, oneLine(s.Message))
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return oneLine(s)
}

type reinitializeCmd struct {
	serverFlags `embed:""`
	Node        string `arg:"" help:"Node name or id (node_...)."`
	Confirm     string `help:"The node's name, where nobody can be asked."`
	Watch       bool   `short:"w" help:"Follow it to its end; the exit code tells the result."`
}

// Run installs a node's present machine anew.
func (c *reinitializeCmd) Run(ctx context.Context) error { return c.run(ctx, stdConsole()) }

func (c *reinitializeCmd) run(ctx context.Context, tty console) error {
	api, n, err := c.node(ctx, c.Node)
	if err != nil {
		return err
	}
	name, err := tty.confirm(c.Confirm, n.NodeName, "install "+n.NodeName+" anew and lose its data")
	if err != nil {
		return err
	}
	got, err := api.Reinitialize(ctx, n.ID, name)
	if err != nil {
		return fmt.Errorf("%s: %w", n.NodeName, err)
	}
	fmt.Fprintf(tty.out, "%s: %s (dep_%d)\n", n.NodeName, got.Message, got.DeploymentID)
	if !c.Watch {
		return nil
	}
	d, err := deploymentOf(ctx, api, fmt.Sprintf("dep_%d", got.DeploymentID))
	if err != nil {
		return err
	}
	return follow(ctx, api, []client.Deployment{d}, 0)
}

type protectCmd struct {
	serverFlags `embed:""`
	Node        string `arg:"" help:"Node name or id (node_...)."`
	Note        string `help:"Why; shown to whoever is refused."`
}

// Run protects a node from cleanup and reinitialize.
func (c *protectCmd) Run(ctx context.Context) error {
	return c.protect(ctx, c.Node, true, c.Note, "is protected: it is neither cleaned up nor installed anew")
}

type unprotectCmd struct {
	serverFlags `embed:""`
	Node        string `arg:"" help:"Node name or id (node_...)."`
}

// Run takes the protection away.
func (c *unprotectCmd) Run(ctx context.Context) error {
	return c.protect(ctx, c.Node, false, "", "is no longer protected")
}

func (f serverFlags) protect(ctx context.Context, node string, protected bool, note, done string) error {
	api, n, err := f.node(ctx, node)
	if err != nil {
		return err
	}
	if err := api.Protect(ctx, n.ID, protected, note); err != nil {
		return fmt.Errorf("%s: %w", n.NodeName, err)
	}
	fmt.Printf("%s %s\n", n.NodeName, done)
	return nil
}
