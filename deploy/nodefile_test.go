package deploy

import "testing"

func TestNodeFileNames(t *testing.T) {
	for number, name := range map[int]string{1: "node_01.json", 9: "node_09.json", 10: "node_10.json", 99: "node_99.json", 100: "node_100.json", 1000: "node_1000.json"} {
		if got := NodeFileName(number); got != name {
			t.Errorf("number %d is %s, want %s", number, got, name)
		}
		if got, ok := NodeFileNumber(name); !ok || got != number {
			t.Errorf("%s has the number %d, %v", name, got, ok)
		}
	}
	for name, number := range map[string]int{"node_1.json": 1, "node_001.json": 1, "node_00.json": 0, "node_999999999.json": 999999999} {
		if got, ok := NodeFileNumber(name); !ok || got != number {
			t.Errorf("%s has the number %d, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "node_.json", "node_a.json", "node_01.json.bak", ".node_01.json", "node_-1.json", "node_+1.json", "node_1_0.json", "node_ 1.json", "../node_01.json", "Node_01.json", "node_01.JSON", "node_1000000000.json", "node_٣.json"} {
		if n, ok := NodeFileNumber(name); ok {
			t.Errorf("%q is no node file, and has the number %d", name, n)
		}
	}
}

func TestNextNodeFile(t *testing.T) {
	files := func(numbers ...int) (f []NodeFile) {
		for _, n := range numbers {
			f = append(f, NodeFile{Number: n})
		}
		return f
	}
	for _, c := range []struct {
		have []NodeFile
		want int
	}{{nil, 1}, {files(1), 2}, {files(1, 7, 3), 8}, {files(99), 100}} {
		if got := NextNodeFile(c.have); got != c.want {
			t.Errorf("after %v comes %d, want %d", c.have, got, c.want)
		}
	}
}
