package graph

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSentence(t *testing.T) {
	for _, c := range []struct{ message, hint, want string }{
		{"web-1 is protected", "", "web-1 is protected"},
		{"web-1 is protected", "take the protection off first", "web-1 is protected; take the protection off first"},
		{"the work directory cannot be written", "Make it writable for Slipway.", "the work directory cannot be written. Make it writable for Slipway."},
		{"The key is not known to this account.", "Make a new one.", "The key is not known to this account. Make a new one."},
		{"The key is not known to this account.", "make a new one", "The key is not known to this account. Make a new one"},
		{"the subnet is full", "É tempo", "the subnet is full. É tempo"},
	} {
		require.Equal(t, c.want, sentence(c.message, c.hint))
	}
}
