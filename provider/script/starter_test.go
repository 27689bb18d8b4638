package script_test

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/slipwayhq/slipway/provider/script"
)

// starter is a process that starts a run, as Slipway does, and may be killed.
const starter = "start-run"

func startAndTell(args []string) int {
	run, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return 2
	}
	host, err := script.NewHost(script.Config{Name: "lab", WorkDir: args[0], Program: []string{os.Args[0]}, PassEnv: []string{"GORACE"}})
	if err != nil {
		return 2
	}
	p, err := host.Start(context.Background(), keyOf(run))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(p.PID)
	return 0
}
