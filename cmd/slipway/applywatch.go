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

// pollShow is the pause between looks at how hosts are polled: attempts make no
// events.
const pollShow = 2 * time.Second

// watchApplied follows the nodes of a run to their end, with how their hosts
// are polled, and the script's output if it is wanted.
func watchApplied(ctx context.Context, api *client.Client, list []client.Deployment, run string, log bool) error {
	names := make([]string, len(list))
	for i, d := range list {
		names[i] = d.NodeName
	}
	show := newProgress(os.Stdout, os.Stderr, names)
	err := followApplied(ctx, api, list, run, log, show)
	show.done()
	if err != nil {
		return err
	}
	return results(ctx, api, list)
}

// followApplied shows everything until all nodes have ended.
func followApplied(ctx context.Context, api *client.Client, list []client.Deployment, run string, log bool, show progress) error {
	beside, stop := context.WithCancel(ctx)
	defer stop()
	var polls, output sync.WaitGroup
	polls.Go(func() { showPolls(beside, api, list, show) })
	if log {
		output.Go(func() { noteLog(beside, api, run, show) })
	}
	err := followAll(ctx, api, list, 0, show)
	if err == nil {
		output.Wait() // the script has ended before its nodes have, and its output ends with it
	}
	stop()
	polls.Wait()
	output.Wait()
	return err
}

// showPolls shows where the polling of hosts stands until ctx ends. What cannot
// be read is read again: the events tell of a lost connection.
func showPolls(ctx context.Context, api *client.Client, list []client.Deployment, show progress) {
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = d.ID
	}
	look := time.NewTicker(pollShow)
	defer look.Stop()
	for {
		now, err := api.Polling(ctx, ids)
		for _, d := range list {
			if p, ok := now[d.ID]; ok && err == nil {
				show.polled(d.NodeName, p)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// noteLog shows the output of a run beside the nodes, line by line.
func noteLog(ctx context.Context, api *client.Client, run string, show progress) {
	whole := &wholeLines{each: func(line string) { show.note("| " + oneLine(line)) }}
	_, err := api.FollowLog(ctx, client.FollowLog{Run: run}, whole.add)
	whole.flush()
	if err != nil && ctx.Err() == nil {
		show.warn("the script's output cannot be shown: " + oneLine(err.Error()))
	}
}

// wholeLines gathers lines from pieces of any length.
type wholeLines struct {
	each func(line string)
	rest strings.Builder
}

// lineMost is how much is gathered before it is shown without its end, in bytes.
const lineMost = 8 << 10

func (l *wholeLines) add(text string) error {
	for {
		line, after, ended := strings.Cut(text, "\n")
		l.rest.WriteString(line)
		if ended || l.rest.Len() > lineMost {
			l.each(l.rest.String())
			l.rest.Reset()
		}
		if !ended {
			return nil
		}
		text = after
	}
}

func (l *wholeLines) flush() {
	if l.rest.Len() > 0 {
		l.each(l.rest.String())
		l.rest.Reset()
	}
}

// showLog shows the output of a run until it has ended, and gives its result
// as an exit code.
func showLog(ctx context.Context, out io.Writer, api *client.Client, run string, from int64) error {
	whole := &wholeLines{each: func(line string) { fmt.Fprintln(out, oneLineLog(line)) }}
	end, err := api.FollowLog(ctx, client.FollowLog{Run: run, Offset: from, OnLost: func(err error, pause time.Duration) {
		fmt.Fprintf(os.Stderr, "%s: connection lost (%s); again in %s\n", run, lost(err), pause.Round(100*time.Millisecond))
	}}, whole.add)
	whole.flush()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w", run, err)
	}
	problem := ""
	if end.Problem != nil {
		problem = ": " + oneLine(*end.Problem)
	}
	switch end.State {
	case "succeeded":
		return nil
	case "canceled":
		return exit{exitCanceled, errors.New(run + " was canceled" + problem)}
	}
	return exit{exitFailed, fmt.Errorf("%s: %s%s", run, end.State, problem)}
}

// oneLineLog makes a line of output fit to be shown and keeps its spaces:
// scripts indent what they say.
func oneLineLog(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return ' '
		}
		return r
	}, strings.TrimRight(line, "\r"))
}
