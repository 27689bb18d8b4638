package tftp

import (
	"strconv"
	"strings"

	"github.com/slipwayhq/slipway/pxe/program"
)

// programName takes the name of a program out of what a client asks for.
// Clients put a slash or a directory in front, the one that their DHCP answer
// named or the one of an older server, some with backslashes; only the last
// part counts. ".." anywhere is refused: nobody asks so by mistake. Nothing of
// it ever reaches a file system.
func programName(requested string) (string, bool) {
	parts := strings.FieldsFunc(requested, func(r rune) bool { return r == '/' || r == '\\' })
	for _, part := range parts {
		if part == ".." {
			return "", false
		}
	}
	if len(parts) == 0 {
		return "", false
	}
	name := parts[len(parts)-1]
	return name, program.ValidName(name)
}

// printable makes what a stranger sent fit for a log.
func printable(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most] + "…"
	}
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}
