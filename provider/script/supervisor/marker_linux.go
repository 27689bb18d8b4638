package supervisor

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// markerWatch notices when the script takes the marker away (inotify(7)).
type markerWatch struct {
	file *os.File // nil: the kernel does not tell
	name string

	mu sync.Mutex
	at time.Time // zero: it is there
}

func watchMarker(path string) *markerWatch {
	w := &markerWatch{name: filepath.Base(path)}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil { // the limit of the user may be reached: then it is not noticed when
		return w
	}
	w.file = os.NewFile(uintptr(fd), "inotify")
	_, err = unix.InotifyAddWatch(fd, filepath.Dir(path), unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR)
	if err != nil {
		w.close()
		return w
	}
	go w.follow(w.file)
	return w
}

func (w *markerWatch) follow(f *os.File) {
	b := make([]byte, 4096)
	for {
		n, err := f.Read(b)
		if err != nil {
			return
		}
		for rest := b[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			mask := binary.NativeEndian.Uint32(rest[4:])
			end := min(unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(rest[12:])), len(rest))
			if name := string(bytes.TrimRight(rest[unix.SizeofInotifyEvent:end], "\x00")); name == w.name {
				w.saw(mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0)
			}
			rest = rest[end:]
		}
	}
}

func (w *markerWatch) saw(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = time.Time{}
	if away {
		w.at = time.Now()
	}
}

// taken tells how long before a time the marker was taken away.
func (w *markerWatch) taken(before time.Time) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return before.Sub(w.at), !w.at.IsZero()
}

func (w *markerWatch) close() {
	if w.file != nil {
		_ = w.file.Close() // nothing was written
		w.file = nil
	}
}
