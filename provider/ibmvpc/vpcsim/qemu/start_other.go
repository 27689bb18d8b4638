//go:build !linux

package qemu

import "os/exec"

// start starts a command.
func start(cmd *exec.Cmd) (wait func() error, err error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd.Wait, nil
}
