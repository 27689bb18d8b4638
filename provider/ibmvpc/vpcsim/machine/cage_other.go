//go:build !linux

package machine

import (
	"context"
	"errors"
)

const watcher = ""

// run needs Linux: the scripts are those of a Linux install environment.
func (c *cage) run(context.Context, job) (int, error) {
	return -1, errors.New("simulated machines run on Linux only")
}
