package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/slipwayhq/slipway/client"
)

// lookAtCluster is the pause between looks at a cluster that is watched. Events
// of its nodes come as they happen; how far it is itself makes none.
const lookAtCluster = time.Second

// What is waited for when a cluster is watched.
type watchFor int

const (
	watchDeploy   watchFor = iota // that it is deployed
	watchCleaning                 // that everything of it is gone
)

type clusterWatchCmd struct {
	serverFlags `embed:""`
	Cluster     string        `arg:"" help:"Name or id (clu_...)."`
	GiveUp      time.Duration `help:"Give up after this long without a connection; 0 = never." default:"0"`
}

// Run follows a cluster to its end.
func (c *clusterWatchCmd) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	d, err := api.Cluster(ctx, c.Cluster)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Cluster, err)
	}
	until := watchDeploy
	if s := d.Value.Status; s == "cleaning_up" || s == "cleaned_up" {
		until = watchCleaning
	}
	w := clusterWatch{api: api, id: fmt.Sprintf("clu_%d", d.Value.ID), until: until, giveUp: c.GiveUp, every: lookAtCluster}
	return w.run(ctx, os.Stdout, nil)
}

func watchCluster(ctx context.Context, out io.Writer, api *client.Client, id string, until watchFor) error {
	return (&clusterWatch{api: api, id: id, until: until, every: lookAtCluster}).run(ctx, out, nil)
}

// clusterWatch shows the members of a cluster as lanes, and beside them what
// the cluster itself does.
type clusterWatch struct {
	api    *client.Client
	id     string
	until  watchFor
	giveUp time.Duration
	every  time.Duration // between looks
	show   progress
	said   string // what was told of the cluster last
	states map[string]string
}

// run watches until the cluster has come to an end, prints it, and gives the
// result as an exit code. show nil = the terminal.
func (w *clusterWatch) run(ctx context.Context, out io.Writer, show progress) error {
	d, err := w.api.Cluster(ctx, w.id)
	if err != nil {
		return exit{exitLost, err}
	}
	names := map[int64]string{}
	lanes := []string{}
	for _, m := range d.Value.Members {
		if m.State != "replaced" {
			lanes = append(lanes, m.NodeName)
		}
		names[m.NodeID] = m.NodeName
	}
	if w.show, w.states = show, map[string]string{}; show == nil {
		w.show = newProgress(os.Stdout, os.Stderr, lanes)
	}
	beside, stop := context.WithCancel(ctx)
	var events sync.WaitGroup
	events.Go(func() { w.events(beside, names) })
	last, err := w.look(ctx, d.Value)
	stop()
	events.Wait()
	w.show.done()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return exit{exitLost, err}
	}
	if err := printCluster(out, last); err != nil {
		return err
	}
	if w.until == watchCleaning {
		if err := w.proofs(ctx, out, last); err != nil {
			return err
		}
	}
	return w.result(last)
}

// proofs prints what became of each thing that the nodes of a cluster held.
func (w *clusterWatch) proofs(ctx context.Context, out io.Writer, c client.Cluster) error {
	for _, m := range c.Members {
		if m.DeploymentID == nil {
			continue
		}
		got, err := w.api.CleanupOf(ctx, *m.DeploymentID)
		switch {
		case errors.Is(err, client.ErrNotFound):
			continue
		case err != nil:
			return exit{exitLost, err}
		}
		fmt.Fprintln(out, oneLine(m.NodeName))
		if err := printSteps(out, got.Steps); err != nil {
			return err
		}
	}
	return nil
}

// events shows what happens to the nodes, until ctx ends. What cannot be had is
// seen in the looks.
func (w *clusterWatch) events(ctx context.Context, names map[int64]string) {
	f := client.Follow{OnLost: func(err error, pause time.Duration) {
		w.show.note(fmt.Sprintf("connection lost (%s); again in %s", lost(err), pause.Round(100*time.Millisecond)))
	}}
	for id := range names {
		f.Nodes = append(f.Nodes, fmt.Sprintf("node_%d", id))
	}
	for {
		err := w.api.Follow(ctx, f, func(e client.Event) error {
			w.show.event(names[e.NodeID], e)
			return nil
		})
		if !errors.Is(err, client.ErrReset) {
			return
		}
		w.show.warn("some events are missing here; going on from now")
		f.After = ""
	}
}

// look looks at the cluster again and again, until nothing more is to be waited
// for.
func (w *clusterWatch) look(ctx context.Context, c client.Cluster) (client.Cluster, error) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	answered := time.Now()
	for {
		w.tell(c)
		if w.over(c) {
			return c, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return c, ctx.Err()
		}
		d, err := w.api.Cluster(ctx, w.id)
		var refused *client.APIError
		switch {
		case err == nil:
			c, answered = d.Value, time.Now()
		case ctx.Err() != nil:
			return c, ctx.Err()
		case errors.Is(err, client.ErrNotFound), errors.As(err, &refused) && refused.Status < 500:
			return c, err
		case w.giveUp > 0 && time.Since(answered) > w.giveUp:
			return c, fmt.Errorf("no answer for %s: %w", w.giveUp, err)
		}
	}
}

// over tells whether a cluster has come to where it does not go on by itself.
func (w *clusterWatch) over(c client.Cluster) bool {
	switch c.Status {
	case "deployed", "canceled":
		return w.until == watchDeploy
	case "blocked", "cleaned_up":
		return true
	}
	return false
}

// tell shows what has changed of the cluster itself, and of lanes that no event
// has told of.
func (w *clusterWatch) tell(c client.Cluster) {
	said := fmt.Sprintf("%s: %s", c.Name, c.Status)
	if f := c.Formation; f != nil && f.Status == "running" {
		said += ": " + f.Message
	} else if c.Message != "" {
		said += ": " + c.Message
	}
	if said != w.said {
		w.said = said
		w.show.note(oneLine(said))
	}
	for _, m := range c.Members {
		now := m.State
		if why := value(m.WaitsFor); m.Failure != nil && why != "" {
			now += ": " + why
		} else if m.Note != nil {
			now += ": " + *m.Note
		}
		if w.states[m.NodeName] == now {
			continue
		}
		if _, shown := w.states[m.NodeName]; shown || now != "member" {
			w.show.note(oneLine(m.NodeName + " is " + now))
		}
		w.states[m.NodeName] = now
	}
}

// result is the exit code of how a cluster stands.
func (w *clusterWatch) result(c client.Cluster) error {
	switch c.Status {
	case "deployed":
		return nil
	case "canceled":
		return exit{exitCanceled, errors.New(oneLine(c.Name) + " was canceled")}
	case "cleaned_up":
		if w.until == watchCleaning {
			return nil
		}
		return exit{exitCanceled, errors.New(oneLine(c.Name) + " was cleaned up")}
	}
	var do []string
	for _, m := range c.Members {
		if len(m.Choices) > 0 {
			do = append(do, fmt.Sprintf("%s: %s", m.NodeName, strings.Join(m.Choices, ", ")))
		}
	}
	text := "somebody has to decide"
	if len(do) > 0 {
		text += " (" + strings.Join(do, "; ") + ")"
	}
	return exit{exitFailed, errors.New(oneLine(c.Name) + " is blocked: " + text)}
}
