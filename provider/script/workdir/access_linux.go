package workdir

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// mayWrite asks the kernel whether files may be made in an open directory.
func mayWrite(dir *os.File) error {
	return unix.Faccessat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(dir.Fd())), unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}
