package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile takes an exclusive lock that the kernel drops when the process
// ends, however it ends: two servers on one SQLite file would hand each
// other's running jobs back.
func lockFile(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		closeErr := f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(errors.New("another slipway uses it; replicas need a data directory each, and PostgreSQL"), closeErr)
		}
		return nil, errors.Join(fmt.Errorf("lock: %w", err), closeErr)
	}
	return f.Close, nil
}
