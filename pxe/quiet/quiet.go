package quiet

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// How many lines a Log lets through: some at once, and then so many a second.
const (
	burst     = 200
	perSecond = 10
)

// Log is a logger for what strangers cause. It leaves lines out when there are
// too many, and the next one that it writes says how many those were.
type Log struct {
	to      *slog.Logger
	now     func() time.Time
	pace    *rate.Limiter
	skipped atomic.Int64
}

// New makes a Log that writes to another; now is its clock.
func New(to *slog.Logger, now func() time.Time) *Log {
	return &Log{to: to, now: now, pace: rate.NewLimiter(perSecond, burst)}
}

// Log writes a line, or counts it. What would not be written anyway is not
// counted.
func (l *Log) Log(ctx context.Context, level slog.Level, message string, attrs ...any) {
	if !l.to.Enabled(ctx, level) {
		return
	}
	if !l.pace.AllowN(l.now(), 1) {
		l.skipped.Add(1)
		return
	}
	if n := l.skipped.Swap(0); n > 0 {
		attrs = append(attrs, "lines_left_out", n)
	}
	l.to.Log(ctx, level, message, attrs...) //nolint:sloglint // the callers' messages are literals
}
