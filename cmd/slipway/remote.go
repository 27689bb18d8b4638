package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/client"
)

// serverFlags say which server a command speaks to.
type serverFlags struct {
	Server    string `help:"URL of the server." default:"http://127.0.0.1:8080" env:"SLIPWAY_SERVER"`
	Token     string `help:"API token (better: --token-file or the environment)." env:"SLIPWAY_TOKEN"`
	TokenFile string `help:"File with the API token." env:"SLIPWAY_TOKEN_FILE" type:"path"`
}

func (f serverFlags) client() (*client.Client, error) {
	token := f.Token
	if f.TokenFile != "" {
		raw, err := os.ReadFile(f.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("reading the token: %w", err)
		}
		token = trimLine(string(raw))
	}
	if token == "" {
		return nil, exit{exitUsage, errors.New("a token is needed: set SLIPWAY_TOKEN or --token-file (make one with: slipway token create NAME)")}
	}
	api, err := client.New(f.Server, token)
	if err != nil {
		return nil, exit{exitUsage, err}
	}
	return api, nil
}

// deployment finds what a text names, and the server that knows it.
func (f serverFlags) deployment(ctx context.Context, target string) (*client.Client, client.Deployment, error) {
	api, err := f.client()
	if err != nil {
		return nil, client.Deployment{}, err
	}
	d, err := deploymentOf(ctx, api, target)
	return api, d, err
}

// node finds the node that a text names, and the server that knows it.
func (f serverFlags) node(ctx context.Context, target string) (*client.Client, client.NodeCard, error) {
	api, err := f.client()
	if err != nil {
		return nil, client.NodeCard{}, err
	}
	n, err := nodeOf(ctx, api, target)
	return api, n, err
}

type deployCmd struct {
	serverFlags  `embed:""`
	machineFlags `embed:""`
	Label        map[string]string `help:"Labels, key=value."`
	MaxParallel  int               `help:"How many may run at once." default:"10"`
	Watch        bool              `short:"w" help:"Follow them to their end; the exit code tells the result."`
	DryRun       bool              `help:"Show what would become of it, and do nothing (see slipway plan)."`
	jsonFlag     `embed:""`
}

// Run orders machines, or deploys on one's own.
func (c *deployCmd) Run(ctx context.Context) error {
	if c.DryRun {
		return (&planCmd{c.serverFlags, c.machineFlags, c.jsonFlag}).Run(ctx)
	}
	if c.JSON && c.Watch {
		return exit{exitUsage, errors.New("--json is without --watch; follow with: slipway watch")}
	}
	machines, err := c.machines(os.Stdin)
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	in := client.DeployNodesInput{MaxParallel: &c.MaxParallel}
	for _, m := range machines {
		one := client.DeployNodeInput{Name: m.Names[0], Spec: m.spec()}
		for _, k := range slices.Sorted(maps.Keys(c.Label)) {
			one.Labels = append(one.Labels, client.LabelInput{Key: k, Value: c.Label[k]})
		}
		in.Nodes = append(in.Nodes, one)
	}
	results, err := api.Deploy(ctx, in)
	if err != nil {
		return err
	}
	var accepted []client.Deployment
	for _, d := range results {
		if d.Err == nil {
			accepted = append(accepted, d)
		}
		switch {
		case c.JSON:
			if err := printAccepted(os.Stdout, in.Nodes[d.Index].Name, d); err != nil {
				return err
			}
		case d.Err != nil:
			fmt.Fprintf(os.Stderr, "%s: refused: %v\n", in.Nodes[d.Index].Name, d.Err)
		default:
			fmt.Printf("%s: deployment #%d accepted (%s)\n", d.NodeName, d.Number, d.ID)
		}
	}
	if c.Watch && len(accepted) > 0 {
		if err := follow(ctx, api, accepted, 0); err != nil {
			return err
		}
	}
	if len(accepted) < len(results) {
		return exit{code: exitFailed}
	}
	return nil
}

// printAccepted prints what became of an order as a line of JSON.
func printAccepted(out io.Writer, name string, d client.Deployment) error {
	line := struct {
		Name       string `json:"name"`
		Deployment string `json:"deployment,omitempty"`
		Number     int    `json:"number,omitempty"`
		Node       string `json:"node,omitempty"`
		Refused    string `json:"refused,omitempty"`
	}{Name: name, Deployment: d.ID, Number: d.Number, Node: d.NodeID}
	if d.Err != nil {
		line.Refused = d.Err.Error()
	}
	return json.NewEncoder(out).Encode(line)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type watchCmd struct {
	serverFlags `embed:""`
	Targets     []string      `arg:"" help:"Deployment ids (dep_...) or node names."`
	GiveUp      time.Duration `help:"Give up after this long without a connection; 0 = never." default:"0"`
}

// Run follows deployments to their end.
func (c *watchCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var list []client.Deployment
	for _, t := range c.Targets {
		id, err := api.Find(ctx, t)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		d, err := api.Deployment(ctx, id)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		fmt.Printf("%s: deployment #%d is %s at %s\n", d.Node.Name, d.Number, strings.ToLower(string(d.State)), d.PhaseKey)
		list = append(list, client.Deployment{ID: id, Number: d.Number, NodeName: d.Node.Name, Cursor: d.Cursor})
	}
	return follow(ctx, api, list, c.GiveUp)
}

// follow shows deployments until all have ended and gives the result as an
// exit code.
func follow(ctx context.Context, api *client.Client, list []client.Deployment, giveUp time.Duration) error {
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.NodeName
	}
	show := newProgress(os.Stdout, os.Stderr, names)
	err := followAll(ctx, api, list, giveUp, show)
	show.done()
	if err != nil {
		return err
	}
	return results(ctx, api, list)
}

// followAll follows each deployment from its own cursor.
func followAll(ctx context.Context, api *client.Client, list []client.Deployment, giveUp time.Duration, show progress) error {
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i, d := range list {
		all.Go(func() { errs[i] = followOne(ctx, api, d, giveUp, show) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return exit{exitLost, err}
	}
	return nil
}

// followOne follows a deployment over any number of resets. What the server no
// longer has is told as a gap; a deployment that has ended meanwhile ends the
// stream from now on, too.
func followOne(ctx context.Context, api *client.Client, d client.Deployment, giveUp time.Duration, show progress) error {
	const first, most = 250 * time.Millisecond, 10 * time.Second
	pause := first
	f := client.Follow{Deployments: []string{d.ID}, After: d.Cursor, GiveUp: giveUp, OnLost: func(err error, pause time.Duration) {
		show.note(fmt.Sprintf("%s: connection lost (%s); again in %s", d.NodeName, lost(err), pause.Round(100*time.Millisecond)))
	}}
	for {
		err := api.Follow(ctx, f, func(e client.Event) error {
			pause = first
			show.event(d.NodeName, e)
			return nil
		})
		if !errors.Is(err, client.ErrReset) {
			return err
		}
		show.warn(d.NodeName + ": some events are missing here: " + err.Error() + "; going on from now")
		f.After = ""
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, most)
	}
}

// failureLines are the most lines of a machine's log that are shown with its
// failure; GET /api/status/history has all that it sent.
const failureLines = 12

// printFailure tells why a deployment failed, what to do about it, and what the
// machine said last.
func printFailure(out io.Writer, d *client.State) {
	f := d.Failure
	fmt.Fprintf(out, "%s: failed in %s: %s (%s)\n", d.Node.Name, f.PhaseKey, oneLine(f.Message), f.Code)
	indent := strings.Repeat(" ", len(d.Node.Name))
	if hint := value(f.Hint); hint != "" {
		fmt.Fprintf(out, "%s  -> %s\n", indent, oneLine(hint))
	}
	tail := strings.TrimRight(value(f.LogTail), "\n")
	if tail == "" {
		return
	}
	lines := strings.Split(tail, "\n")
	for _, line := range lines[max(0, len(lines)-failureLines):] {
		fmt.Fprintf(out, "%s  | %s\n", indent, oneLineLog(line))
	}
}

// results reads how the deployments ended and gives the worst as exit code.
func results(ctx context.Context, api *client.Client, list []client.Deployment) error {
	code := exitOK
	for _, one := range list {
		d, err := api.Deployment(ctx, one.ID)
		if err != nil {
			return exit{exitLost, err}
		}
		switch {
		case d.State == client.DeploymentStateSucceeded:
			address := ""
			if d.Node.ManagementIp != nil {
				address = " at " + *d.Node.ManagementIp
			}
			fmt.Printf("%s: deployed%s\n", d.Node.Name, address)
		case d.Failure != nil:
			code = exitFailed
			printFailure(os.Stdout, d)
		default:
			if code == exitOK {
				code = exitCanceled
			}
			fmt.Printf("%s: %s\n", d.Node.Name, strings.ToLower(string(d.State)))
		}
	}
	if code != exitOK {
		return exit{code: code}
	}
	return nil
}
