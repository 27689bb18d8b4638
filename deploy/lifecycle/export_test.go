package lifecycle

// Queued is how many submissions wait for the next group.
func (w *Writer) Queued() int { return len(w.queue) }

// QueueOf is the writer's queue, for its size.
func QueueOf(w *Writer) chan *item { return w.queue }
