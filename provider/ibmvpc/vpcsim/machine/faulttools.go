package machine

import (
	"fmt"
	"path/filepath"
	"strings"
)

// watchdog is the pipe below the machine's root through which a tool asks for
// a restart (FaultBootsTwice).
const watchdog = "tmp/watchdog"

// toolFaults gives what happens in front of a tool, by tool, as shell text.
func (b *bin) toolFaults(fs faults) map[string]string {
	out := map[string]string{}
	for _, f := range fs {
		switch f.Kind {
		case FaultSlow:
			out["dd"] += fmt.Sprintf("sleep %.2f\n", f.Factor/10)
		case FaultHangInInstaller:
			out["dd"] += onWrite("*", "exec sleep 2147483647")
		case FaultBootsTwice:
			if b.resets < f.Times {
				out["dd"] += onWrite("*", "echo reset >"+quote(filepath.Join(b.root, watchdog))+"; exec sleep 2147483647")
			}
		case FaultDiskFails:
			for _, d := range b.disks {
				if !d.removable && (f.Disk == "" || d.boot == (f.Disk == "boot")) {
					out["dd"] += onWrite(d.name, "echo \"dd: error writing '/dev/"+d.name+"': Input/output error\" >&2; exit 1")
				}
			}
		case FaultReportsTwice:
			out["curl"] += fmt.Sprintf("case \" $*\" in *\"/api/status/phase\"*) %s \"$@\" >/dev/null 2>&1 ;; esac\n", quote(b.tools["curl"]))
		case FaultClockSkew:
			out["date"] += fmt.Sprintf("exec %[1]s -d \"@$(($(%[1]s +%%s) + %[2]d))\" \"$@\"\n", quote(b.tools["date"]), f.Skew)
		case FaultDownloadCut:
			out["curl"] += b.spoil(f, "cut", `head -c "$((size / 2))" "$file" >"$file.spoilt"
			mv -f "$file.spoilt" "$file"
			echo "curl: (18) transfer closed with outstanding read data remaining" >&2
			exit 18`)
		case FaultWrongBytes:
			out["curl"] += b.spoil(f, "bytes", `{
				head -c "$((size / 2))" "$file"
				printf '\377'
				tail -c "+$((size / 2 + 2))" "$file"
			} >"$file.spoilt"
			mv -f "$file.spoilt" "$file"
			exit 0`)
		case FaultScriptLine:
			if !f.Missing {
				pattern := "*"
				if f.Args != "" {
					pattern = strings.ReplaceAll(f.Args, " ", `\ `)
				}
				out[f.Tool] += fmt.Sprintf("case \"$*\" in %s) echo %s': simulated fault' >&2; exit %d ;; esac\n", pattern, f.Tool, f.Exit)
			}
		case FaultNeverBoot, FaultWrongHostKey, FaultRandom:
		}
	}
	return out
}

// onWrite does something when dd is about to write on a disk.
func onWrite(disk, what string) string {
	return "case \" $* \" in *\" of=\"*/dev/" + disk + "\" \"*) " + what + " ;; esac\n"
}

// spoil lets curl fetch an image and then does something to the file, f.Times
// times a boot. what sees $file and its $size.
func (b *bin) spoil(f Fault, name, what string) string {
	return fmt.Sprintf(`case " $*" in
*"/boot/images/%s"*)
	n=0
	if [ -r %[2]s ]; then
		read -r n <%[2]s
	fi
	if [ "$n" -lt %[3]d ]; then
		file='' last=''
		for word in "$@"; do
			if [ "$last" = -o ]; then
				file=$word
			fi
			last=$word
		done
		%[4]s "$@"
		status=$?
		if [ "$status" -eq 0 ] && [ -s "$file" ]; then
			echo "$((n + 1))" >%[2]s
			size=$(wc -c <"$file")
			%[5]s
		fi
		exit "$status"
	fi
	;;
esac
`, f.Artifact, quote(filepath.Join(b.root, "tmp/spoilt-"+name)), f.Times, quote(b.tools["curl"]), what)
}
