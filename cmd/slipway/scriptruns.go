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

type scriptCmd struct {
	Runs    scriptRunsCmd    `cmd:"" help:"List runs, the newest first."`
	Show    scriptShowCmd    `cmd:"" help:"Show a run with what it stored."`
	Log     scriptLogCmd     `cmd:"" help:"Show the output of a run, to its end."`
	Cancel  scriptCancelCmd  `cmd:"" help:"Have a running script ended; its deployments are canceled then."`
	Marker  scriptMarkerCmd  `cmd:"" help:"Show the marker of a run in progress; clear it if no living script has made it."`
	Probe   scriptProbeCmd   `cmd:"" help:"Have the next attempt to reach a host begin now."`
	Skip    scriptSkipCmd    `cmd:"" help:"Say that a host is well although it could not be reached: its polling and health check are passed over."`
	HostKey scriptHostKeyCmd `cmd:"" name:"host-key" help:"Show which host key a node is known by, and another one that its host offers; trust that."`
}

// runID accepts the id of a run as people write it: run_7, or 7.
func runID(s string) string {
	if strings.HasPrefix(s, "run_") {
		return s
	}
	return "run_" + s
}

type scriptRunsCmd struct {
	serverFlags `embed:""`
	Limit       int `short:"n" help:"How many." default:"20"`
}

// Run lists runs of the deployment script.
func (c *scriptRunsCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c *scriptRunsCmd) run(ctx context.Context, out io.Writer) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	runs, err := api.ScriptRuns(ctx, c.Limit)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tSTATE\tNODES\tHOST\tBY\tCREATED\tTOOK\tPROBLEM")
	for _, r := range runs {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", r.Id, strings.ToLower(string(r.State)), r.NodeCount, oneLine(r.Host), oneLine(r.RequestedBy.Name),
			r.CreatedAt.UTC().Format(time.RFC3339), took(r.Duration), dash(value(r.Problem)))
	}
	return w.Flush()
}

// took is a duration in milliseconds for people.
func took(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return (time.Duration(*ms) * time.Millisecond).Round(100 * time.Millisecond).String()
}

type scriptShowCmd struct {
	serverFlags `embed:""`
	ID          string `arg:"" help:"Run (run_7, or 7)."`
}

// Run shows one run.
func (c *scriptShowCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c *scriptShowCmd) run(ctx context.Context, out io.Writer) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	r, err := api.ScriptRun(ctx, runID(c.ID))
	if err != nil {
		return fmt.Errorf("%s: %w", runID(c.ID), err)
	}
	printRun(out, r.ScriptRunFields)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tFILE\tDEPLOYMENT\tATTEMPT\tSHA256")
	for _, d := range r.Documents {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", oneLine(d.NodeName), oneLine(d.File), d.DeploymentId, d.Attempt, d.Sha256)
	}
	return w.Flush()
}

func printRun(out io.Writer, r client.ScriptRun) {
	fmt.Fprintf(out, "%s on %s: %s, %d node(s), asked for by %s at %s\n", r.Id, oneLine(r.Host), strings.ToLower(string(r.State)), r.NodeCount, oneLine(r.RequestedBy.Name), r.CreatedAt.UTC().Format(time.RFC3339))
	if r.Pid != nil {
		fmt.Fprintf(out, "  process %d, %d bytes of output, took %s\n", *r.Pid, r.LogBytes, took(r.Duration))
	}
	if r.ExitCode != nil {
		fmt.Fprintf(out, "  exit code %d\n", *r.ExitCode)
	}
	if r.Signal != nil {
		fmt.Fprintf(out, "  ended by %s\n", *r.Signal)
	}
	if r.CancelRequestedAt != nil {
		fmt.Fprintf(out, "  its end was asked for by %s at %s: %s\n", dash(value(r.CancelRequestedBy)), r.CancelRequestedAt.UTC().Format(time.RFC3339), dash(value(r.CancelReason)))
	}
	if r.Problem != nil {
		fmt.Fprintf(out, "  %s\n", oneLine(*r.Problem))
	}
}

type scriptLogCmd struct {
	serverFlags `embed:""`
	ID          string `arg:"" help:"Run (run_7, or 7)."`
	From        int64  `help:"Begin at this byte."`
}

// Run shows the output of a run until it has ended; the exit code tells how.
func (c *scriptLogCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	return showLog(ctx, os.Stdout, api, runID(c.ID), c.From)
}

type scriptCancelCmd struct {
	serverFlags `embed:""`
	ID          string `arg:"" help:"Run (run_7, or 7)."`
	Reason      string `help:"Why; it is kept in the history."`
	Force       bool   `help:"End it at once, and do not give it time to end by itself."`
}

// Run has a running script ended.
func (c *scriptCancelCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c *scriptCancelCmd) run(ctx context.Context, out io.Writer) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	r, err := api.CancelScriptRun(ctx, runID(c.ID), c.Reason, c.Force)
	if err != nil {
		return fmt.Errorf("%s: %w", runID(c.ID), err)
	}
	printRun(out, *r)
	return nil
}

type scriptMarkerCmd struct {
	serverFlags `embed:""`
	Clear       bool `help:"Remove it; refused while its script is alive."`
}

// Run shows the marker of a run in progress, or clears it.
func (c *scriptMarkerCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c *scriptMarkerCmd) run(ctx context.Context, out io.Writer) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	host, err := api.ScriptHost(ctx)
	if err != nil {
		return err
	}
	if host == nil {
		return errors.New("no deployment script is set up on this server")
	}
	m := host.Marker.ScriptMarkerFields
	if c.Clear {
		if m, err = api.ClearScriptMarker(ctx); err != nil {
			return err
		}
	}
	printMarker(out, host, m)
	return nil
}

func printMarker(out io.Writer, host *client.ScriptHost, m client.ScriptMarker) {
	word := "absent"
	if m.Present {
		word = "present"
		if m.Since != nil {
			word += " since " + m.Since.UTC().Format(time.RFC3339)
		}
		if m.Stale {
			word += ", but no living script of Slipway's has made it (--clear removes it)"
		}
	}
	fmt.Fprintf(out, "%s on %s: %s\n", oneLine(m.Path), oneLine(host.Name), word)
	if r := host.ActiveRun; r != nil {
		printRun(out, r.ScriptRunFields)
	}
	if o := host.Obstacle; o != nil {
		fmt.Fprintf(out, "no run could begin now: %s\n", oneLine(o.Message))
	}
}
