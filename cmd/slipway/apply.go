package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/slipwayhq/slipway/client"
)

type applyCmd struct {
	serverFlags    `embed:""`
	File           string `short:"f" required:"" help:"File with the configurations (JSON: an object by address or name, or a list); - reads standard input."`
	DryRun         bool   `help:"Show what would be written, and do nothing."`
	Watch          bool   `short:"w" help:"Follow the nodes to their end; the exit code tells the result."`
	Log            bool   `help:"Show the script's output as it comes."`
	IdempotencyKey string `help:"The same key twice is one run."`
}

// Run writes configurations of nodes and runs the deployment script over them.
func (c *applyCmd) Run(ctx context.Context) error { return c.run(ctx, stdConsole(), os.Stderr) }

func (c *applyCmd) run(ctx context.Context, tty console, complaints io.Writer) error {
	file := inputFile(c.File)
	raw, err := file.read(tty.in)
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	plan, err := api.PlanApply(ctx, raw)
	if err != nil {
		return refusedApply(complaints, file.name(), raw, err)
	}
	printApplyPlan(tty.out, plan)
	if c.DryRun {
		if !plan.Success {
			return exit{exitFailed, errors.New(plan.Message)}
		}
		return nil
	}
	done, err := api.Apply(ctx, raw, c.IdempotencyKey)
	if err != nil {
		return refusedApply(complaints, file.name(), raw, err)
	}
	word := "started"
	if done.Existing {
		word = "was started before, by the same request"
	}
	fmt.Fprintf(tty.out, "run_%d %s: %s\n", done.RunID, word, oneLine(done.Message))
	return c.follow(ctx, tty.out, api, done)
}

// follow shows what was asked for: the nodes, the script's output, or both.
func (c *applyCmd) follow(ctx context.Context, out io.Writer, api *client.Client, done client.AppliedRun) error {
	run := fmt.Sprintf("run_%d", done.RunID)
	if !c.Watch {
		if !c.Log {
			return nil
		}
		return showLog(ctx, out, api, run, 0)
	}
	list := make([]client.Deployment, 0, len(done.Results))
	for _, r := range done.Results {
		d, err := deploymentOf(ctx, api, fmt.Sprintf("dep_%d", r.DeploymentID))
		if err != nil {
			return exit{exitLost, err}
		}
		list = append(list, d)
	}
	return watchApplied(ctx, api, list, run, c.Log)
}

// refusedApply tells everything that is wrong at once, each at its card.
func refusedApply(complaints io.Writer, name string, raw []byte, err error) error {
	var refused *client.APIError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(refused.Fields) == 0 {
		return fmt.Errorf("%s: nothing was written: %w", name, refused)
	}
	cards := cardNames(raw)
	fmt.Fprintf(complaints, "%s: %d error(s), nothing was written\n", name, len(refused.Fields))
	w := tabwriter.NewWriter(complaints, 0, 4, 2, ' ', 0)
	for _, f := range refused.Fields {
		card, field := cardOf(f.Field, cards)
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", dash(card), dash(field), dash(f.Key), oneLine(f.Message))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("showing errors: %w", err)
	}
	if refused.Hint != "" {
		fmt.Fprintf(complaints, "  -> %s\n", oneLine(refused.Hint))
	}
	return exit{code: exitFailed}
}

// cardOf takes the path of a field apart: which card, and where in it.
func cardOf(path string, cards []string) (card, field string) {
	rest, ok := strings.CutPrefix(path, "cards.")
	if !ok {
		return "", path
	}
	number, field, _ := strings.Cut(rest, ".")
	i, err := strconv.Atoi(number)
	if err != nil {
		return "", path
	}
	card = fmt.Sprintf("card %d", i+1)
	if i < len(cards) && cards[i] != "" {
		card += " (" + cards[i] + ")"
	}
	return card, field
}

// cardNames gives what the documents of a request are called in it, in their
// order: by their keys, or by their host names. It stops where the request is
// not JSON any more.
func cardNames(raw []byte) []string {
	dec := json.NewDecoder(bytes.NewReader(raw))
	open, err := dec.Token()
	if err != nil {
		return nil
	}
	var names []string
	for dec.More() {
		name := ""
		if open == json.Delim('{') {
			key, err := dec.Token()
			if err != nil {
				return names
			}
			name, _ = key.(string)
		}
		var doc json.RawMessage
		if dec.Decode(&doc) != nil {
			return names
		}
		if open == json.Delim('[') {
			var of struct {
				Hostname string `json:"hostname"`
			}
			if json.Unmarshal(doc, &of) == nil {
				name = of.Hostname
			}
		}
		names = append(names, oneLine(name))
	}
	return names
}

// printApplyPlan shows the files that would be written, with what differs.
func printApplyPlan(out io.Writer, p client.ApplyPlan) {
	signs := map[string]string{"added": "+", "removed": "-", "changed": "~"}
	for _, f := range p.Plans {
		node := f.NodeName
		if f.NodeID == nil {
			node += " (new)"
		}
		fmt.Fprintf(out, "%s  %s  %s  at %s\n", oneLine(f.File), f.Action, oneLine(node), dash(f.Target))
		if f.ChangedOutside {
			fmt.Fprintln(out, "  ! the file that is there is not what was applied last: somebody else wrote it")
		}
		for _, c := range f.Changes {
			path := c.Path
			if path == "" {
				path = "(everything)"
			}
			switch c.Kind {
			case "added":
				fmt.Fprintf(out, "  %s %s: %s\n", signs[c.Kind], oneLine(path), oneLine(c.After))
			case "removed":
				fmt.Fprintf(out, "  %s %s: %s\n", signs[c.Kind], oneLine(path), oneLine(c.Before))
			default:
				fmt.Fprintf(out, "  ~ %s: %s -> %s\n", oneLine(path), oneLine(c.Before), oneLine(c.After))
			}
		}
	}
	if p.Obstacle != nil {
		fmt.Fprintf(out, "It cannot be run now: %s\n", oneLine(p.Obstacle.Message))
		if p.Obstacle.Hint != "" {
			fmt.Fprintf(out, "  -> %s\n", oneLine(p.Obstacle.Hint))
		}
	}
}
