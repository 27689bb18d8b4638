package main

import (
	"fmt"
	"io"
	"os"
)

// inputFile is a file that a command reads whole: a path, or - for standard input.
type inputFile string

// inputMost is the largest one, in bytes: no request of the server's takes more.
const inputMost = 256 << 10

// name is what people call it.
func (f inputFile) name() string {
	if f == "-" {
		return "standard input"
	}
	return string(f)
}

// read reads it; in is standard input.
func (f inputFile) read(in io.Reader) ([]byte, error) {
	if f != "-" {
		file, err := os.Open(string(f))
		if err != nil {
			return nil, fmt.Errorf("reading what was asked for: %w", err)
		}
		defer file.Close()
		in = file
	}
	raw, err := io.ReadAll(io.LimitReader(in, inputMost+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading what was asked for: %w", err)
	case len(raw) > inputMost:
		return nil, fmt.Errorf("%s has more than %d bytes", f.name(), inputMost)
	}
	return raw, nil
}
