package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/slipwayhq/slipway/client"
)

type scriptProbeCmd struct {
	serverFlags `embed:""`
	Target      string `arg:"" help:"Deployment id (dep_...) or node name."`
	Watch       bool   `short:"w" help:"Follow it to its end; the exit code tells the result."`
}

// Run has the next attempt to reach a host begin now.
func (c *scriptProbeCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c *scriptProbeCmd) run(ctx context.Context, out io.Writer) error {
	api, d, err := c.deployment(ctx, c.Target)
	if err != nil {
		return err
	}
	said, err := api.ProbeNow(ctx, d.ID)
	if err != nil {
		return fmt.Errorf("%s: %w", d.NodeName, err)
	}
	fmt.Fprintf(out, "%s: %s\n", d.NodeName, oneLine(said))
	if c.Watch {
		return watchApplied(ctx, api, []client.Deployment{d}, "", false)
	}
	return nil
}

type scriptSkipCmd struct {
	serverFlags `embed:""`
	Target      string `arg:"" help:"Deployment id (dep_...) or node name."`
	Reason      string `required:"" help:"Why; the history keeps it, with your name."`
}

// Run says that a host is well although it could not be reached.
func (c *scriptSkipCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c *scriptSkipCmd) run(ctx context.Context, out io.Writer) error {
	if strings.TrimSpace(c.Reason) == "" {
		return exit{exitUsage, errors.New("a reason is needed: it is what the history will say")}
	}
	api, d, err := c.deployment(ctx, c.Target)
	if err != nil {
		return err
	}
	got, err := api.SkipPolling(ctx, d.ID, c.Reason)
	if err != nil {
		return fmt.Errorf("%s: %w", d.NodeName, err)
	}
	fmt.Fprintf(out, "%s: %s: %s\n", d.NodeName, got.State, oneLine(got.Message))
	return nil
}

type scriptHostKeyCmd struct {
	serverFlags `embed:""`
	Node        string `arg:"" help:"Node name or id (node_...)."`
	Accept      string `placeholder:"SHA256:..." help:"Trust the key of this fingerprint: the one that is offered, as you have compared it with the host's own."`
}

// Run shows a node's host key and what its host offers, or trusts that.
func (c *scriptHostKeyCmd) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c *scriptHostKeyCmd) run(ctx context.Context, out io.Writer) error {
	api, n, err := c.node(ctx, c.Node)
	if err != nil {
		return err
	}
	key, err := api.HostKey(ctx, n.NodeName)
	if err != nil {
		return fmt.Errorf("%s: %w", n.NodeName, err)
	}
	if c.Accept == "" {
		printHostKey(out, key)
		return nil
	}
	switch {
	case c.Accept == key.Known:
		fmt.Fprintf(out, "%s is known by %s\n", key.NodeName, key.Known)
		return nil
	case key.OfferedKey == "":
		return exit{exitFailed, fmt.Errorf("%s: its host has offered no other key than it is known by when it was last asked", key.NodeName)}
	case c.Accept != key.Offered:
		return exit{exitFailed, fmt.Errorf("%s: its host offers %s and not %s: nothing was done", key.NodeName, key.Offered, oneLine(c.Accept))}
	}
	trusted, err := api.AcceptHostKey(ctx, key.NodeID, key.OfferedKey)
	if err != nil {
		return fmt.Errorf("%s: %w", key.NodeName, err)
	}
	fmt.Fprintf(out, "%s is known by %s now; go on with: slipway retry %s\n", key.NodeName, trusted, key.NodeName)
	return nil
}

func printHostKey(out io.Writer, key client.HostKey) {
	known := "is known by no host key yet"
	if key.Known != "" {
		known = "is known by " + key.Known
	}
	fmt.Fprintf(out, "%s %s\n", key.NodeName, known)
	if key.Offered != "" {
		fmt.Fprintf(out, "  ! %s offers %s\n", dash(key.Target), key.Offered)
		fmt.Fprintf(out, "  -> compare it with the host's own (there: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); if it is right: slipway script host-key %s --accept=%s\n", key.NodeName, key.Offered)
	}
}
