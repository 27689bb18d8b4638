package deploy

import "strings"

// labelMax is the longest DNS label (RFC 1035 section 2.3.4).
const labelMax = 63

// ClusterLabel gives the DNS label of a cluster's name, under which its address
// is found: in lower case, with a hyphen for every run of other characters than
// letters and digits ("Prod_1.east" is prod-1-east). Names that differ only in
// those have the same label, and the second one is refused where names are
// registered. ok is false for a name that no label can be made of: one without
// a letter or digit, or whose label would be longer than 63 characters.
func ClusterLabel(name string) (label string, ok bool) {
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(name)) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteByte(c)
		case b.Len() > 0 && b.String()[b.Len()-1] != '-':
			b.WriteByte('-')
		}
	}
	label = strings.TrimRight(b.String(), "-")
	return label, label != "" && len(label) <= labelMax
}

// CVMHost is the DNS label of a node's controller VM, which is where people
// reach Prism.
func CVMHost(node string) string { return node + "-cvm" }
