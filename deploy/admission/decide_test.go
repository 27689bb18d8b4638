package admission

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDecide(t *testing.T) {
	const max = 30 * time.Second
	tests := []struct {
		name  string
		facts Facts
		want  Answer
	}{
		{"a free slot", Facts{Slots: 2, Running: 1}, Answer{Admitted: true}},
		{"the free slot is for who came before", Facts{Slots: 2, Running: 1, Ahead: 1}, Answer{Position: 1, Running: 1, RetryAfter: 2 * time.Second}},
		{"two are free, one came before", Facts{Slots: 3, Running: 1, Ahead: 1}, Answer{Admitted: true}},
		{"none is free", Facts{Slots: 2, Running: 2}, Answer{Running: 2, RetryAfter: 2 * time.Second}},
		{"more than the slots, after they were lowered", Facts{Slots: 2, Running: 5}, Answer{Running: 5, RetryAfter: 2 * time.Second}},
		{"inside the budget", Facts{Slots: 9, Budget: 100, Running: 1, RunningBytes: 60, Bytes: 40}, Answer{Admitted: true}},
		{"over the budget", Facts{Slots: 9, Budget: 100, Running: 1, RunningBytes: 60, Bytes: 41}, Answer{Running: 1, RetryAfter: 2 * time.Second}},
		{"small, but behind a large one", Facts{Slots: 9, Budget: 100, Running: 1, RunningBytes: 60, Ahead: 1, AheadBytes: 50, Bytes: 1}, Answer{Position: 1, Running: 1, RetryAfter: 2 * time.Second}},
		{"larger than the budget, but alone", Facts{Slots: 9, Budget: 100, Bytes: 1000}, Answer{Admitted: true}},
		{"larger than the budget, and not alone", Facts{Slots: 9, Budget: 100, Running: 1, RunningBytes: 1, Bytes: 1000}, Answer{Running: 1, RetryAfter: 2 * time.Second}},
		{"far back", Facts{Slots: 1, Running: 1, Ahead: 100}, Answer{Position: 100, Running: 1, RetryAfter: 7 * time.Second}},
		{"at the end", Facts{Slots: 1, Running: 1, Ahead: 5000}, Answer{Position: 5000, Running: 1, RetryAfter: max}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { require.Equal(t, tt.want, Decide(tt.facts, max)) })
	}
}

func TestEvidenceIsCoarseFarBack(t *testing.T) {
	for position, want := range map[int]string{
		0: "0 before this one, 8 downloading", 19: "19 before this one, 8 downloading", 57: "about 50 before this one, 8 downloading", 1234: "about 1200 before this one, 8 downloading",
	} {
		require.Equal(t, want, Answer{Position: position, Running: 8}.Evidence())
	}
	require.Empty(t, Answer{Admitted: true}.Evidence())
}
