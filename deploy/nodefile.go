package deploy

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	nodeFilePrefix = "node_"
	nodeFileSuffix = ".json"
	// nodeFileDigits bounds a number, so that the next one is a number too.
	nodeFileDigits = 9
)

// NodeFileName is the name of the node file of a number: two digits at least,
// "node_01.json", "node_100.json".
func NodeFileName(number int) string {
	return fmt.Sprintf("%s%02d%s", nodeFilePrefix, number, nodeFileSuffix)
}

// NodeFileNumber reads the number in a node file's name. Names that only look
// similar have none: "node_a.json", "node_1.json.bak", "../node_01.json". Zeros
// in front do not count, as they did not to the programs that numbered files
// before: "node_1.json" and "node_001.json" are files of the number 1.
func NodeFileNumber(name string) (int, bool) {
	digits, begins := strings.CutPrefix(name, nodeFilePrefix)
	digits, ends := strings.CutSuffix(digits, nodeFileSuffix)
	if !begins || !ends || digits == "" || len(digits) > nodeFileDigits || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}

// NextNodeFile is the number of the next new node file: the highest that there
// is, and one. Gaps are not filled: a number was of another node.
func NextNodeFile(files []NodeFile) int {
	highest := 0
	for _, f := range files {
		highest = max(highest, f.Number)
	}
	return highest + 1
}
