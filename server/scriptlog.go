package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/access"
	"github.com/slipwayhq/slipway/deploy/apply"
)

// scriptLog answers GET /api/script/runs/{id}/log: a piece of the output as
// JSON or as it is (Accept: text/plain), or all that comes as Server-Sent
// Events (Accept: text/event-stream).
func (s *Server) scriptLog(w http.ResponseWriter, r *http.Request) {
	stream := strings.Contains(strings.ToLower(r.Header.Get("Accept")), "text/event-stream")
	id, offset, limit, err := logQuery(r, stream)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Add("Vary", "Accept")
	piece, err := s.Scripts.Read(r.Context(), id, offset, limit)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if stream {
		s.streamLog(w, r, piece)
		return
	}
	if !prefersText(r.Header.Get("Accept")) {
		answer(w, r, http.StatusOK, LogPage{RunID: id, State: piece.Run.State, Text: piece.Text, Offset: piece.Offset, Next: piece.Next, End: piece.End})
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Next-Offset", strconv.FormatInt(piece.Next, 10))
	h.Set("X-Run-State", piece.Run.State)
	_, _ = io.WriteString(w, piece.Text) // the client went away: nobody to tell
}

// logQuery reads which piece is wanted. Last-Event-ID, which a browser sends
// when it comes back, wins over the parameter that it began with.
func logQuery(r *http.Request, stream bool) (id, offset int64, limit int, err error) {
	q := r.URL.Query()
	var bad fieldErrors
	id = bad.id("id", "run", r.PathValue("id"))
	from, field := q.Get("offset"), "offset"
	if last := r.Header.Get("Last-Event-ID"); stream && last != "" {
		from, field = last, "Last-Event-ID"
	}
	if from != "" {
		if offset, err = strconv.ParseInt(from, 10, 64); err != nil || offset < 0 {
			bad.add(field, deploy.CodeInvalid, "must be a number of bytes, 0 or more")
		}
	}
	limit = apply.LogMax
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 4 || limit > apply.LogMax {
			bad.add("limit", deploy.CodeOutOfRange, fmt.Sprintf("must be 4 to %d", apply.LogMax))
		}
	}
	return id, offset, limit, bad.err()
}

// streamLog sends output until the run has ended, the reader leaves, or the
// server drains. The id of an event is the offset to go on from.
func (s *Server) streamLog(w http.ResponseWriter, r *http.Request, piece apply.Piece) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	ctx = s.Access.Watch(ctx, access.FromContext(ctx)) // who comes back with what was revoked gets 401
	defer context.AfterFunc(s.draining, cancel)()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	out := &eventWriter{s: s, w: w, rc: http.NewResponseController(w)}
	if err := out.send("retry: 2000\n: slipway\n\n"); err != nil {
		return
	}
	if err := s.followLog(ctx, out, piece); err != nil && ctx.Err() == nil {
		s.Log.WarnContext(ctx, "a stream of output broke", "request_id", requestID(ctx), "error", err)
	}
}

func (s *Server) followLog(ctx context.Context, out *eventWriter, piece apply.Piece) error {
	look := time.NewTicker(s.Settings.ScriptLogEvery)
	defer look.Stop()
	told := time.Now()
	for {
		switch {
		case piece.Text != "":
			data, err := json.Marshal(LogChunk{Text: piece.Text, Offset: piece.Offset, Next: piece.Next})
			if err != nil {
				return fmt.Errorf("encode output: %w", err)
			}
			if err := out.event("log", strconv.FormatInt(piece.Next, 10), string(data)); err != nil {
				return nil // the reader is gone, and comes back with its offset
			}
			told = time.Now()
		case piece.End:
			data, err := json.Marshal(s.runAnswer(piece.Run))
			if err != nil {
				return fmt.Errorf("encode a run: %w", err)
			}
			_ = out.event("end", strconv.FormatInt(piece.Next, 10), string(data)) // the stream ends either way
			return nil
		case time.Since(told) >= s.Settings.Heartbeat:
			if err := out.send(": alive\n\n"); err != nil {
				return nil
			}
			told = time.Now()
		}
		if piece.Next == piece.Offset { // nothing was there
			select {
			case <-look.C:
			case <-ctx.Done():
				return nil
			}
		}
		next, err := s.Scripts.Read(ctx, piece.Run.ID, piece.Next, apply.LogMax)
		if err != nil {
			return err // the reader comes back with its offset
		}
		piece = next
	}
}

// LogPage is a piece of a run's output.
type LogPage struct {
	RunID  int64  `json:"run_id"`
	State  string `json:"state" doc:"Of the run."`
	Text   string `json:"text" doc:"UTF-8; what is none is replaced by U+FFFD."`
	Offset int64  `json:"offset" doc:"Where it begins, in bytes."`
	Next   int64  `json:"next_offset" doc:"Where the next piece begins."`
	End    bool   `json:"end" doc:"The run has ended, and there is nothing more."`
}

// LogChunk is the data of an event with output.
type LogChunk struct {
	Text   string `json:"text"`
	Offset int64  `json:"offset"`
	Next   int64  `json:"next_offset"`
}
