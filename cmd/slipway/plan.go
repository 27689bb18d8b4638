package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/slipwayhq/slipway/client"
)

type planCmd struct {
	serverFlags  `embed:""`
	machineFlags `embed:""`
	jsonFlag     `embed:""`
}

// Run shows what would become of a deployment; nothing is done.
func (c *planCmd) Run(ctx context.Context) error {
	machines, err := c.machines(os.Stdin)
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	orders := make([]client.Order, len(machines))
	for i, m := range machines {
		orders[i] = m.order()
	}
	return showPlans(ctx, os.Stdout, api, orders, c.jsonFlag)
}

// showPlans prints the check-list of each order; the error is exit code 1 if
// one of them would fail.
func showPlans(ctx context.Context, out io.Writer, api *client.Client, orders []client.Order, as jsonFlag) error {
	bad := false
	for i, o := range orders {
		p, err := api.Plan(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", o.Node.Name, err)
		}
		bad = bad || !p.Value.OK
		if as.print(out, p.JSON) {
			continue
		}
		if i > 0 {
			fmt.Fprintln(out)
		}
		printPlan(out, o.Node.Name, p.Value)
	}
	if bad {
		return exit{code: exitFailed}
	}
	return nil
}

// mark is how a check shows at a glance.
func mark(c client.Check) string {
	switch {
	case c.Severity == "info":
		return "·"
	case c.Passed:
		return "✓"
	case c.Severity == "warning":
		return "!"
	}
	return "✗"
}

func printPlan(out io.Writer, name string, p client.Plan) {
	width, wrong := 0, 0
	for _, c := range p.Checks {
		width = max(width, len(c.Label))
		if !c.Passed && c.Severity == "error" {
			wrong++
		}
	}
	fmt.Fprintf(out, "%s\n", oneLine(name))
	for _, c := range p.Checks {
		fmt.Fprintf(out, "  %s %-*s  %s\n", mark(c), width, c.Label, oneLine(c.Message))
		if !c.Passed && c.Hint != "" {
			fmt.Fprintf(out, "    %-*s  -> %s\n", width, "", oneLine(c.Hint))
		}
	}
	switch {
	case wrong == 1:
		fmt.Fprintln(out, "It would be refused, or fail: 1 problem. Nothing was done.")
	case wrong > 1:
		fmt.Fprintf(out, "It would be refused, or fail: %d problems. Nothing was done.\n", wrong)
	case p.EstimatedSeconds != nil:
		fmt.Fprintf(out, "It can be deployed, in about %s. Nothing was done.\n", (time.Duration(*p.EstimatedSeconds) * time.Second).Round(time.Second))
	default:
		fmt.Fprintln(out, "It can be deployed. Nothing was done.")
	}
}
