package main

import (
	"fmt"
	"os"

	"github.com/slipwayhq/slipway/provider/ibmvpc/vpcsim/machine"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: standins DIR")
		os.Exit(2)
	}
	files, err := machine.StandIns(os.Args[1], machine.DemoPace())
	if err != nil {
		fmt.Fprintln(os.Stderr, "standins:", err)
		os.Exit(1)
	}
	for _, f := range files {
		fmt.Printf("%s\t%s\t%s\t%s\n", f.Name, f.Kind, f.Version, f.Path)
	}
}
