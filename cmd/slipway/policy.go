package main

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/retention"
)

// span is a duration that may also be written in days: "90d".
type span time.Duration

// UnmarshalText reads "90d", "0", or what time.ParseDuration reads.
func (s *span) UnmarshalText(text []byte) error {
	t := string(text)
	if days, ok := strings.CutSuffix(t, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no number of days such as 90d", t)
		}
		*s = span(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	d, err := time.ParseDuration(t)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no duration such as 90d or 36h", t)
	}
	*s = span(d)
	return nil
}

// retentionFlags say what becomes of old events.
type retentionFlags struct {
	KeepEvents span   `help:"How long events of deployments that are over are kept, for instance 90d; 0 = for ever. Older ones are removed only with --archive-dir or --drop-events." default:"90d" env:"SLIPWAY_KEEP_EVENTS"`
	ArchiveDir string `help:"Directory that older events are moved to, as compressed NDJSON files. Replicas should share it." env:"SLIPWAY_ARCHIVE_DIR" type:"path"`
	DropEvents bool   `help:"Remove older events without archiving them." env:"SLIPWAY_DROP_EVENTS"`
}

func (f retentionFlags) options(now func() time.Time, log *slog.Logger) retention.Options {
	return retention.Options{Keep: time.Duration(f.KeepEvents), ArchiveDir: f.ArchiveDir, Drop: f.DropEvents, Now: now, Logger: log}
}

// deadlines are the overrides of the phase table, by server profile ("" = all)
// and phase.
type deadlines map[[2]string]time.Duration

// deadlines reads the overrides: phase=duration, or profile/phase=duration.
func (f installFlags) deadlines() (deadlines, error) {
	out := deadlines{}
	for where, v := range f.Deadline {
		profile, key := "", where
		if i := strings.LastIndexByte(where, '/'); i >= 0 {
			profile, key = where[:i], where[i+1:]
			if profile == "" {
				return nil, fmt.Errorf("--deadline: %s=%s names no server profile before the slash", where, v)
			}
		}
		def, ok := phase.Lookup(key)
		if !ok || def.Terminal {
			return nil, fmt.Errorf("--deadline: there is no phase %q with a deadline", key)
		}
		d, err := time.ParseDuration(v)
		if err != nil || d < time.Second {
			return nil, fmt.Errorf("--deadline: %s=%s is not a duration of a second or more", where, v)
		}
		out[[2]string{profile, key}] = d
	}
	return out, nil
}

// allow gives a phase at least so long, unless an operator has said how long it
// has: a deadline must not cut short what the settings ask for.
func (o deadlines) allow(key phase.Key, least time.Duration) {
	def, _ := phase.Lookup(key)
	if _, said := o[[2]string{"", key}]; !said && least > def.Deadline {
		o[[2]string{"", key}] = least
	}
}

// of gives a phase's deadline for a profile: its own override, that of all
// profiles, or the table's.
func (o deadlines) of(_, profile string, d phase.Definition) time.Duration {
	if v, ok := o[[2]string{profile, d.Key}]; ok {
		return v
	}
	if v, ok := o[[2]string{"", d.Key}]; ok {
		return v
	}
	return d.Deadline
}
