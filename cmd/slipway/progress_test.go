package main

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/slipwayhq/slipway/client"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// TestBarsEnd: whatever became of the deployments, the drawing ends, and the
// last picture shows each of them.
func TestBarsEnd(t *testing.T) {
	terminal, out := newTerminal(t)
	b, ok := newProgress(terminal, terminal, []string{"good", "bad", "unfinished"}).(*bars)
	require.True(t, ok, "a terminal gets bars")
	half := 50
	for _, e := range []struct {
		name string
		e    client.Event
	}{
		{"good", client.Event{Phase: phase.ImageDownload, Status: "in_progress", State: phase.Running, Progress: &half, Message: "a\nmessage"}},
		{"bad", client.Event{Phase: phase.Installation, Status: "failed", State: phase.StateFail, Message: "disk died"}},
		{"unfinished", client.Event{Phase: phase.IPXEBoot, Status: "in_progress", State: phase.Running}},
		{"unfinished", client.Event{Phase: phase.PostInstall, Status: "success", State: phase.Running, Outcome: "refused"}},
		{"nobody", client.Event{Phase: phase.IPXEBoot, State: phase.Running}},
		{"good", client.Event{Phase: phase.HealthValidation, Status: "success", State: phase.Succeeded}},
		{"good", client.Event{Phase: phase.Deployed, Status: "success", State: phase.Succeeded, Message: "deployed"}},
	} {
		b.event(e.name, e.e)
	}
	b.note("a note")
	b.done()
	require.NoError(t, terminal.Close())
	text := out()
	require.Regexp(t, `good .*deployed`, text)
	require.Regexp(t, `bad .*failed +disk died`, text)
	require.Regexp(t, `unfinished .*ipxe_boot`, text)
	require.Contains(t, text, "a note")
}

// newTerminal makes a pseudo-terminal (pty(7)), and gives what was written on it
// once it is closed.
func newTerminal(t *testing.T) (*os.File, func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = master.Close() }) // the reader may have ended it
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 160}))
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	read := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(master) // ends with EIO when the terminal is closed
		read <- string(text)
	}()
	return slave, func() string { return <-read }
}

func TestLines(t *testing.T) {
	out := &logText{}
	l := &lines{out: out}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("east", 3600))
	l.event("n-1", client.Event{Timestamp: at, Phase: "installation", Status: "in_progress", Message: "two\nlines  of \x1b[31mtext"})
	l.event("n-1", client.Event{Timestamp: at, Phase: "deployed", Status: "success", Outcome: "refused"})
	l.note("note")
	l.done()
	require.NotContains(t, out.String(), "\x1b", "a message cannot steer the terminal")
	require.Equal(t, "02:04:05  n-1           installation       in_progress  two lines of [31mtext\n"+
		"02:04:05  n-1           deployed           success       (refused)\nnote\n", out.String())
}
