// Command tenterhook receives webhooks and runs what its configuration says, durably.
package main

import (
	"os"

	"github.com/tenterhook/tenterhook/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}
