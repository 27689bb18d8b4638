package apply

import (
	"context"
	"unicode/utf8"
)

// LogMax is the longest piece of a run's output that is read at once, in bytes.
const LogMax = 64 << 10

// Piece is a part of a run's output.
type Piece struct {
	Run *Run
	// Text is UTF-8: a byte that is none in the output is replaced by U+FFFD.
	Text   string
	Offset int64 // where it begins, in bytes
	Next   int64 // where the next one begins
	// End tells that the run has ended, and that nothing comes after this piece.
	End bool
}

// Read reads a piece of a run's output, as Log does, for people: a character
// that is only begun at the end of what a running script has written is left
// for the next piece.
func (s *Service) Read(ctx context.Context, id, offset int64, limit int) (Piece, error) {
	limit = min(max(limit, utf8.UTFMax), LogMax)
	offset = max(offset, 0)
	// The run is read first: if it has ended, the log is complete.
	raw, next, run, err := s.Log(ctx, id, offset, limit)
	if err != nil {
		return Piece{Run: run}, err
	}
	out := Piece{Run: run, Offset: offset, Next: max(next, offset)}
	plain := next-offset == int64(len(raw)) // else it is a line that tells of a gap
	if plain && (run.Active() || len(raw) == limit) {
		if whole := len(raw) - begun(raw); whole > 0 || run.Active() {
			raw = raw[:whole]
		}
		out.Next = offset + int64(len(raw))
	}
	out.Text = string([]rune(string(raw))) // byte by byte, so that it is the same wherever a piece begins
	out.End = !run.Active() && out.Next == offset && len(raw) == 0
	return out, nil
}

// begun counts the bytes at the end that may be the beginning of a character.
func begun(b []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if c := b[len(b)-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-back:]) {
				return back
			}
			break
		}
	}
	return 0
}
