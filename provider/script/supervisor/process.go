package supervisor

// Process names a process for all time: its PID may be given again, but not
// with the same start time in the same boot.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`     // clock ticks from the boot to its start
	Boot  string `json:"boot_id"`   // the kernel's boot id
	Space string `json:"pid_space"` // PID name space, as /proc names it
}
